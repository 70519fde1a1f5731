"""/demo/mail shows what the demo has sent, and lets no letter do anything."""

import re
from collections.abc import Callable, Iterator

import html5lib
import pytest
import requests
from flask import Flask
from flask_mailman import EmailMultiAlternatives

from server.extensions import mail
from tests.running import LiveServer, start_live_server

pytestmark = pytest.mark.processes
EVIL = "<script>document.title = 'taken'</script>"


@pytest.fixture(scope="module")
def demo(
    new_database: Callable[[str], str], redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("demo-mail")
    with start_live_server(
        new_database("frontdesk_demo_mail"), redis_url.replace("/0", "/2"), folder, fill=False, workers=1, DEMO="1"
    ) as server:
        yield server


@pytest.fixture
def write(app: Flask, context: None, demo: LiveServer, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Sends a letter as the worker does; answers the name under which the page shows it."""
    monkeypatch.setattr(app.extensions["mailman"], "file_path", str(demo.mail_folder))

    def send(subject: str, html: str = "<!doctype html><html><head></head><body><p>Hello</p></body></html>") -> str:
        message = EmailMultiAlternatives(
            subject=subject, body=f"Hello {EVIL}", from_email="desk@example.com", to=["ana@example.com"]
        )
        message.attach_alternative(html, "text/html")
        message.attach("visit.ics", "BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n", "text/calendar")
        mail.get_connection().send_messages([message])
        return max(path.stem for path in demo.mail_folder.glob("*.eml"))

    return send


def page(demo: LiveServer, path: str) -> str:
    answer = requests.get(f"{demo.url}/demo/mail{path}", timeout=10)
    assert answer.status_code == 200, answer.text
    html5lib.HTMLParser(strict=True).parse(answer.text)
    assert answer.text.count("<h1") == 1
    return answer.text


def test_it_says_so_while_there_is_no_letter(demo: LiveServer) -> None:
    for path in demo.mail_folder.glob("*.eml"):
        path.unlink()
    assert "No letter has been sent yet." in page(demo, "")


def test_the_newest_letter_comes_first(demo: LiveServer, write: Callable[..., str]) -> None:
    write("Your first visit")
    write(f"Your second visit {EVIL}")
    seen = page(demo, "")
    assert seen.index("Your second visit") < seen.index("Your first visit")
    assert "ana@example.com" in seen
    assert EVIL not in seen


def test_a_letter_shows_its_parts_and_hands_out_its_calendar(demo: LiveServer, write: Callable[..., str]) -> None:
    name = write("Your visit on Monday")
    seen = page(demo, f"/{name}")
    assert "Your visit on Monday" in seen
    assert "Hello &lt;script&gt;" in seen
    link = re.search(r'href="(/demo/mail/[^"]+/attachments/[0-9]+)"', seen)
    assert link
    calendar = requests.get(demo.url + link[1], timeout=10)
    assert calendar.headers["Content-Disposition"] == "attachment; filename=visit.ics"
    assert calendar.text == "BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n"


def test_the_html_of_a_letter_can_do_nothing(demo: LiveServer, write: Callable[..., str]) -> None:
    name = write("Evil", html=f"<!doctype html><html><head></head><body>{EVIL}</body></html>")
    answer = requests.get(f"{demo.url}/demo/mail/{name}/letter.html", timeout=10)
    assert f'<head><base target="_top"></head><body>{EVIL}' in answer.text
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert re.search(r"sandbox(?!.*allow-scripts)", policy)
    assert 'sandbox="allow-top-navigation-by-user-activation"' in page(demo, f"/{name}")


@pytest.mark.parametrize(
    "name",
    [
        "..%2f..%2fsecrets",
        "%2e%2e%2fserver.log",
        "....//server.log",
        "server.log",
        "server",
        ".eml",
        "20260101T000000.000000-00000000",
        "20260101T000000.000000-00000000%00",
        "20260101T000000.000000-00000000%0a",
    ],
)
def test_only_letters_are_opened(demo: LiveServer, name: str) -> None:
    for path in ("", "/letter.html", "/attachments/1"):
        answer = requests.get(f"{demo.url}/demo/mail/{name}{path}", timeout=10)
        assert answer.status_code == 404, answer.text


def test_a_server_that_is_no_demo_has_no_such_page(app: Flask) -> None:
    assert not any(rule.rule.startswith("/demo") for rule in app.url_map.iter_rules())
