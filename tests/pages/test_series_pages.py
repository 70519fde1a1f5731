"""Visits that repeat, on the pages of the front desk and of patients."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import func, select

from server.extensions import db
from server.models import Appointment
from server.services import series
from server.services.occurrences import Plan
from tests.cast import Cast, Person
from tests.clients import XHTML, PageClient
from tests.factories import create_appointment

Pages = Callable[[Person | None], PageClient]


def wanted(cast: Cast) -> dict[str, Any]:
    """A check-up for ana with Dr Cho on Tuesday of next week at 11."""
    return {
        "location": cast.location_id,
        "practitioner": cast.dr_cho.practitioner_id,
        "service": cast.checkup_id,
        "patient": cast.ana.patient_id,
        "start": f"{cast.at(11):%Y-%m-%dT%H:%M:%SZ}",
    }


def booked(cast: Cast, count: int = 4) -> Plan:
    return series.book_series(
        service_id=cast.checkup_id,
        practitioner_id=cast.dr_cho.practitioner_id,
        start=cast.at(11),
        every_n_weeks=1,
        count=count,
        patient_id=cast.ana.patient_id,
        actor=cast.dana.actor,
    )


def taken(cast: Cast, week: int, hour: int = 11) -> None:
    doctor = cast.practitioner(cast.dr_cho)
    create_appointment(cast.patient(cast.bea), doctor, cast.location, cast.checkup, cast.at(hour, weeks=week))
    db.session.commit()


def starts(cast: Cast, status: str = "booked") -> list[Any]:
    start = func.lower(Appointment.during)
    query = select(start).where(Appointment.patient_id == cast.ana.patient_id, Appointment.status == status)
    return list(db.session.scalars(query.order_by(start)))


def ticks(page: PageClient) -> list[str]:
    return [field.get("value") for field in page.all("input") if field.get("name") == "replacement"]


def test_dana_repeats_a_visit_and_takes_what_is_proposed(cast: Cast, page_client: Pages) -> None:
    taken(cast, 2)
    page = page_client(cast.dana)
    page.get("/admin/book?" + "&".join(f"{name}={value}" for name, value in wanted(cast).items()), status=200)
    assert page.says("Repeat it")
    page.post("/admin/book/plan-series", **wanted(cast), every_n_weeks=1, count=3, reason="Knee", status=200)
    assert page.says("1 of 3 is not free")
    assert page.says("This time is taken.")
    (tick,) = ticks(page)
    assert starts(cast) == []
    hidden = {f.get("name"): f.get("value") for f in page.all("input") if f.get("type") == "hidden"}
    page.post("/admin/book/series", status=302, **{**hidden, "replacement": tick})
    page.get(page.location, status=200)
    assert page.says("All 3 visits are booked.")
    assert starts(cast) == [cast.at(11), cast.at(10, 30, weeks=2), cast.at(11, weeks=3)]
    assert set(db.session.scalars(select(Appointment.reason).where(Appointment.series_id.is_not(None)))) == {"Knee"}


def test_what_is_not_ticked_is_left_out(cast: Cast, page_client: Pages) -> None:
    taken(cast, 2)
    page = page_client(cast.dana).get("/admin/book")
    page.post("/admin/book/series", **wanted(cast), every_n_weeks=1, count=3, status=302)
    page.get(page.location, status=200)
    assert page.says("2 of 3 visits are booked. The others were not free.")


def test_when_nothing_is_free_any_more_the_plan_comes_again(cast: Cast, page_client: Pages) -> None:
    for week in (1, 2):
        taken(cast, week)
    page = page_client(cast.dana).get("/admin/book")
    page.post("/admin/book/series", **wanted(cast), every_n_weeks=1, count=2, status=409)
    assert page.says("2 of 2 visits are not possible")
    assert len(ticks(page)) == 2


@pytest.mark.parametrize("over", [{"count": 53}, {"count": ""}, {"every_n_weeks": "-1"}, {"every_n_weeks": "x"}])
def test_a_number_that_is_none_gets_a_sentence(cast: Cast, page_client: Pages, over: dict[str, Any]) -> None:
    page = page_client(cast.dana).get("/admin/book")
    page.post("/admin/book/plan-series", status=422, **{**wanted(cast), "every_n_weeks": 1, "count": 3, **over})
    assert page.says("Write a whole number from 1 to 52.")


def test_odd_ticks_get_a_sentence(cast: Cast, page_client: Pages) -> None:
    page = page_client(cast.dana).get("/admin/book")
    fields = {**wanted(cast), "every_n_weeks": 1, "count": 3}
    for tick in ("x", "1", "1 soon", "99999 2026-12-01T10:00:00Z"):
        page.post("/admin/book/series", status=422, **fields, replacement=tick)
    page.post("/admin/book/series", status=422, **fields, replacement="9 2026-12-01T10:00:00Z")


def test_a_visit_says_which_of_the_series_it_is(cast: Cast, page_client: Pages) -> None:
    visit = booked(cast).occurrences[2].appointment_id
    page = page_client(cast.dana).get(f"/admin/appointments/{visit}", status=200)
    assert page.says("Visit 3 of 4 in a series")
    link = next(a.get("href") for a in page.all("a") if "/admin/series/" in a.get("href", ""))
    page.get(link, status=200)
    assert page.says("4 of 4 visits are still to come")
    assert page_client(cast.dr_cho).get(link, status=200).says("Series of Ana Silva")
    page_client(cast.dr_diaz).get(link, status=404)


@pytest.mark.parametrize(("scope", "left"), [("this", [1, 2, 4]), ("following", [1, 2]), ("all", [])])
def test_dana_cancels_this_the_following_or_all(cast: Cast, page_client: Pages, scope: str, left: list[int]) -> None:
    visit = booked(cast).occurrences[2].appointment_id
    page = page_client(cast.dana).get(f"/admin/appointments/{visit}/cancel", status=200)
    assert page.says("This and the later ones (2 in all)")
    page.post(f"/admin/appointments/{visit}/cancel", scope=scope, reason="Better", if_version=1, status=302)
    page.get(page.location, status=200)
    assert starts(cast) == [cast.at(11, weeks=week) for week in left]


def test_dana_moves_the_following_after_a_look_at_the_plan(cast: Cast, page_client: Pages) -> None:
    plan = booked(cast)
    taken(cast, 4, hour=14)
    visit = plan.occurrences[1].appointment_id
    page = page_client(cast.dana).get(f"/admin/appointments/{visit}/move", status=200)
    choice = f"{cast.at(14, weeks=2):%Y-%m-%dT%H:%M:%SZ} {cast.dr_cho.practitioner_id}"
    page.post(f"/admin/appointments/{visit}/move", choice=choice, scope="following", if_version=1, status=200)
    assert page.says("1 of 3 is not free")
    assert starts(cast) == [cast.at(11, weeks=week) for week in (1, 2, 3, 4)]
    (tick,) = ticks(page)
    page.post(
        f"/admin/appointments/{visit}/move-series", choice=choice, scope="following", replacement=tick, status=302
    )
    assert page.get(page.location, status=200).says("All 3 visits are moved.")
    assert starts(cast)[:3] == [cast.at(11), cast.at(14, weeks=2), cast.at(14, weeks=3)]
    assert starts(cast)[3] in (cast.at(13, 30, weeks=4), cast.at(14, 30, weeks=4))


def test_a_visit_of_its_own_is_no_series(cast: Cast, page_client: Pages) -> None:
    taken(cast, 1)
    visit = db.session.scalars(select(Appointment.id)).one()
    page = page_client(cast.dana).get(f"/admin/appointments/{visit}/cancel", status=200)
    assert not [field for field in page.document.iter(f"{XHTML}input") if field.get("name") == "scope"]
    page.post(f"/admin/appointments/{visit}/cancel", scope="all", if_version=1, status=422)
    page.post(f"/admin/appointments/{visit}/cancel", scope="some", if_version=1, status=422)


def test_ana_sees_the_series_and_cancels_the_later_ones(cast: Cast, page_client: Pages) -> None:
    visit = booked(cast).occurrences[1].appointment_id
    page = page_client(cast.ana).get(f"/visits/{visit}", status=200)
    assert page.says("Visit 2 of 4")
    page.get(f"/visits/{visit}/cancel", status=200)
    assert page.says("This and the later ones of the series (3 in all)")
    page.post(f"/visits/{visit}/cancel", scope="following", reason="", status=302)
    assert page.get(page.location, status=200).says("This visit and the later ones are cancelled.")
    assert starts(cast) == [cast.at(11)]


def test_a_practitioner_makes_no_series(cast: Cast, page_client: Pages) -> None:
    page = page_client(cast.dr_cho).get("/admin/day")
    page.post("/admin/book/plan-series", status=403, **wanted(cast), every_n_weeks=1, count=3)
