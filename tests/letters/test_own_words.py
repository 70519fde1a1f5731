"""Letters as olga has dressed them: her words in their place, the facts untouched, the logo along."""

import email
import email.policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from uuid import UUID

import html5lib
import pytest
from flask import Flask
from sqlalchemy import select

from server.extensions import db
from server.jobs.letters import send_due
from server.models import OutboxMessage
from server.services import appearance, booking, letter_texts, letters, messages, reminders
from server.services.letter_texts import ABOUT, Words
from tests.cast import Cast
from tests.pictures import picture

XHTML = "{http://www.w3.org/1999/xhtml}"
OWN = Words("Own subject", "An introduction.\n\nIts second\nparagraph.", "A closing.", 1)


def book(cast: Cast) -> UUID:
    visit = booking.book_appointment(
        service_id=cast.checkup_id,
        practitioner_id=cast.dr_cho.practitioner_id,
        start=cast.at(9),
        actor=cast.ana.actor,
    )
    return visit.id


def put(cast: Cast, letter: str, language: str = "en", **words: str) -> None:
    letter_texts.put_words(letter, language, words, if_version=None, actor=cast.olga.actor)


def dress(app: Flask, cast: Cast, **changes: Any) -> None:
    appearance.change(changes, if_version=None, settings=app.config["FRONTDESK"], actor=cast.olga.actor)


def seen(html: str) -> list[str]:
    """The paragraphs and headings that a reader sees, in their order."""
    document = html5lib.HTMLParser(strict=True).parse(html)
    parts = (part for part in document.iter() if part.tag in (XHTML + "p", XHTML + "h1"))
    return [" ".join(" ".join(part.itertext()).split()) for part in parts]


@pytest.fixture
def leaves(app: Flask, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """`leaves()`: everything that is due leaves; answers the letters, parsed again."""
    monkeypatch.setattr(app.extensions["mailman"], "file_path", str(tmp_path))

    def leave() -> list[EmailMessage]:
        send_due()
        files = sorted(tmp_path.glob("*.eml"))
        return [email.message_from_bytes(file.read_bytes(), policy=email.policy.default) for file in files]  # type: ignore[misc]

    return leave


@pytest.mark.parametrize("letter", sorted(ABOUT))
def test_own_words_stand_after_the_greeting_and_before_the_signature_and_nothing_else_changes(
    app: Flask, cast: Cast, letter: str
) -> None:
    settings = app.config["FRONTDESK"]
    standard = letters.sample(letter, language="en", settings=settings)
    dress(app, cast, signature="1 Quay Street\n+1 212 555 0100")
    own = letters.sample(letter, language="en", settings=settings, words=OWN)
    assert own.subject == "Own subject"

    before, after = standard.text.split("\n\n"), own.text.split("\n\n")
    assert before[0] == "Hello Sam Example,"
    assert after == [
        before[0],
        "An introduction.",
        "Its second\nparagraph.",
        *before[1:-2],
        "A closing.",
        "Frontdesk\n1 Quay Street\n+1 212 555 0100",
        before[-1],
    ]

    shown, were = seen(own.html), seen(standard.html)
    greeting = were.index("Hello Sam Example,") + 1
    assert shown == [
        *were[:greeting],
        "An introduction.",
        "Its second paragraph.",
        *were[greeting:-1],
        "A closing.",
        "1 Quay Street +1 212 555 0100",
        were[-1],
    ]


def test_the_letter_that_leaves_carries_them_and_is_still_complete(app: Flask, cast: Cast, leaves: Any) -> None:
    put(cast, "appointment-booked", subject="{given_name}, see you on {day} at {time}", introduction="{place} waits.")
    book(cast)
    (letter,) = leaves()
    assert letter["Subject"] == f"Ana, see you on {cast.day():%A}, {cast.day().day} {cast.day():%B %Y} at 09:00"
    for kind in ("plain", "html"):
        text = letter.get_body((kind,)).get_content()
        for part in ("Riverside waits.", "Hello Ana Silva,", "09:00", "Dr Min Cho", "1 River Street", "/visit-links/"):
            assert part in text


def test_another_language_does_not(app: Flask, cast: Cast, leaves: Any) -> None:
    put(cast, "appointment-booked", "de", subject="Bis {day}", introduction="Bis bald.")
    put(cast, "appointment-moved", "en", introduction="Another letter.")
    book(cast)
    (letter,) = leaves()
    assert letter["Subject"].startswith("Your visit on")
    assert "Bis bald" not in letter.as_string()
    assert "Another letter" not in letter.as_string()
    settings = app.config["FRONTDESK"]
    assert "Bis bald." in letters.sample("appointment-booked", language="de", settings=settings).text


def test_I4_html_in_own_words_is_shown_as_text(app: Flask, cast: Cast, leaves: Any) -> None:
    evil = "<script>alert(1)</script> & <img src=x onerror=alert(1)>"
    put(cast, "appointment-booked", subject=evil, introduction=evil, closing=evil)
    dress(app, cast, signature=evil, clinic_name="<b>Harbour</b>")
    book(cast)
    (letter,) = leaves()
    html = letter.get_body(("html",)).get_content()
    assert "<script>" not in html
    assert "<img" not in html
    assert "<b>" not in html
    assert seen(html).count(evil) == 3
    assert evil in letter.get_body(("plain",)).get_content()
    assert letter["Subject"] == evil


def test_I4_a_name_with_a_placeholder_in_it_stays_a_name(app: Flask, cast: Cast, leaves: Any) -> None:
    cast.patient(cast.ana).given_name = "{practitioner}{{ 7*7 }}"
    db.session.commit()
    put(cast, "appointment-booked", introduction="Dear {given_name}")
    book(cast)
    (letter,) = leaves()
    assert "\nDear {practitioner}{{ 7*7 }}\r\n" in letter.get_body(("plain",)).get_content()


def test_the_logo_comes_along_inside_the_letter_and_the_calendar_stays_an_attachment(
    app: Flask, cast: Cast, leaves: Any
) -> None:
    dress(app, cast, logo=picture(width=400, height=200))
    book(cast)
    (letter,) = leaves()
    (image,) = [part for part in letter.walk() if part.get_content_type() == "image/png"]
    assert (image["Content-ID"], image.get_content_disposition()) == ("<logo@frontdesk>", "inline")
    assert image.get_content() == appearance.logo(appearance.read(app.config["FRONTDESK"]).logo_fingerprint)
    (related,) = [part for part in letter.walk() if part.get_content_type() == "multipart/related"]
    assert [part.get_content_type() for part in related.iter_parts()] == ["text/html", "image/png"]
    html = letter.get_body(("html",)).get_content()
    (shown,) = html5lib.parse(html).iter(XHTML + "img")
    assert [shown.get(name) for name in ("src", "width", "height", "alt")] == ["cid:logo@frontdesk", "120", "60", ""]
    assert [part.get_filename() for part in letter.iter_attachments()] == ["visit.ics"]
    assert letter.get_body(("plain",)) is not None


def test_control_without_a_logo_a_letter_is_built_as_before(cast: Cast, leaves: Any) -> None:
    book(cast)
    (letter,) = leaves()
    kinds = [part.get_content_type() for part in letter.walk()]
    assert kinds == [
        "multipart/mixed",
        "multipart/alternative",
        "text/plain",
        "text/html",
        "text/calendar",
        "text/calendar",
    ]


def test_a_letter_wears_the_colour_in_the_light_and_a_lighter_one_in_the_dark(app: Flask, cast: Cast) -> None:
    settings = app.config["FRONTDESK"]
    standard = letters.sample("appointment-booked", language="en", settings=settings).html
    assert appearance.STANDARD in standard
    assert appearance.STANDARD_DARK in standard
    dress(app, cast, accent_colour="#8b1a6b")
    shades = appearance.read(settings).shades
    assert shades
    html = letters.sample("appointment-booked", language="en", settings=settings).html
    assert html == standard.replace(appearance.STANDARD, shades.light).replace(appearance.STANDARD_DARK, shades.dark)


def test_the_name_is_in_letters_texts_and_calendar(app: Flask, cast: Cast, leaves: Any) -> None:
    dress(app, cast, clinic_name="Harbour Health")
    book(cast)
    (letter,) = leaves()
    assert "SUMMARY:Visit at Harbour Health" in next(letter.iter_attachments()).get_content()
    assert letter.get_body(("plain",)).get_content().count("\nHarbour Health\r\n") == 1
    rule = reminders.create_rule({"minutes_before": 60, "channel": "sms"}, actor=cast.olga.actor)
    reminders.send_test(rule.id, actor=cast.olga.actor)
    message_id = db.session.scalars(select(OutboxMessage.id).where(OutboxMessage.user_id == cast.olga.user_id)).one()
    assert letters.compose(message_id, settings=app.config["FRONTDESK"]).text.startswith("Harbour Health: ")


@pytest.mark.parametrize("letter", sorted(ABOUT))
def test_a_test_of_each_letter_leaves_and_leads_nowhere(app: Flask, cast: Cast, leaves: Any, letter: str) -> None:
    put(cast, letter, "fr", introduction="Bonjour.")
    letter_texts.send_test(letter, "fr", actor=cast.olga.actor)
    (sent,) = leaves()
    assert sent["To"] == "olga@example.com"
    assert sent["Subject"].strip().startswith("Test: ")
    assert sent["List-Unsubscribe"] is None
    assert "Bonjour." in sent.get_body(("plain",)).get_content()
    for part in ("/visit-links/", "/confirm/", "/no-more-reminders/", "/waitlist/", "/visits"):
        assert part not in sent.get_body(("html",)).get_content()


def test_dana_reads_the_letter_with_its_logo_in_the_story_of_a_message(app: Flask, cast: Cast) -> None:
    dress(app, cast, logo=picture())
    book(cast)
    message_id = db.session.scalars(select(OutboxMessage.id)).one()
    story = messages.read_message(message_id, settings=app.config["FRONTDESK"], actor=cast.dana.actor)
    assert story.letter
    assert 'src="data:image/png;base64,' in story.letter.html
    assert "cid:" not in story.letter.html
