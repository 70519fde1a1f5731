"""What each letter says, word for word, in each language; golden/<language>.txt has all of it.

After a change that is meant: run this file with WRITE_GOLDEN=1 in the environment, and read the difference.
"""

import os
import pathlib
import re
from datetime import UTC, datetime
from typing import Any

import pytest

from server.models import Location
from server.services.letter_rendering import FOLDER
from server.services.letter_samples import EXAMPLE, sample
from server.services.letters import COMPOSERS, Letter
from server.settings import Settings
from server.utils.languages import LANGUAGES

pytestmark = pytest.mark.usefixtures("context")  # the clinic's look is in the database

GOLDEN = pathlib.Path(__file__).parent / "golden"
SETTINGS = Settings(secret_key="s", jwt_secret_key="j", database_url="", redis_url="", clinic_name="Riverside Clinic")
START = datetime(2026, 12, 8, 14, 0, tzinfo=UTC)
NEW_YORK = Location(
    name="Riverside", address="1 River Street", phone="+1 212 555 0100", time_zone="America/New_York", country="US"
)
AS_TEXT = sorted(path.parent.name for path in FOLDER.glob("*/sms.txt"))


def write(name: str, language: str, **more: Any) -> Letter:
    return sample(
        name,
        language=language,
        to="sam@example.com",
        start=START,
        settings=SETTINGS,
        place=NEW_YORK,
        **more,
    )


def everything(language: str) -> str:
    """Subjects and texts of all letters; what stands under every one of them stands here once."""
    parts, footer = [], write("account-exists", language).text.rstrip().rpartition("\n")[2]
    for name in sorted(COMPOSERS):
        letter = write(name, language)
        assert letter.text.rstrip().endswith(footer)
        parts.append(f"=== {name}\n{letter.subject}\n\n{letter.text.rstrip().removesuffix(footer).rstrip()}\n")
    parts.append(f"=== series-booked, asked for\n{write('series-booked', language, is_asked=True).subject}\n")
    parts.append(
        f"=== appointment-booked, read in Lisbon\n{write('appointment-booked', language, zone='Europe/Lisbon').text}"
    )
    parts += [f"=== {name}, as a text message\n{write(name, language, is_text=True).text}\n" for name in AS_TEXT]
    return "\n".join([*parts, f"=== under every letter\n{footer}\n"])


@pytest.mark.parametrize("language", LANGUAGES)
def test_J3_all_letters_word_for_word(language: str) -> None:
    golden, said = GOLDEN / f"{language}.txt", everything(language)
    if os.environ.get("WRITE_GOLDEN"):
        golden.write_text(said, encoding="utf-8")
    assert said == golden.read_text(encoding="utf-8")


def words_of(text: str) -> set[str]:
    return set(re.findall(r"[\w’]+", text))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", sorted(COMPOSERS))
def test_the_html_says_what_the_text_says(name: str, language: str) -> None:
    letter = write(name, language, zone="Europe/Lisbon")
    seen = re.sub(r"<(head|style)\b.*?</\1>|<[^>]+>", " ", letter.html, flags=re.S)
    assert words_of(letter.text.replace(SETTINGS.base_url, "")) == words_of(seen)
    assert f'<html lang="{language}" dir="{"rtl" if language == "ar" else "ltr"}"' in letter.html


def test_a_visit_elsewhere_is_told_in_both_zones_and_nearby_in_one() -> None:
    there = write("appointment-booked", "en", zone="Europe/Lisbon")
    assert "09:00 (New York time), 30 minutes" in there.text
    assert "In your time zone: Tuesday, 8 December 2026, 14:00 (Lisbon time)" in there.text
    assert there.subject.endswith("at 09:00 (New York time)")
    here = write("appointment-booked", "en", zone="America/Toronto")
    assert "Toronto" not in here.text
    assert here.subject.endswith("at 09:00")


def test_names_and_numbers_keep_their_own_order_where_one_reads_from_the_right() -> None:
    assert "\u2068+1 212 555 0100\u2069" in write("appointment-booked", "ar").text
    assert "\u2068" not in write("appointment-booked", "de").text


def test_an_invented_place_is_no_row_of_the_clinic() -> None:
    assert EXAMPLE.id is None
