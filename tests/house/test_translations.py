"""Every sentence that is written to people is translated, wholly, and says the same things in each language."""

import io
import pathlib
import re
from collections.abc import Iterable

import pytest
from babel.messages import Catalog, Message
from babel.messages.frontend import CommandLineInterface
from babel.messages.pofile import read_po

from server.utils.languages import CATALOGS, LANGUAGES, direction, show_city, spoken

ROOT = pathlib.Path(__file__).parents[2]
TRANSLATED = sorted(set(LANGUAGES) - {"en"})
PLACEHOLDER = re.compile(r"%\((\w+)\)[a-z]|%(?!\()")


@pytest.fixture(scope="module")
def sentences(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    """What stands in the sources now."""
    target = tmp_path_factory.mktemp("sentences") / "messages.pot"
    command = ["pybabel", "-q", "extract", "-F", str(ROOT / "pyproject.toml"), "-o", str(target), str(ROOT / "server")]
    CommandLineInterface().run(command)
    with target.open("rb") as file:
        return read_po(file)


def forms(message: Message) -> list[str]:
    return [message.string] if isinstance(message.string, str) else list(message.string)


def ids(message: Message) -> list[str]:
    return [message.id] if isinstance(message.id, str) else list(message.id)


def placeholders(text: str) -> list[str]:
    return sorted(PLACEHOLDER.findall(text))


def wrong(catalog: Catalog, sentences: Iterable[Message]) -> list[str]:
    """What a reader of this language would stumble over."""
    found = []
    for sentence in sentences:
        if not sentence.id:
            continue
        translated = catalog.get(sentence.id, sentence.context)
        if translated is None or not all(forms(translated)):
            found.append(f"missing: {sentence.id}")
        elif translated.fuzzy:
            found.append(f"fuzzy: {sentence.id}")
        elif len(forms(translated)) != (catalog.num_plurals if translated.pluralizable else 1):
            found.append(f"plural forms: {sentence.id}")
        elif any(placeholders(form) != placeholders(ids(sentence)[-1]) for form in forms(translated)):
            found.append(f"placeholders: {sentence.id}")
    known = {str(sentence.id) for sentence in sentences}
    found += [f"not said any more: {message.id}" for message in catalog if str(message.id) not in known]
    return found + [f"not said any more: {key}" for key in catalog.obsolete]


def test_there_is_a_catalog_of_each_language() -> None:
    assert sorted(path.name for path in CATALOGS.iterdir() if path.is_dir()) == TRANSLATED


@pytest.mark.parametrize("language", TRANSLATED)
def test_every_sentence_is_translated(language: str, sentences: Catalog) -> None:
    with (CATALOGS / language / "LC_MESSAGES" / "messages.po").open("rb") as file:
        catalog = read_po(file, locale=language)
    assert len(catalog) > 80
    assert wrong(catalog, sentences) == []


def test_a_bad_translation_is_noticed(sentences: Catalog) -> None:
    """The negative control: one of each kind."""
    source = """
msgid "Hello %(name)s,"
msgstr "Hola %(nombre)s:"

#, fuzzy
msgid "Sign in"
msgstr "Entrar"

msgid "We are sorry."
msgstr ""

msgid "Nobody says this."
msgstr "Nadie lo dice."
"""
    said = wrong(read_po(io.BytesIO(source.encode()), locale="es"), sentences)
    assert {
        "placeholders: Hello %(name)s,",
        "fuzzy: Sign in",
        "missing: We are sorry.",
        "missing: Choose another time",
        "not said any more: Nobody says this.",
    } <= set(said)


def test_no_sentence_has_markup_in_it(sentences: Catalog) -> None:
    """Styles are put into the elements of a template before its sentences are looked up."""
    assert [sentence.id for sentence in sentences if re.search(r"[<>&]", str(sentence.id))] == []


def test_a_language_of_a_region_is_that_language_and_another_one_is_none() -> None:
    assert [spoken(wish) for wish in ("de-AT", "EN", "pt", "", None)] == ["de", "en", None, None, None]
    assert [direction(language) for language in ("en", "ar")] == ["ltr", "rtl"]
    assert [show_city("Europe/Lisbon", language) for language in ("en", "de", "ar")] == ["Lisbon", "Lissabon", "لشبونة"]
