"""Letters: who gets which and when, and the clinic's own words in them."""

from typing import Any

from server.resources.schemas.letters import LetterListSchema, LetterTextRequestSchema, LetterTextSchema
from server.services import letter_texts
from server.services.letter_texts import Words
from server.web.guards import account_by_api, guard
from server.web.identity import current_actor
from server.web.preconditions import etag, version_from_if_match
from server.web.rest import Blueprint, MethodView

letters = Blueprint("letters", __name__, url_prefix="/api/v1/letters", description="Letters")
guard(letters, account_by_api)


def _versioned(words: Words) -> tuple[Words, dict[str, str]]:
    return words, {"ETag": etag(words.version)}


@letters.route("")
class Letters(MethodView):
    @letters.doc(refusals=[403])
    @letters.response(200, LetterListSchema)
    def get(self) -> dict[str, Any]:
        """Every letter, and in which languages it has own words (administrators)"""
        own = letter_texts.list_letters(actor=current_actor())
        items = [
            {"name": name, **vars(about), "languages": sorted(own[name])} for name, about in letter_texts.ABOUT.items()
        ]
        return {"items": items}


@letters.route("/<name>/texts/<language>")
class LetterText(MethodView):
    @letters.doc(refusals=[403, 404], shows=["ETag"])
    @letters.response(200, LetterTextSchema)
    def get(self, name: str, language: str) -> Any:
        """The clinic's own words of a letter; empty is the standard (administrators)"""
        return _versioned(letter_texts.read_words(name, language, actor=current_actor()))

    @letters.doc(refusals=[403, 404, 412, 428], shows=["ETag"])
    @letters.arguments(LetterTextRequestSchema)
    @letters.response(200, LetterTextSchema)
    def put(self, body: dict[str, str], name: str, language: str) -> Any:
        """Own words, as a whole (administrators); needs If-Match"""
        version = version_from_if_match(required=True)
        return _versioned(letter_texts.put_words(name, language, body, if_version=version, actor=current_actor()))

    @letters.doc(refusals=[403, 404, 412])
    @letters.response(204)
    def delete(self, name: str, language: str) -> None:
        """The standard words again (administrators)"""
        version = version_from_if_match(required=False)
        letter_texts.reset_words(name, language, if_version=version, actor=current_actor())
