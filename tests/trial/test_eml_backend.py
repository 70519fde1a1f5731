"""Letters of a trial are files that any mail program opens."""

from email import message_from_bytes, policy
from pathlib import Path

import pytest
from flask import Flask
from flask_mailman import EmailMultiAlternatives

from server.extensions import mail


@pytest.fixture
def folder(app: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(app.extensions["mailman"], "file_path", str(tmp_path / "mail"))
    return tmp_path / "mail"


def letter(subject: str) -> EmailMultiAlternatives:
    message = EmailMultiAlternatives(subject=subject, body="Olá", from_email="desk@example.com", to=["ana@example.com"])
    message.attach_alternative("<p>Olá</p>", "text/html")
    message.attach("visit.ics", "BEGIN:VCALENDAR", "text/calendar")
    return message


def test_each_letter_is_a_file_in_the_order_of_sending(app: Flask, context: None, folder: Path) -> None:
    sent = [f"Visit {number}" for number in range(5)]
    connection = mail.get_connection()
    assert connection.send_messages([letter(subject) for subject in sent]) == 5
    paths = sorted(folder.iterdir())
    assert [path.suffix for path in paths] == [".eml"] * 5
    letters = [message_from_bytes(path.read_bytes(), policy=policy.default) for path in paths]
    assert [str(found["Subject"]) for found in letters] == sent
    assert letters[0].get_body(("plain",)).get_content().strip() == "Olá"
    assert [part.get_filename() for part in letters[0].iter_attachments()] == ["visit.ics"]


def test_a_folder_that_takes_no_letter_is_an_error(app: Flask, context: None, folder: Path) -> None:
    folder.write_text("a file where the folder should be")
    with pytest.raises(OSError, match="mail"):
        mail.get_connection().send_messages([letter("Visit")])
