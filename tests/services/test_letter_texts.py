"""Olga's own words in letters: what they may say, who may write them, and what is remembered of it."""

import pytest
from sqlalchemy import select

from server.errors import Invalid, NotAllowed, NotVisible, Stale
from server.extensions import db
from server.models import AuditEvent, OutboxMessage
from server.services import letter_texts
from server.services.letter_texts import ABOUT, Words
from server.services.letters import COMPOSERS
from tests.cast import Cast, Person

BOOKED = "appointment-booked"


def put(who: Person, letter: str = BOOKED, language: str = "en", if_version: int | None = None, **words: str) -> Words:
    return letter_texts.put_words(letter, language, words, if_version=if_version, actor=who.actor)


def test_every_letter_says_who_gets_it_and_when() -> None:
    assert set(COMPOSERS) <= set(ABOUT)


def test_olga_writes_and_takes_back(cast: Cast) -> None:
    written = put(cast.olga, subject="See you on {day}", closing="Your team")
    assert written == Words("See you on {day}", "", "Your team", version=1)
    assert letter_texts.list_letters(actor=cast.olga.actor)[BOOKED] == {"en"}
    letter_texts.reset_words(BOOKED, "en", if_version=1, actor=cast.olga.actor)
    assert letter_texts.read_words(BOOKED, "en", actor=cast.olga.actor) == Words(version=2)
    assert letter_texts.list_letters(actor=cast.olga.actor)[BOOKED] == set()


def test_dana_and_the_others_may_not(cast: Cast) -> None:
    for person in (cast.dana, cast.dr_cho, cast.ana):
        with pytest.raises(NotAllowed):
            put(person, subject="Mine")
        with pytest.raises(NotAllowed):
            letter_texts.read_words(BOOKED, "en", actor=person.actor)
        with pytest.raises(NotAllowed):
            letter_texts.send_test(BOOKED, "en", actor=person.actor)
        with pytest.raises(NotAllowed):
            letter_texts.list_letters(actor=person.actor)


@pytest.mark.parametrize(
    ("letter", "words", "named"),
    [
        (BOOKED, "Until {dya}", "{dya}"),
        (BOOKED, "{{ 7*7 }}", "{ 7*7 }"),
        (BOOKED, "{greeting.__class__}", "{greeting.__class__}"),
        (BOOKED, "{}", "{}"),
        (BOOKED, "{reason}", "{reason}"),
        ("account-exists", "On {day}", "{day}"),
        ("series-booked", "At {time}", "{time}"),
    ],
)
def test_a_placeholder_that_does_not_exist_is_named(cast: Cast, letter: str, words: str, named: str) -> None:
    with pytest.raises(Invalid) as refused:
        put(cast.olga, letter, introduction=words)
    (sentence,) = refused.value.extra["errors"]["introduction"]
    assert sentence.startswith(f"There is no {named} in this letter. You may use {{given_name}}")


def test_words_have_a_length(cast: Cast) -> None:
    put(cast.olga, subject="x" * 120, introduction="x" * 1000, closing="x" * 1000)
    with pytest.raises(Invalid) as refused:
        put(cast.olga, subject="x" * 121, introduction="x" * 1001, closing="x" * 1001)
    assert set(refused.value.extra["errors"]) == {"subject", "introduction", "closing"}


def test_a_lone_brace_is_a_brace(cast: Cast) -> None:
    assert put(cast.olga, introduction="} for {").introduction == "} for {"


@pytest.mark.parametrize(("letter", "language"), [("appointment-lost", "en"), (BOOKED, "tlh"), ("../layout", "en")])
def test_there_are_no_other_letters_or_languages(cast: Cast, letter: str, language: str) -> None:
    with pytest.raises(NotVisible):
        put(cast.olga, letter, language, subject="x")


def test_of_two_who_write_at_once_the_second_is_told_also_after_a_reset(cast: Cast) -> None:
    assert put(cast.olga, if_version=0, subject="One").version == 1
    with pytest.raises(Stale):
        put(cast.olga, if_version=0, subject="Two")
    letter_texts.reset_words(BOOKED, "en", if_version=1, actor=cast.olga.actor)
    with pytest.raises(Stale):
        put(cast.olga, if_version=0, subject="Two")


def test_the_history_names_fields_and_people_and_no_words(cast: Cast) -> None:
    put(cast.olga, subject="See you on {day}", closing="Your team")
    put(cast.olga, subject="See you on {day}", closing="")
    put(cast.olga, language="de", subject="Bis {day}")
    history = letter_texts.history(BOOKED, "en", actor=cast.olga.actor)
    assert [(row.name, row.action) for row in history] == [
        ("Olga", "letter-text.closing-reset"),
        ("Olga", "letter-text.closing-changed"),
        ("Olga", "letter-text.subject-changed"),
    ]
    events = db.session.scalars(select(AuditEvent).where(AuditEvent.object_type == "LetterText")).all()
    assert len(events) == 4
    assert "See you" not in str([vars(event) for event in events])


def test_a_test_goes_to_olga_herself(cast: Cast) -> None:
    letter_texts.send_test("account-confirm", "de", actor=cast.olga.actor)
    message = db.session.scalars(select(OutboxMessage)).one()
    assert (message.user_id, message.sample_language) == (cast.olga.user_id, "de")
    tested = db.session.scalars(select(AuditEvent).where(AuditEvent.action == "letter-text.tested")).one()
    assert tested.user_id == cast.olga.user_id
    assert letter_texts.history("account-confirm", "de", actor=cast.olga.actor) == []


def test_what_stands_in_a_place_is_not_looked_at_again() -> None:
    words = Words("{given_name} {day}", "", "", 1)
    known = {"greeting": "{day}", "day": "Monday", "clinic": "{given_name}"}
    assert words.filled(BOOKED, known).subject == "{day} Monday"
