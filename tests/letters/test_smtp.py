"""Letters leave over a real SMTP server, once, with the same Message-ID when they are tried again."""

import smtplib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select, update

from server.extensions import db
from server.jobs.letters import send_due
from server.models import OutboxMessage
from server.services import booking
from tests import postman as postmen
from tests.cast import Cast, Person
from tests.postman import Postman


@pytest.fixture
def postman(app: Flask, _no_accidental_mail: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Postman]:
    with postmen.of(app, monkeypatch) as postman:
        yield postman


@pytest.fixture
def book(cast: Cast) -> Callable[..., Any]:
    def book(person: Person, hour: int = 9) -> Any:
        return booking.book_appointment(
            service_id=cast.checkup_id,
            practitioner_id=cast.dr_cho.practitioner_id,
            start=cast.at(hour),
            actor=person.actor,
        )

    return book


def outcomes() -> list[tuple[str | None, int]]:
    rows = db.session.execute(select(OutboxMessage.outcome, OutboxMessage.attempts).order_by(OutboxMessage.id))
    return [tuple(row) for row in rows]


def due_again() -> None:
    db.session.execute(update(OutboxMessage).values(due_at=func.now(), leased_until=None))
    db.session.commit()


def test_ana_gets_a_letter_in_three_forms_with_the_visit_for_her_calendar(
    postman: Postman, cast: Cast, book: Callable[..., Any]
) -> None:
    book(cast.ana)
    assert send_due() == 1
    (letter,) = postman.letters
    assert (letter["To"], letter["From"]) == ("ana@example.com", "Frontdesk <frontdesk@localhost>")
    kinds = [part.get_content_type() for part in letter.walk() if not part.is_multipart()]
    assert kinds == ["text/plain", "text/html", "text/calendar", "text/calendar"]
    calendar = next(part for part in letter.walk() if part.get_content_type() == "text/calendar")
    assert calendar.get_param("method") == "REQUEST"
    assert "METHOD:REQUEST" in calendar.get_content()
    assert [part.get_filename() for part in letter.iter_attachments()] == ["visit.ics"]


def test_a_letter_is_sent_once(postman: Postman, cast: Cast, book: Callable[..., Any]) -> None:
    book(cast.ana)
    assert [send_due(), send_due(), send_due()] == [1, 0, 0]
    assert len(postman.letters) == 1


def test_a_refused_address_is_marked_and_nobody_else_waits(
    postman: Postman, cast: Cast, book: Callable[..., Any]
) -> None:
    postman.at_rcpt["ana@example.com"] = "550 no such mailbox"
    book(cast.ana)
    book(cast.bea, hour=10)
    assert send_due() == 1
    assert [letter["To"] for letter in postman.letters] == ["bea@example.com"]
    assert outcomes() == [("failed", 1), ("sent", 1)]


def test_a_busy_server_is_tried_again_with_the_same_message_id(
    postman: Postman, cast: Cast, book: Callable[..., Any]
) -> None:
    postman.at_rcpt["ana@example.com"] = "451 later, please"
    book(cast.ana)
    assert send_due() == 0
    assert outcomes() == [(None, 1)]
    assert send_due() == 0, "it waits before the next try"
    postman.at_rcpt.clear()
    due_again()
    assert send_due() == 1
    assert postman.letters[0]["Message-ID"] == f"<{db.session.scalars(select(OutboxMessage.id)).one()}@localhost>"


def test_C5_an_unreachable_server_loses_nothing_and_costs_no_try(
    app: Flask, postman: Postman, monkeypatch: pytest.MonkeyPatch, cast: Cast, book: Callable[..., Any]
) -> None:
    state = app.extensions["mailman"]
    port = state.port
    monkeypatch.setattr(state, "port", 1)
    book(cast.ana)
    book(cast.bea, hour=10)
    assert [send_due() for _ in range(20)] == [0] * 20
    assert outcomes() == [(None, 0), (None, 0)]
    monkeypatch.setattr(state, "port", port)
    assert send_due() == 2


def test_C4_a_visit_cancelled_after_the_letter_was_written_and_before_it_left_is_not_announced(
    postman: Postman, cast: Cast, book: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    visit = book(cast.ana)
    sent = smtplib.SMTP.rcpt

    def rcpt(self: smtplib.SMTP, *args: Any) -> Any:
        if not postman.letters and visit.id not in cancelled:
            cancelled.add(visit.id)
            booking.cancel_appointment(visit.id, actor=cast.dana.actor)
        return sent(self, *args)

    cancelled: set[Any] = set()
    monkeypatch.setattr(smtplib.SMTP, "rcpt", rcpt)
    send_due()
    assert [letter["Subject"].endswith("is cancelled") for letter in postman.letters] == [True]
    assert [outcome for outcome, _ in outcomes()] == ["skipped", "sent"]


def test_after_eight_tries_a_letter_has_failed(postman: Postman, cast: Cast, book: Callable[..., Any]) -> None:
    postman.at_rcpt["ana@example.com"] = "451 later, please"
    book(cast.ana)
    for _ in range(8):
        due_again()
        send_due()
    assert outcomes() == [("failed", 8)]
