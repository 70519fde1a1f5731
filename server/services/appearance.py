"""How the clinic appears on its pages and in its letters: its name, logo, colour and signature.

The name is the setting CLINIC_NAME until staff choose another one. Whatever was given as a logo is decoded and written
anew as a small PNG: what a file carries besides its picture (a position, a script, a second file) goes no further,
mail programs that show no WebP show it, and letters stay small.
"""

import hashlib
import re
from base64 import b64encode
from dataclasses import dataclass, replace
from functools import lru_cache
from io import BytesIO
from typing import Any

from PIL import Image
from sqlalchemy import select

from server.errors import Invalid, NotVisible, Stale
from server.extensions import db
from server.models import ClinicSettings
from server.services import access, audit
from server.services.access import Actor
from server.services.read_once import read_once
from server.services.transaction import atomic
from server.settings import Settings
from server.utils import colours

LOGO_ID = "logo@frontdesk"  # of the image within a letter (RFC 2392), as layout.html names it
STANDARD = "#0f6b5c"  # as static/css/frontdesk.css and letter.css have it; in the dark STANDARD_DARK
STANDARD_DARK = "#7fd4c4"

FORMATS = ("PNG", "JPEG", "WEBP")
MOST_BYTES, MOST_PIXELS = 500_000, 4_000_000  # of what is given; decoded, four bytes a pixel
KEPT = (400, 120)  # width and height of what is kept, for screens with small pixels
SHOWN = (200, 60)


@dataclass(frozen=True)
class Appearance:
    """What is shown. `own_name` and `accent_colour` are empty while they are the standard."""

    name: str
    own_name: str = ""
    accent_colour: str = ""
    signature: str = ""
    logo_fingerprint: str = ""
    version: int = 0

    @property
    def shades(self) -> colours.Shades | None:
        """Of the clinic's own colour; None for the standard, which the style sheets have."""
        return colours.shades(self.accent_colour) if self.accent_colour else None

    def coloured(self, html: str) -> str:
        """The template of a letter in the clinic's colour."""
        if self.shades is None:
            return html
        return html.replace(STANDARD, self.shades.light).replace(STANDARD_DARK, self.shades.dark)


_COLUMNS = (
    ClinicSettings.clinic_name,
    ClinicSettings.accent_colour,
    ClinicSettings.signature,
    ClinicSettings.logo_fingerprint,
    ClinicSettings.version,
)


@read_once
def read(settings: Settings) -> Appearance:
    """As it is now; open to everybody."""
    return _appearance(tuple(db.session.execute(select(*_COLUMNS)).one()), settings)


def standard(settings: Settings) -> Appearance:
    """Without asking the database."""
    return Appearance(settings.clinic_name)


def named(settings: Settings) -> Settings:
    """The settings with the name that the clinic chose."""
    return replace(settings, clinic_name=read(settings).name)


def change(changes: dict[str, Any], *, if_version: int | None, settings: Settings, actor: Actor) -> Appearance:
    """Change `clinic_name`, `accent_colour`, `signature` or `logo` (the bytes of an image); empty is as it came.

    Raises Invalid, Stale, NotAllowed.
    """
    access.demand("set-up", actor=actor)
    values = _checked(changes)
    with atomic():
        query = select(ClinicSettings).with_for_update().execution_options(populate_existing=True)
        found = db.session.scalars(query).one()
        if if_version is not None and found.version != if_version:
            raise Stale("Somebody has changed it since you read it. Read it again, then decide.")
        changed = [name for name, value in values.items() if getattr(found, name) != value]
        for name in changed:
            setattr(found, name, values[name])
        if changed:
            found.version += 1
        db.session.flush()
        for name in changed:
            if name != "logo":  # goes with its fingerprint
                field = name.removesuffix("_fingerprint").replace("_", "-")
                audit.record(f"appearance.{field}-changed", actor=actor, object_type="ClinicSettings")
        return read(settings)


def draft(changes: dict[str, Any], *, settings: Settings, actor: Actor) -> Appearance:
    """What `change` would make of it, with the logo that is in use, and nothing changed. Raises Invalid, NotAllowed."""
    access.demand("set-up", actor=actor)
    values, now = _checked(changes), read(settings)
    own_name, colour, signature = (values[name] for name in ("clinic_name", "accent_colour", "signature"))
    return Appearance(own_name or settings.clinic_name, own_name, colour, signature, now.logo_fingerprint, now.version)


def logo(fingerprint: str) -> bytes:
    """The PNG that is in use under this fingerprint. Raises NotVisible."""
    return _logo(fingerprint)


def shown_size(png: bytes) -> tuple[int, int]:
    """Width and height of a logo in a letter: within SHOWN, never enlarged."""
    width, height = int.from_bytes(png[16:20]), int.from_bytes(png[20:24])  # of its header (PNG, 11.2.2)
    share = min(SHOWN[0] / width, SHOWN[1] / height, 1)
    return max(1, round(width * share)), max(1, round(height * share))


def with_logo_inside(html: str, png: bytes) -> str:
    """A letter that carries its logo itself, for where there is no mail program to put it in its place."""
    return html.replace(f"cid:{LOGO_ID}", f"data:image/png;base64,{b64encode(png).decode()}") if png else html


@lru_cache(maxsize=2)
def _logo(fingerprint: str) -> bytes:
    query = select(ClinicSettings.logo).where(ClinicSettings.logo_fingerprint == fingerprint)
    found = db.session.scalar(query) if fingerprint else None
    if found is None:
        raise NotVisible("There is no such logo.")
    return bytes(found)


def _appearance(row: tuple[Any, ...], settings: Settings) -> Appearance:
    own_name, accent_colour, signature, logo_fingerprint, version = row
    name = own_name or settings.clinic_name
    return Appearance(name, own_name, accent_colour, signature, logo_fingerprint, version)


def _checked(changes: dict[str, Any]) -> dict[str, Any]:
    """What is written, or Invalid with a sentence for each field."""
    values, errors = dict(changes), {}
    try:
        if colour := changes.get("accent_colour"):
            values["accent_colour"] = _readable(colour)
    except Invalid as refused:
        errors["accent_colour"] = [refused.detail]
    try:
        if "logo" in changes:
            values["logo"] = _small_png(changes["logo"]) if changes["logo"] else None
            values["logo_fingerprint"] = hashlib.sha256(values["logo"]).hexdigest() if values["logo"] else ""
    except Invalid as refused:
        errors["logo"] = [refused.detail]
    if errors:
        raise Invalid(" ".join(sentence for sentences in errors.values() for sentence in sentences), errors=errors)
    return values


def _readable(colour: str) -> str:
    colour = colour.strip().lower()
    if not re.fullmatch(r"#[0-9a-f]{6}", colour):
        raise Invalid("Write the colour as # and six digits, such as #0f6b5c.")
    if (found := colours.contrast(colour, colours.WHITE)) < colours.ENOUGH:
        raise Invalid(
            f"White text on {colour} has a contrast of {int(found * 10) / 10} to 1 and is hard to read; "
            f"{colours.ENOUGH} to 1 is needed. Choose a darker colour."
        )
    return "" if colour == STANDARD else colour


def _small_png(given: bytes) -> bytes:
    """The picture alone, written anew. What kind of file it is, its content says and not its name."""
    if len(given) > MOST_BYTES:
        raise Invalid(f"The logo is larger than {MOST_BYTES // 1000} kB.")
    try:
        picture = Image.open(BytesIO(given), formats=FORMATS)  # reads the header only
        if picture.width * picture.height > MOST_PIXELS:
            raise Invalid(f"The logo has more than {MOST_PIXELS // 1_000_000} million pixels.")
        drawn = picture.convert("RGBA")
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise Invalid(f"The logo has more than {MOST_PIXELS // 1_000_000} million pixels.") from error
    except (OSError, SyntaxError, ValueError) as error:  # as Pillow says that this is no picture, or a broken one
        raise Invalid("The logo must be a PNG, JPEG or WebP image.") from error
    drawn.thumbnail(KEPT)
    bare = Image.new("RGBA", drawn.size)  # without what the file said besides
    bare.paste(drawn)
    written = BytesIO()
    bare.save(written, "PNG", optimize=True)
    return written.getvalue()
