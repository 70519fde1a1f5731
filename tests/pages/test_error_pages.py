"""What went wrong is said inside of the pages that the reader works with."""

from collections.abc import Callable
from uuid import uuid4

from tests.cast import Cast, Person
from tests.clients import PageClient

Pages = Callable[[Person | None], PageClient]


def ways(page: PageClient) -> set[str]:
    """Where the navigation and the page itself lead."""
    return {link.get("href") for link in page.all("a")}


def test_staff_stay_among_their_pages_whatever_goes_wrong(cast: Cast, page_client: Pages) -> None:
    dana = page_client(cast.dana)
    for path, status in (
        (f"/admin/appointments/{uuid4()}", 404),
        ("/admin/nothing", 404),
        ("/nothing", 404),
        ("/admin/day?date=tomorrow", 422),
        ("/admin/waitlist/join/find-patient", 405),
    ):
        assert {"/admin/hours", "/admin/leave", "/admin"} <= ways(dana.get(path, status=status)), path
        assert not dana.says("To the front page")
    dr_cho = page_client(cast.dr_cho).get("/admin/book", status=403)
    assert "/admin/hours" in ways(dr_cho)
    assert "/admin/book" not in ways(dr_cho), "the navigation names what the reader may open"


def test_patients_and_visitors_see_nothing_of_the_staff_pages(cast: Cast, page_client: Pages) -> None:
    for who, path, status in (
        (cast.ana, "/admin/day", 403),
        (cast.ana, "/nothing", 404),
        (None, "/nothing", 404),
    ):
        page = page_client(who).get(path, status=status)
        assert not [link for link in ways(page) if link.startswith("/admin")], path
        assert page.says("To the front page")
