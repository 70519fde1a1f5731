"""ana adds a passkey in a browser and signs in with it: alone, after her password, and to confirm a change."""

import contextlib
from collections.abc import Iterator

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.virtual_authenticator import VirtualAuthenticatorOptions
from selenium.webdriver.support.ui import WebDriverWait

from tests.browser.looking import check
from tests.running import LiveServer

pytestmark = [pytest.mark.browser, pytest.mark.processes, pytest.mark.nightly]
PASSWORD = "frontdesk-demo-1"


@pytest.fixture
def address(live_server: LiveServer) -> str:
    """A passkey is for a name; an address of numbers has none."""
    return live_server.url.replace("127.0.0.1", "localhost")


@contextlib.contextmanager
def authenticator(browser: Chrome) -> Iterator[None]:
    """A device that keeps passkeys, and finds that its owner is there."""
    options = VirtualAuthenticatorOptions(
        transport=VirtualAuthenticatorOptions.Transport.INTERNAL,
        has_resident_key=True,
        has_user_verification=True,
        is_user_verified=True,
    )
    browser.add_virtual_authenticator(options)
    yield
    browser.remove_virtual_authenticator()


def press(browser: Chrome, words: str) -> None:
    button = browser.find_element(By.XPATH, f"//main//*[self::button or self::a][contains(., '{words}')]")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", button)
    button.click()


def wait_for(browser: Chrome, path: str) -> None:
    WebDriverWait(browser, 10).until(lambda chrome: path in chrome.current_url, browser.page_source[-3000:])


def sign_in(browser: Chrome, address: str, email: str) -> None:
    browser.get(f"{address}/login")
    browser.find_element(By.ID, "email").send_keys(email)
    browser.find_element(By.ID, "password").send_keys(PASSWORD)
    browser.find_element(By.CSS_SELECTOR, "main form.panel button").click()


def sign_out(browser: Chrome) -> None:
    browser.find_element(By.XPATH, "//header//button[contains(., 'Sign out')]").click()
    WebDriverWait(browser, 10).until(lambda chrome: "Register" in chrome.page_source)


def text(browser: Chrome) -> str:
    return browser.find_element(By.TAG_NAME, "main").text


def add(browser: Chrome, address: str, name: str) -> None:
    browser.get(f"{address}/account/passkeys/new")
    browser.find_element(By.ID, "name").send_keys(name)
    press(browser, "Go on")
    WebDriverWait(browser, 10).until(lambda chrome: chrome.current_url.endswith("/account"))


def test_a_passkey_signs_in_alone_after_the_password_and_to_confirm(browser: Chrome, address: str) -> None:
    with authenticator(browser):
        sign_in(browser, address, "ana@example.com")
        wait_for(browser, "/visits")
        browser.get(f"{address}/account/passkeys/new")
        check(browser)
        add(browser, address, "my phone")
        assert "The passkey my phone is set up." in text(browser)
        check(browser)

        sign_out(browser)  # alone: no address, no password
        browser.get(f"{address}/login?next=/visits/calendar")
        press(browser, "Sign in with a passkey")
        wait_for(browser, "/visits/calendar")

        sign_out(browser)  # as the second step: the password alone is not enough any more
        sign_in(browser, address, "ana@example.com")
        wait_for(browser, "/sign-in/passkey")
        check(browser)
        press(browser, "Use a passkey")
        wait_for(browser, "/visits")

        browser.get(f"{address}/sign-in/again?next=/account/second-factor")
        press(browser, "Use a passkey")
        wait_for(browser, "/account/second-factor")

        browser.get(f"{address}/account")  # and taken away
        press(browser, "Remove")
        WebDriverWait(browser, 10).until(lambda _: "The passkey is removed." in text(browser))
        sign_out(browser)
        sign_in(browser, address, "ana@example.com")
        wait_for(browser, "/visits")
    errors = [line for line in browser.get_log("browser") if line["level"] == "SEVERE"]
    assert errors == []  # nor anything that our Content-Security-Policy stopped


def test_H8_a_device_that_does_not_know_its_owner_signs_nobody_in(browser: Chrome, address: str) -> None:
    with authenticator(browser):
        sign_in(browser, address, "bea@example.com")
        wait_for(browser, "/visits")
        add(browser, address, "found in the street")
        sign_out(browser)
        browser.set_user_verified(False)
        browser.get(f"{address}/login")
        press(browser, "Sign in with a passkey")
        WebDriverWait(browser, 70).until(lambda _: "No passkey was given." in text(browser))
        browser.get(f"{address}/visits")
        assert "/login" in browser.current_url
