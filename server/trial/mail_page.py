"""/demo/mail: the letters the demo has sent, for whoever tries it. Registered only when `settings.demo`."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.parser import BytesHeaderParser
from pathlib import Path
from typing import Any

from flask import Blueprint, Response, current_app, render_template

from server.errors import NotVisible
from server.services.appearance import LOGO_ID, with_logo_inside
from server.web.guards import everybody, guard

demo_mail = Blueprint("demo_mail", __name__, url_prefix="/demo/mail")
guard(demo_mail, everybody)

NAME = re.compile(r"[0-9]{8}T[0-9]{6}\.[0-9]{6}-[0-9a-f]{8}")  # as the backend writes it; nothing else is opened
NEWEST = 100
HEADERS = ("From", "To", "Subject", "Date", "Message-ID")
# The letter's own styles and nothing else: no script, no request, and a frame that is nobody's origin.
LETTER_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'; sandbox allow-top-navigation-by-user-activation"
)
LETTER_BASE = '<base target="_top">'  # its links open in the window, not in the frame


@dataclass(frozen=True)
class Line:
    """A letter in the list."""

    name: str
    to: str
    subject: str
    at: datetime


@dataclass(frozen=True)
class Attachment:
    number: int
    filename: str
    content_type: str
    content: bytes


@demo_mail.get("")
def list_letters() -> str:
    names = sorted((path.stem for path in _folder().glob("*.eml") if NAME.fullmatch(path.stem)), reverse=True)
    return render_template("demo/letters.html", letters=[_line(name) for name in names[:NEWEST]], total=len(names))


@demo_mail.get("/<name>")
def show_letter(name: str) -> str:
    letter = _letter(name)
    text = letter.get_body(("plain",))
    return render_template(
        "demo/letter.html",
        name=name,
        subject=str(letter["Subject"]),
        headers=[(header, str(letter[header])) for header in HEADERS if letter[header]],
        text=text.get_content() if text else "",
        has_html=letter.get_body(("html",)) is not None,
        attachments=_attachments(letter),
    )


@demo_mail.get("/<name>/letter.html")
def show_html(name: str) -> Response:
    """The HTML part, alone; the page shows it in a frame."""
    letter = _letter(name)
    body = letter.get_body(("html",))
    if body is None:
        raise NotVisible("This letter has no HTML part.")
    html = re.sub(r"(<head[^>]*>)", lambda head: head[1] + LETTER_BASE, body.get_content(), count=1)
    for part in letter.walk():
        if part["Content-ID"] == f"<{LOGO_ID}>":
            html = with_logo_inside(html, part.get_content())
    return Response(html, content_type="text/html; charset=utf-8", headers={"Content-Security-Policy": LETTER_POLICY})


@demo_mail.get("/<name>/attachments/<int:number>")
def download_attachment(name: str, number: int) -> Response:
    for attachment in _attachments(_letter(name)):
        if attachment.number == number:
            response = Response(attachment.content, content_type=attachment.content_type)
            response.headers.set("Content-Disposition", "attachment", filename=attachment.filename)
            return response
    raise NotVisible("This letter has no such attachment.")


def _folder() -> Path:
    return Path(current_app.config["FRONTDESK"].mail_folder)


def _read(name: str) -> bytes:
    if not NAME.fullmatch(name):
        raise NotVisible("There is no such letter.")
    try:
        return (_folder() / f"{name}.eml").read_bytes()
    except FileNotFoundError as error:
        raise NotVisible("There is no such letter.") from error


def _letter(name: str) -> EmailMessage:
    return message_from_bytes(_read(name), policy=policy.default)


def _line(name: str) -> Line:
    with (_folder() / f"{name}.eml").open("rb") as file:
        headers = BytesHeaderParser(policy=policy.default).parse(file)
    at = datetime.strptime(name.partition(".")[0], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    return Line(name, str(headers["To"] or ""), str(headers["Subject"] or "No subject"), at)


def _attachments(letter: EmailMessage) -> list[Attachment]:
    """The parts with a file name, numbered from 1."""
    found: list[Attachment] = []
    for part in letter.walk():
        if filename := part.get_filename():
            content: Any = part.get_payload(decode=True) or b""
            found.append(Attachment(len(found) + 1, filename, part["Content-Type"], content))
    return found
