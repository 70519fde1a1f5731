"""The whole way of a new patient, in a real browser against a real server."""

import email
import email.policy
import re
from pathlib import Path

import pytest
from selenium.webdriver import Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.select import Select
from selenium.webdriver.support.wait import WebDriverWait

from tests.browser.looking import check
from tests.running import LiveServer

pytestmark = [pytest.mark.browser, pytest.mark.processes]
PASSWORD = "three quiet green apples"


def heading(browser: Chrome) -> str:
    return browser.find_element(By.TAG_NAME, "h1").text


def press(browser: Chrome, words: str) -> None:
    """Click the button or link of the page's content that says so, and wait for the next page."""
    found = browser.find_elements(By.CSS_SELECTOR, "main button, main a")
    _go(browser, next(element for element in found if words in element.text))


def press_a_time(browser: Chrome, number: int = 0) -> str:
    button = browser.find_elements(By.CSS_SELECTOR, ".times .time-button")[number]
    time = button.find_element(By.CLASS_NAME, "time").text
    _go(browser, button)
    return time


def type_into(browser: Chrome, **fields: str) -> None:
    for name, text in fields.items():
        browser.find_element(By.ID, name).send_keys(text)


def _go(browser: Chrome, element: WebElement) -> None:
    page = browser.find_element(By.TAG_NAME, "html")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
    element.click()
    WebDriverWait(browser, 10).until(lambda _: browser.find_element(By.TAG_NAME, "html") != page)


def confirm_link(letters: list[Path], address: str) -> str:
    for path in letters:
        letter = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
        if letter["To"] == address and (body := letter.get_body(("plain",))):
            return re.findall(r"http\S+/confirm/\S+", body.get_content())[0]
    raise AssertionError(f"no letter to {address}")


def book_and_change(browser: Chrome, live_server: LiveServer, address: str, *, examine: bool) -> None:
    """From the front page to a visit that was booked, moved and cancelled."""

    def look(expected: str) -> None:
        assert heading(browser) == expected
        if examine:
            check(browser)

    browser.get(live_server.url)
    look("Book a visit")
    press(browser, "General consultation")
    look("General consultation: choose a time")
    press(browser, "Later times")
    time = press_a_time(browser)
    look("Confirm your visit")
    assert browser.find_element(By.CLASS_NAME, "countdown").is_displayed() == examine, "seconds are a matter of scripts"
    press(browser, "register")
    look("Register")
    press(browser, "Register")
    look("Register")  # nothing was filled in, and the page says so
    assert "First name: Please fill this in." in browser.find_element(By.CLASS_NAME, "error-summary").text
    type_into(browser, given_name="Nora", family_name="Lind", email=address, password=PASSWORD)
    type_into(browser, birth_day="3", birth_month="4", birth_year="1985")
    press(browser, "Register")
    look("Look into your mail")

    browser.get(confirm_link(live_server.send_letters(), address))
    look("Confirm your e-mail address")
    press(browser, "Yes, this is my address")
    look("Sign in")
    type_into(browser, email=address, password=PASSWORD)
    press(browser, "Sign in")
    look("Confirm your visit")  # what was chosen before is still there
    type_into(browser, reason="A cough for two weeks")
    press(browser, "Book this visit")
    look("Your visit")
    page = browser.find_element(By.TAG_NAME, "main").text
    assert "Your visit is booked" in page
    assert f"{time}–" in page
    assert "A cough for two weeks" in page

    press(browser, "My visits")
    look("My visits")
    assert f"{time}–" in browser.find_element(By.CLASS_NAME, "visit-list").text
    browser.find_element(By.CSS_SELECTOR, ".visit-list a").click()
    press(browser, "Move it")
    look("Move your visit")
    press(browser, "Later times")  # whoever moves to this morning could not cancel any more
    new_time = press_a_time(browser, 1)
    look("Move your visit")
    press(browser, "Yes, move it")
    look("Your visit")
    page = browser.find_element(By.TAG_NAME, "main").text
    assert "Your visit is moved" in page
    assert f"{new_time}–" in page

    press(browser, "Cancel it")
    look("Cancel this visit?")
    press(browser, "Yes, cancel it")
    look("Your visit")
    assert "Your visit is cancelled" in browser.find_element(By.TAG_NAME, "main").text


def test_a_new_patient_books_moves_and_cancels(browser: Chrome, live_server: LiveServer) -> None:
    book_and_change(browser, live_server, "nora@example.com", examine=True)


def test_the_same_without_scripts(browser: Chrome, live_server: LiveServer) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    book_and_change(browser, live_server, "nora.without@example.com", examine=False)


def test_in_the_dark_everything_is_readable(browser: Chrome, live_server: LiveServer) -> None:
    dark = [{"name": "prefers-color-scheme", "value": "dark"}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": dark})
    browser.get(live_server.url)
    assert browser.execute_script("return document.documentElement.dataset.bsTheme") == "dark"
    check(browser)
    press(browser, "General consultation")
    check(browser)
    press_a_time(browser)
    check(browser)
    press(browser, "register")
    press(browser, "Register")
    check(browser)
    browser.get(f"{live_server.url}/login")
    press(browser, "Sign in")
    check(browser)
    browser.get(f"{live_server.url}/nothing-here")
    check(browser)


def test_a_time_is_chosen_with_the_keyboard_alone(browser: Chrome, live_server: LiveServer) -> None:
    browser.get(live_server.url)
    press(browser, "General consultation")

    def focused() -> WebElement:
        return browser.switch_to.active_element

    def tab_to(selector: str) -> WebElement:
        """Go on with Tab until there, and see where one is at every step."""
        for _ in range(40):
            focused().send_keys(Keys.TAB)
            assert focused().value_of_css_property("outline-style") != "none", focused().get_attribute("outerHTML")
            if browser.execute_script("return arguments[0].matches(arguments[1])", focused(), selector):
                return focused()
        raise AssertionError(f"Tab never comes to {selector}")

    tab_to(".skip-link").send_keys(Keys.ENTER)
    assert focused().get_attribute("id") == "content"
    person = tab_to("#practitioner")
    person.send_keys(Keys.ARROW_DOWN)
    assert "practitioner=" not in browser.current_url, "arrow keys choose, they do not send"
    name = Select(person).first_selected_option.text
    page = browser.find_element(By.TAG_NAME, "html")
    tab_to(".filters button").send_keys(Keys.ENTER)
    WebDriverWait(browser, 10).until(lambda _: browser.find_element(By.TAG_NAME, "html") != page)
    assert {found.text for found in browser.find_elements(By.CSS_SELECTOR, ".day > .times .with")} == {name}
    page = browser.find_element(By.TAG_NAME, "html")
    tab_to(".time-button").send_keys(Keys.ENTER)
    WebDriverWait(browser, 10).until(lambda _: browser.find_element(By.TAG_NAME, "html") != page)
    assert heading(browser) == "Confirm your visit"
    assert name in browser.find_element(By.CLASS_NAME, "ticket").text
