"""The preview of a letter in a real browser: it shows what is in the form, and can do nothing."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from selenium import webdriver
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from server.admin.previews import LETTER_POLICY
from server.trial.sample_cast import PASSWORD
from tests.running import LiveServer

pytestmark = pytest.mark.browser
LETTER = b"<!doctype html><title>letter</title><p>Hello</p><script>document.title = 'taken'</script>"


@pytest.fixture
def hostile() -> Iterator[str]:
    """A server of a letter with a script in it: /framed with the policy of our previews, /bare without."""

    class Letter(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            if self.path == "/framed":
                self.send_header("Content-Security-Policy", LETTER_POLICY)
            self.end_headers()
            self.wfile.write(LETTER)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Letter) as server:  # a browser opens connections ahead, and says nothing
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_I4_a_script_that_got_into_a_preview_would_not_run(browser: webdriver.Chrome, hostile: str) -> None:
    browser.get(f"{hostile}/bare")
    assert browser.title == "taken", "the control: without the policy it runs"
    browser.get(f"{hostile}/framed")
    assert browser.title == "letter"


def test_olga_looks_at_a_draft_in_the_dark_and_as_text_and_then_saves_it(
    browser: webdriver.Chrome, live_server: LiveServer
) -> None:
    browser.get(f"{live_server.url}/login?next=/admin/letters/account-exists/de")
    browser.find_element(By.NAME, "email").send_keys("olga@example.com")
    browser.find_element(By.NAME, "password").send_keys(PASSWORD)
    browser.find_element(By.CSS_SELECTOR, "main button[type=submit], main input[type=submit]").click()
    browser.find_element(By.ID, "introduction").send_keys("Guten Tag, {given_name}.")

    # The frame loads while we look: what we hold of the letter before it goes stale.
    wait = WebDriverWait(browser, 10, ignored_exceptions=[NoSuchElementException, StaleElementReferenceException])

    def preview(view: str, says: str, colour: str | None = None) -> None:
        def is_shown(page: webdriver.Chrome) -> bool:
            body = page.find_element(By.TAG_NAME, "body")
            return says in body.text and colour in (None, body.value_of_css_property("background-color"))

        browser.find_element(By.CSS_SELECTOR, f"button[formaction$='view={view}']").click()
        browser.switch_to.frame("preview")
        wait.until(is_shown)
        browser.switch_to.default_content()

    preview("dark", "Guten Tag, Sam.", colour="rgba(20, 33, 31, 1)")
    preview("light", "Guten Tag, Sam.", colour="rgba(244, 247, 246, 1)")
    preview("text", "Subject: ")
    browser.find_element(By.XPATH, "//button[text()='Save']").click()
    wait.until(lambda page: "Saved." in page.find_element(By.TAG_NAME, "main").text)
    assert browser.find_element(By.ID, "introduction").text == "Guten Tag, {given_name}."
