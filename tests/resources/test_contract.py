"""F1, F2: the description of the API is true, and the API does nothing that it does not describe."""

import contextvars
import copy
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from uuid import UUID

import jsonschema_rs
import pytest
import schemathesis
from flask import Flask
from flask_jwt_extended import create_access_token, create_refresh_token
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import Status, events, from_schema
from sqlalchemy import text

from server.extensions import db
from server.resources import docs
from server.services import tokens
from server.services.access import SYSTEM
from server.utils.tokens import new_secret
from tests.cast import Cast, Person

# Every check of schemathesis, but for the few that ask for what was not promised.
CHECKS = {
    # A well-formed booking may still be refused by the rules of the clinic, and that is a 422.
    "positive_data_acceptance": {"enabled": False},
    # Its probe without credentials cannot be sent to an application in this process; see below.
    "ignored_auth": {"enabled": False},
    # If-Match is 428 without and 412 with an old one (RFC 6585, RFC 9110), neither of which it knows.
    "missing_required_header": {"expected-statuses": [401, 403, 404, 422, 428]},
    "negative_data_rejection": {"expected-statuses": [400, 401, 403, 404, 405, 409, 412, 415, 422, 428]},
}


PHASES = ("examples", "coverage", "fuzzing", "stateful")
SEED = 20_261_201


class Door:
    """The WSGI application as one person reaches it: each request in a context of its own, with a token that is valid.

    The description's cases carry `Bearer somebody`; whatever else they carry is passed on as it is.
    """

    def __init__(self, app: Flask, person: Person | None) -> None:
        self.app, self.person, self.access_token = app, person, ""

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        return contextvars.Context().run(self._serve, environ, start_response)

    def _serve(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ.get("HTTP_AUTHORIZATION") == "Bearer somebody" and self.person is not None:
            environ["HTTP_AUTHORIZATION"] = f"Bearer {self._token(self.person, environ['PATH_INFO'])}"
        return self.app.wsgi_app(environ, start_response)

    def _token(self, person: Person, path: str) -> str:
        """A refresh token where one is used up, else the access token, of a new sign-in where the old one ends."""
        if not self.access_token or path.endswith(("/auth/refresh", "/auth/logout")):
            with self.app.app_context():
                secret, lifetime = new_secret(), self.app.config["JWT_REFRESH_TOKEN_EXPIRES"]
                family = tokens.begin_family(person.user_id, secret=secret, lifetime=lifetime, actor=SYSTEM)
                claims = {"fam": str(family), "sec": secret}
                if path.endswith("/auth/refresh"):
                    return create_refresh_token(str(person.user_id), additional_claims=claims)
                token = create_access_token(str(person.user_id), additional_claims={"fam": str(family)})
            if path.endswith("/auth/logout"):
                return token
            self.access_token = token
        return self.access_token


def drive(
    app: Flask, cast: Cast, person: Person | None, *, examples: int, phases: str = "examples fuzzing", path: str = ""
) -> Counter[str]:
    """Send what schemathesis makes of the description, as this person; counts by phase. Raises with what is untrue."""
    config = SchemathesisConfig.from_dict(
        {
            "seed": SEED,
            "headers": {"Authorization": "Bearer somebody"} if person else {},
            "generation": {"max-examples": examples, "deterministic": True, "no-shrink": True, "database": "none"},
            "checks": CHECKS,
            "phases": {name: {"enabled": name in phases} for name in PHASES},
        }
    )
    # Making cases takes its time, and the transaction of the test waits meanwhile.
    db.session.execute(text("SET idle_in_transaction_session_timeout = 0"))
    db.session.commit()
    schema = schemathesis.openapi.from_wsgi("/api/openapi.json", Door(app, person), config=config)
    schema = schema.include(path_regex=path) if path else schema
    _use_real_ids(schema, cast)
    cases: Counter[str] = Counter()
    failures: dict[str, str] = {}
    for event in from_schema(schema).execute():
        if isinstance(event, events.NonFatalError | events.FatalError):
            failures[type(event).__name__] = str(vars(event))
        elif isinstance(event, events.ScenarioFinished):
            cases[event.phase.value] += len(event.recorder.cases)
            for check in (check for checks in event.recorder.checks.values() for check in checks):
                if check.status == Status.FAILURE and check.failure_info is not None:
                    failure = check.failure_info.failure
                    story = f"{failure.message}\n{check.failure_info.code_sample}"
                    failures.setdefault(f"{event.recorder.label}: {failure.title}", story)
    assert not failures, "\n\n".join(f"{name}\n{story}" for name, story in failures.items())
    return cases


def _use_real_ids(schema: Any, cast: Cast) -> None:
    """Every second well-formed id is one that exists, so that doors are entered and not only knocked at."""
    known = {
        "service_id": cast.checkup_id,
        "location_id": cast.location_id,
        "practitioner_id": cast.dr_cho.practitioner_id,
        "patient_id": cast.ana.patient_id,
    }

    def with_real_ids(_context: Any, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        return {name: _real(known.get(name), value) for name, value in values.items()}

    for hook in ("map_path_parameters", "map_query", "map_body"):
        schema.hook(hook)(with_real_ids)


def _real(known: UUID | None, value: Any) -> Any:
    if (
        known is None
        or not isinstance(value, str)
        or not re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", value)
    ):
        return value
    return str(known) if int(value[-1], 16) % 2 == 0 else value


@pytest.mark.parametrize(
    ("who", "phases", "examples"),
    [("visitor", "examples fuzzing", 4), ("ana", "examples fuzzing", 10), ("dana", "examples coverage fuzzing", 5)],
)
@pytest.mark.usefixtures("no_limits", "cheap_passwords")
def test_F1_the_description_is_true(app: Flask, cast: Cast, who: str, phases: str, examples: int) -> None:
    cases = drive(app, cast, getattr(cast, who, None), examples=examples, phases=phases)
    assert cases.total() > 100
    print(f"\nF1 {who}: {cases.total()} cases {dict(cases)}")  # noqa: T201 - the bar asks for the count


@pytest.mark.nightly
@pytest.mark.usefixtures("no_limits", "cheap_passwords")
def test_F1_the_description_is_true_in_50000_cases(app: Flask, cast: Cast) -> None:
    cases: Counter[str] = Counter()
    for person in (None, cast.ana, cast.dr_cho, cast.dana, cast.olga):  # one of each role
        cases += drive(app, cast, person, examples=600, phases="examples coverage fuzzing stateful")
        print(f"\nF1: {cases.total()} cases {dict(cases)}")  # noqa: T201 - as above
    assert cases.total() >= 50_000


@pytest.mark.usefixtures("no_limits")
def test_F1_control_a_lie_in_the_description_is_noticed(app: Flask, cast: Cast, description: dict[str, Any]) -> None:
    lying = copy.deepcopy(description)
    lying["components"]["schemas"]["Location"]["properties"]["name"]["type"] = "integer"
    del lying["paths"]["/api/v1/locations/{location_id}"]["get"]["responses"]["404"]
    app.extensions["openapi"] = lying
    try:
        with pytest.raises(AssertionError) as found:
            drive(app, cast, None, examples=5, path="/locations")
    finally:
        app.extensions["openapi"] = description
    assert "GET /api/v1/locations/{location_id}: Undocumented status code" in str(found.value)
    assert "GET /api/v1/locations: Response violates schema" in str(found.value)


@pytest.fixture
def description(app: Flask) -> dict[str, Any]:
    with app.test_request_context():
        return docs.description()


def operations(description: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            if method != "parameters":
                yield method.upper(), path, operation


# Doors under /api that the description leaves out, and why.
NOT_DESCRIBED = {
    ("GET", "/api/openapi.json"): "is the description",
    ("GET", "/api/docs"): "shows the description to people",
    ("GET", "/api/docs/files/{name}"): "Swagger UI's own files",
}


def test_F2_every_door_is_described_and_every_description_has_a_door(app: Flask, description: dict[str, Any]) -> None:
    doors = {
        (method, re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule))
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.rule.startswith("/api")
    }
    described = {(method, path) for method, path, _ in operations(description)}
    assert doors - described == set(NOT_DESCRIBED)
    assert described - doors == set()


def test_F2_every_operation_has_a_summary_its_problems_and_an_example(description: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, _, operation in operations(description)]
    assert len(names) == len(set(names))
    for method, path, operation in operations(description):
        where = f"{method} {path}"
        assert 5 < len(operation["summary"]) < 100, where
        assert not operation["summary"].endswith("."), where
        assert {"422", "503"} <= set(operation["responses"]), where
        shared = description["components"]["responses"]
        answers = [
            shared.get(answer.get("$ref", "").rpartition("/")[2], answer) for answer in operation["responses"].values()
        ]
        for body in (operation.get("requestBody", {}), *answers):
            for media in body.get("content", {}).values():
                assert "example" in media, where
                shape = {**media["schema"], "components": description["components"]}
                assert jsonschema_rs.is_valid(shape, media["example"], validate_formats=True), where


def test_an_account_is_asked_for_exactly_where_the_description_says_so(
    app: Flask, api_client: Callable[..., Any], description: dict[str, Any]
) -> None:
    for token in (None, "Bearer nonsense", "Basic YW5hOmFuYQ=="):
        visitor = api_client(None)
        visitor.headers = {"Authorization": token} if token else {}
        for method, path, operation in operations(description):
            answer = visitor.request(method, re.sub(r"{\w+}", "00000000-0000-0000-0000-000000000000", path))
            if operation.get("security") == [{"bearer": []}] or (token and operation.get("security")):
                assert (answer.status_code, answer.mimetype) == (401, "application/problem+json"), f"{method} {path}"
                assert answer.headers["WWW-Authenticate"].startswith("Bearer")
            else:
                assert answer.status_code != 401, f"{method} {path}"


def test_dana_reads_the_description_in_swagger_ui_from_our_own_host(api_client: Callable[..., Any]) -> None:
    page = api_client(None).get("/api/docs")
    assert page.mimetype == "text/html"
    files = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert "/api/openapi.json" in files
    assert all(file.startswith("/") for file in files)
    for file in files:
        with api_client(None).get(file) as answer:
            assert answer.status_code == 200
    description = api_client(None).get("/api/openapi.json")
    assert (description.mimetype, description.json["openapi"]) == ("application/json", "3.1.0")
