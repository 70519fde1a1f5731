"""The pages about hours, leave, groups, series and the waitlist, in the dark and on a small phone."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import requests
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from server.trial.sample_cast import ANA, DANA, PASSWORD
from tests.browser.looking import check
from tests.running import LiveServer

pytestmark = [pytest.mark.browser, pytest.mark.processes]
OLGA = "olga@example.com"


class Api:
    """The same server over its API: how the tests arrange what the pages then show."""

    def __init__(self, server: LiveServer, email: str) -> None:
        self.base = f"{server.url}/api/v1"
        answer = requests.post(f"{self.base}/auth/login", json={"email": email, "password": PASSWORD}, timeout=10)
        self.headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}

    def get(self, path: str, **query: Any) -> Any:
        return self._answer(requests.get(f"{self.base}{path}", params=query, headers=self.headers, timeout=10))

    def post(self, path: str, **body: Any) -> Any:
        headers = {**self.headers, "Idempotency-Key": str(uuid4())}
        return self._answer(requests.post(f"{self.base}{path}", json=body, headers=headers, timeout=10))

    def _answer(self, answer: requests.Response) -> Any:
        assert answer.ok, answer.text
        return answer.json()


@pytest.fixture(scope="module")
def found(live_server: LiveServer) -> dict[str, str]:
    """A group session, a series, leave and somebody who waits, and the ids of what the sample clinic has."""
    olga, dana, ana = (Api(live_server, email) for email in (OLGA, DANA, ANA))
    named = {each["name"]: each["id"] for each in ana.get("/services")["items"] + ana.get("/locations")["items"]}
    where = {"service_id": named["General consultation"], "location_id": named["Riverside Clinic"]}
    now = datetime.now(UTC)
    span = {"from": (now + timedelta(days=8)).isoformat(), "to": (now + timedelta(days=40)).isoformat()}
    times = ana.get("/availability", **where, **span, limit=200)["items"]
    first, last = times[0], times[-1]
    who = {name: first[name] for name in ("practitioner_id", "location_id")}
    group = olga.post("/services", name="Back school", duration_minutes=60, step_minutes=30, capacity=12)
    on = {"on": str((now + timedelta(days=12)).date()), "starts_at": "19:00", "ends_at": "22:00"}
    olga.post("/schedules", **who, **on, service_ids=[group["id"]])
    dana.post("/group-sessions", **who, service_id=group["id"], start=f"{on['on']}T19:00:00-05:00")
    patient_id = ana.get("/me")["patients"][0]["id"]
    series = dana.post(
        "/appointment-series",
        **{name: first[name] for name in ("service_id", "practitioner_id", "location_id", "start")},
        count=2,
        patient_id=patient_id,
        skip_conflicts=True,
    )
    visits = dana.get(f"/appointment-series/{series['id']}")["appointments"]
    ana.post("/waitlist", appointment_id=visits[-1]["id"])
    end = datetime.fromisoformat(last["end"]) + timedelta(minutes=1)
    leave = dana.post(
        "/closures", start=last["end"], end=end.isoformat(), practitioner_id=last["practitioner_id"], reason="Course"
    )
    return {
        "service": where["service_id"],
        "group": group["id"],
        "patient": patient_id,
        "practitioner": first["practitioner_id"],
        "location": first["location_id"],
        "series": series["id"],
        "visit": visits[-1]["id"],
        "leave": leave["id"],
    }


def sign_in(browser: Chrome, live_server: LiveServer, email: str) -> None:
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    )
    browser.get(f"{live_server.url}/login")
    browser.find_element(By.ID, "email").send_keys(email)
    browser.find_element(By.ID, "password").send_keys(PASSWORD)
    browser.find_element(By.CSS_SELECTOR, "main form button[type=submit]").click()


def look_at(browser: Chrome, live_server: LiveServer, paths: tuple[str, ...], found: dict[str, str]) -> None:
    for path in paths:
        browser.get(live_server.url + path.format(**found))
        assert browser.find_element(By.TAG_NAME, "h1").text != "There is no such page", path
        assert browser.execute_script("return document.documentElement.dataset.bsTheme") == "dark"
        check(browser)


STAFF = (
    "/admin/series/{series}",
    "/admin/waitlist/join?patient={patient}&service={service}",
    "/admin/leave/{leave}",
    "/admin/hours?practitioner={practitioner}",
    "/admin/appointments/{visit}",
)
MORE_OF_STAFF = (
    "/admin/sessions?location={location}",
    "/admin/appointments/{visit}/cancel",
    "/admin/waitlist",
    "/admin/leave",
    "/admin/leave/new",
    "/admin/leave/{leave}/change",
    "/admin/holidays?location={location}&year=2030",
    "/admin/stranded",
    "/admin/own-calendar?practitioner={practitioner}",
    "/admin/messages?outcome=failed",
    "/admin/reminders",
)
PATIENT = (
    "/book/{group}",
    "/book/{service}/waitlist",
    "/visits",
    "/visits/{visit}",
    "/visits/{visit}/waitlist",
    "/visits/{visit}/cancel",
    "/visits/calendar",
    "/access/{patient}",
)
OF_OLGA = ("/admin/audit", "/admin/audit?patient={patient}", "/admin/jobs")


def test_the_engines_pages_are_readable(browser: Chrome, live_server: LiveServer, found: dict[str, str]) -> None:
    sign_in(browser, live_server, DANA)
    look_at(browser, live_server, STAFF, found)


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("who", "paths"), [(DANA, MORE_OF_STAFF), (ANA, PATIENT), (OLGA, OF_OLGA)], ids=["staff", "patients", "olga"]
)
def test_the_others_are_readable_too(
    browser: Chrome, live_server: LiveServer, found: dict[str, str], who: str, paths: tuple[str, ...]
) -> None:
    sign_in(browser, live_server, who)
    look_at(browser, live_server, paths, found)
