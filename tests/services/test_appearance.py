"""Olga gives the clinic its name, logo and colour; what nobody could read or should not travel is refused."""

import struct
import zlib
from io import BytesIO
from typing import Any

import pytest
from flask import Flask
from PIL import Image
from sqlalchemy import select, text, update
from sqlalchemy.exc import IntegrityError

from server.errors import Invalid, NotAllowed, NotVisible, Stale
from server.extensions import db
from server.models import AuditEvent, ClinicSettings
from server.services import appearance, booking, calendar_feeds, visits
from server.services.access import Actor
from server.services.appearance import Appearance
from server.utils import colours
from tests.cast import Cast
from tests.pictures import SVG, picture


@pytest.fixture
def change(app: Flask, cast: Cast) -> Any:
    """`change(clinic_name="...")`: by olga unless told."""

    def change(actor: Actor | None = None, if_version: int | None = None, **changes: Any) -> Appearance:
        settings = app.config["FRONTDESK"]
        return appearance.change(changes, if_version=if_version, settings=settings, actor=actor or cast.olga.actor)

    return change


def logo_of(look: Appearance) -> Image.Image:
    return Image.open(BytesIO(appearance.logo(look.logo_fingerprint)))


def test_the_name_is_the_setting_until_olga_chooses_another(app: Flask, cast: Cast, change: Any) -> None:
    settings = app.config["FRONTDESK"]
    assert appearance.read(settings) == Appearance("Frontdesk", version=1)
    assert change(clinic_name="Harbour Health").name == "Harbour Health"
    assert appearance.named(settings).clinic_name == "Harbour Health"
    assert change(clinic_name="").name == "Frontdesk"


def test_calendars_carry_the_name_that_was_chosen(app: Flask, cast: Cast, change: Any) -> None:
    change(clinic_name="Harbour Health")
    settings, ana = app.config["FRONTDESK"], cast.ana.actor
    visit = booking.book_appointment(
        service_id=cast.checkup_id, practitioner_id=cast.dr_cho.practitioner_id, start=cast.at(9), actor=ana
    )
    assert "SUMMARY:Visit at Harbour Health" in visits.calendar(visit.id, settings=settings, actor=ana)
    secret = calendar_feeds.create_feed(patient_id=cast.ana.patient_id, actor=ana)[1]
    feed = calendar_feeds.read_feed(secret, settings=settings, actor=ana)
    assert [feed.name, feed.entries[0].summary] == ["Visits at Harbour Health", "Visit at Harbour Health"]


def test_dana_and_patients_may_not(cast: Cast, change: Any) -> None:
    for person in (cast.dana, cast.dr_cho, cast.ana):
        with pytest.raises(NotAllowed):
            change(person.actor, clinic_name="Mine")


def test_what_changed_is_on_record_by_its_name_and_never_by_its_value(change: Any) -> None:
    change(clinic_name="Harbour Health", logo=picture(), signature="")
    events = db.session.scalars(select(AuditEvent).where(AuditEvent.action.like("appearance.%"))).all()
    assert {event.action for event in events} == {"appearance.clinic-name-changed", "appearance.logo-changed"}
    assert "Harbour" not in str([vars(event) for event in events])


def test_of_two_who_change_it_at_once_the_second_is_told(change: Any) -> None:
    assert change(if_version=1, signature="1 Quay Street").version == 2
    with pytest.raises(Stale):
        change(if_version=1, signature="2 Quay Street")
    assert change(signature="1 Quay Street").version == 2, "nothing changed"


# --- colours ---


@pytest.mark.parametrize(("colour", "found"), [("#ffcc00", "1.5"), ("#7fd4c4", "1.7"), ("#777777", "4.4")])
def test_a_colour_on_which_white_cannot_be_read_is_refused_with_a_sentence(
    change: Any, colour: str, found: str
) -> None:
    with pytest.raises(Invalid) as refused:
        change(accent_colour=colour)
    assert refused.value.extra["errors"]["accent_colour"][0].startswith(
        f"White text on {colour} has a contrast of {found} to 1"
    )


def test_a_colour_that_just_suffices_is_taken(change: Any) -> None:
    assert colours.contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)
    assert change(accent_colour="#767676").accent_colour == "#767676"
    assert change(accent_colour="#0B5394").accent_colour == "#0b5394"
    assert change(accent_colour=appearance.STANDARD).accent_colour == ""


@pytest.mark.parametrize("nonsense", ["red", "#fff", "#0b5394; } body { display: none", "#0b539g", "javascript:1"])
def test_what_is_no_colour_is_refused(change: Any, nonsense: str) -> None:
    with pytest.raises(Invalid):
        change(accent_colour=nonsense)


def test_the_database_takes_no_other_colour_either(cast: Cast) -> None:
    with pytest.raises(IntegrityError):
        db.session.execute(update(ClinicSettings).values(accent_colour="red;}"))
    db.session.rollback()


@pytest.mark.parametrize("colour", ["#000000", "#0b5394", "#767676", "#8b1a6b", "#b00020", "#0000ff", "#4b3621"])
def test_every_shade_made_of_a_colour_can_be_read_in_the_light_and_in_the_dark(colour: str) -> None:
    made = colours.shades(colour)
    for ground in (*colours.LIGHT_GROUNDS, made.light_soft):
        assert colours.contrast(made.light, ground) >= 4.5
        assert colours.contrast(made.light_strong, ground) >= 4.5
    for ground in (*colours.DARK_GROUNDS, made.dark_soft, made.on_dark):
        assert colours.contrast(made.dark, ground) >= 4.5
        assert colours.contrast(made.dark_strong, ground) >= 4.5


def test_control_the_colour_itself_could_not_be_read_in_the_dark() -> None:
    assert colours.contrast("#8b1a6b", "#101b19") < 4.5


# --- the logo ---


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_logo_becomes_a_small_png(change: Any, kind: str) -> None:
    kept = logo_of(change(logo=picture(kind, width=1200, height=1200)))
    assert (kept.format, kept.size) == ("PNG", (120, 120))
    assert appearance.shown_size(appearance.logo(change().logo_fingerprint)) == (60, 60)


def test_what_a_file_carries_besides_its_picture_goes_no_further(change: Any) -> None:
    place = Image.Exif()
    place[0x010E] = "51.5 N, 0.1 W"
    given = picture("JPEG", exif=place) + b"<script>alert(1)</script>"
    kept = appearance.logo(change(logo=given).logo_fingerprint)
    for secret in (b"51.5 N", b"script", b"Exif"):
        assert secret not in kept


@pytest.mark.parametrize(
    "given", [SVG, b"GIF89a" + bytes(40), b"<html>", picture()[:60], b"\x89PNG\r\n\x1a\n", picture("BMP")]
)
def test_what_is_no_image_of_the_three_kinds_is_refused_whatever_it_is_called(change: Any, given: bytes) -> None:
    with pytest.raises(Invalid, match="must be a PNG, JPEG or WebP image"):
        change(logo=given)


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header promises a lot."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(4001, 1000), (12_000, 12_000), (60_000, 60_000)])
def test_an_image_that_would_fill_the_memory_is_refused_before_it_is_decoded(
    change: Any, size: tuple[int, int]
) -> None:
    with pytest.raises(Invalid, match="more than 4 million pixels"):
        change(logo=bomb(*size))


def test_a_file_that_is_too_large_is_refused(change: Any) -> None:
    with pytest.raises(Invalid, match="larger than 500 kB"):
        change(logo=picture() + bytes(500_000))


def test_a_logo_is_taken_away_again(app: Flask, change: Any) -> None:
    look = change(logo=picture())
    assert look.logo_fingerprint
    assert change(logo=None).logo_fingerprint == ""
    assert db.session.scalar(text("SELECT logo FROM clinic_settings")) is None
    with pytest.raises(NotVisible):
        appearance.logo("")
