"""Requests that several tests send."""

from collections.abc import Callable
from typing import Any

from tests.cast import Cast, Person
from tests.clients import ApiClient

Api = Callable[[Person | None], ApiClient]


def wanted(cast: Cast, hour: int = 9, minute: int = 0, **over: Any) -> dict[str, Any]:
    """A check-up with dr_cho on Tuesday of next week, as POST /appointments and /holds take it."""
    return {
        "service_id": str(cast.checkup_id),
        "practitioner_id": str(cast.dr_cho.practitioner_id),
        "start": cast.at(hour, minute).isoformat(),
        **over,
    }


def book(api_client: Api, cast: Cast, who: Person | None = None, hour: int = 9, **over: Any) -> dict[str, Any]:
    """Booked by ana unless told; the appointment."""
    answer = api_client(who or cast.ana).post("/appointments", wanted(cast, hour, **over))
    assert answer.status_code == 201, answer.text
    return answer.json
