"""How often a request asks the database: a promise, because each question waits for the network."""

import pytest

from tests.cast import Cast
from tests.counting import counted
from tests.resources.asking import Api, wanted


def test_a_booking_asks_twice(api_client: Api, cast: Cast) -> None:
    """Who asks; what the rules say and the booking with its record, letter and reminders."""
    ana = api_client(cast.ana)
    with counted() as statements:
        assert ana.post("/appointments", wanted(cast)).status_code == 201
    assert len(statements) <= 2, "\n".join(statements)


def test_a_key_asks_once_more(api_client: Api, cast: Cast) -> None:
    """The answer to remember; whether the key came before is asked with the account."""
    ana = api_client(cast.ana)
    with counted() as statements:
        assert ana.post("/appointments", wanted(cast), headers={"Idempotency-Key": "x"}).status_code == 201
    assert len(statements) <= 3, "\n".join(statements)
    with counted() as statements:
        assert ana.post("/appointments", wanted(cast), headers={"Idempotency-Key": "x"}).status_code == 201
    assert len(statements) <= 1, "\n".join(statements)


def test_dana_booking_for_ana_asks_once_more(api_client: Api, cast: Cast) -> None:
    dana, body = api_client(cast.dana), wanted(cast, patient_id=str(cast.ana.patient_id))
    with counted() as statements:
        assert dana.post("/appointments", body).status_code == 201
    assert len(statements) <= 3, "\n".join(statements)


@pytest.mark.parametrize(
    ("path", "at_most"),
    [("/me", 2), ("/appointments", 3), ("/locations", 1), ("/services", 1), ("/practitioners", 1)],
)
def test_reading_asks_little(api_client: Api, cast: Cast, path: str, at_most: int) -> None:
    carl = api_client(cast.carl)
    with counted() as statements:
        assert carl.get(path).status_code == 200
    assert len(statements) <= at_most, "\n".join(statements)


def test_one_visit_is_read_in_three_and_its_calendar_in_four(api_client: Api, cast: Cast) -> None:
    ana = api_client(cast.ana)
    visit = ana.post("/appointments", wanted(cast)).headers["Location"]
    for path, at_most in ((visit, 3), (f"{visit}/calendar.ics", 4)):
        with counted() as statements:
            assert ana.get(path).status_code == 200
        assert len(statements) <= at_most, "\n".join(statements)


def test_changing_a_visit_asks_little(api_client: Api, cast: Cast) -> None:
    ana = api_client(cast.ana)
    visit = ana.post("/appointments", wanted(cast)).headers["Location"]
    for step, body, at_most in (
        ("confirm", {}, 5),
        ("reschedule", {"start": cast.at(14).isoformat()}, 12),
        ("cancel", {}, 11),
    ):
        with counted() as statements:
            assert ana.post(f"{visit}/{step}", body).status_code == 200
        assert len(statements) <= at_most, "\n".join(statements)


def test_control_the_counter_counts(api_client: Api, cast: Cast) -> None:
    with counted() as statements:
        api_client(None).get(f"/services/{cast.checkup_id}")
    assert len(statements) == 1
    assert "healthcare_services" in statements[0]
