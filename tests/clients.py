"""How the people of the tests come in: over the API with a token, or on the pages with a session."""

import contextvars
import re
from typing import Any

import html5lib
from flask import Flask
from flask.testing import FlaskClient
from flask_jwt_extended import create_access_token

from server.services import tokens
from server.services.access import SYSTEM
from server.utils.tokens import new_secret
from tests.cast import Person
from tests.factories import PASSWORD

XHTML = "{http://www.w3.org/1999/xhtml}"


class Client(FlaskClient):
    """Each request in a context of its own, as in a server, even while the test holds one."""

    def open(self, *args: Any, **kwargs: Any) -> Any:
        return contextvars.Context().run(super().open, *args, **kwargs)


class ApiClient:
    """JSON with a bearer token: `client.post("/appointments", {...})`."""

    def __init__(self, app: Flask, person: Person | None) -> None:
        self._client = Client(app, app.response_class)
        self.headers: dict[str, str] = {}
        if person is not None:
            from server.extensions import db

            lifetime = app.config["JWT_REFRESH_TOKEN_EXPIRES"]
            self.family_id = tokens.begin_family(person.user_id, secret=new_secret(), lifetime=lifetime, actor=SYSTEM)
            db.session.commit()
            token = create_access_token(str(person.user_id), additional_claims={"fam": str(self.family_id)})
            self.headers["Authorization"] = f"Bearer {token}"

    def request(self, method: str, path: str, body: Any = None, **kwargs: Any) -> Any:
        headers = {**self.headers, **kwargs.pop("headers", {})}
        path = path if path.startswith("/api") else f"/api/v1{path}"
        if body is not None:
            kwargs["json"] = body
        return self._client.open(path, method=method, headers=headers, **kwargs)

    def get(self, path: str, **kwargs: Any) -> Any:
        return self.request("GET", path, **kwargs)

    def post(self, path: str, body: Any = None, **kwargs: Any) -> Any:
        return self.request("POST", path, body, **kwargs)

    def patch(self, path: str, body: Any = None, **kwargs: Any) -> Any:
        return self.request("PATCH", path, body, **kwargs)

    def delete(self, path: str, **kwargs: Any) -> Any:
        return self.request("DELETE", path, **kwargs)


class PageClient:
    """A browser without JavaScript that reads every page as HTML5 and is strict about it."""

    def __init__(self, app: Flask, person: Person | None = None) -> None:
        self.client = Client(app, app.response_class)
        self.response: Any = None
        self.document: Any = None
        if person is not None:
            self.get("/login")
            self.post("/login", email=person.email, password=PASSWORD)
            assert self.response.status_code == 302, "could not sign in"

    def get(self, path: str, *, follow: bool = False, status: int | None = None) -> "PageClient":
        return self._keep(self.client.get(path, follow_redirects=follow), status)

    def post(self, path: str, *, follow: bool = False, status: int | None = None, **fields: Any) -> "PageClient":
        """Send a form, with the CSRF token of the page that was open."""
        fields = {"csrf_token": self.csrf_token(), **{key: str(value) for key, value in fields.items()}}
        return self._keep(self.client.post(path, data=fields, follow_redirects=follow), status)

    def csrf_token(self) -> str:
        found = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', self.text) if self.response is not None else None
        return found[1] if found else ""

    @property
    def text(self) -> str:
        return self.response.get_data(as_text=True)

    @property
    def location(self) -> str:
        return self.response.headers.get("Location", "")

    def all(self, tag: str) -> list[Any]:
        return list(self.document.iter(XHTML + tag))

    def says(self, words: str) -> bool:
        """Whether a reader finds these words on the page, however they are broken into lines."""
        seen = " ".join(" ".join(self.document.itertext()).split())
        return words in seen

    def _keep(self, response: Any, status: int | None) -> "PageClient":
        self.response = response
        assert status is None or response.status_code == status, f"{response.status_code}: {self.text[:500]}"
        if response.mimetype == "text/html" and response.status_code not in (301, 302, 303, 307, 308):
            self.document = html5lib.HTMLParser(strict=True).parse(self.text)
            self._check_page()
        return self

    def _check_page(self) -> None:
        assert len(self.all("h1")) == 1, "a page has one h1"
        title = self.document.find(f"{XHTML}head/{XHTML}title")
        assert title is not None, "a page has a title"
        assert "".join(title.itertext()).strip(), "the title says something"
        ids = [element.get("id") for element in self.document.iter() if element.get("id")]
        assert len(ids) == len(set(ids)), f"duplicate ids: {sorted(i for i in ids if ids.count(i) > 1)}"
        labelled = {label.get("for") for label in self.all("label")}
        wrapped = {id(field) for label in self.all("label") for field in label.iter()}
        for tag in ("input", "select", "textarea"):
            for field in self.all(tag):
                if field.get("type") in ("hidden", "submit", "button"):
                    continue
                named = field.get("id") in labelled or field.get("aria-label") or field.get("aria-labelledby")
                assert named or id(field) in wrapped, f"no label: {field.attrib}"
