"""One live server for the bars of this folder; a bar that breaks things starts its own."""

import contextlib
from collections.abc import Callable, Iterator

import pytest

from tests.bars.live_clinic import Town
from tests.running import start_live_server


@pytest.fixture(scope="session")
def town(
    new_database: Callable[[str], str], redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Town]:
    """Two gunicorn processes over an empty database."""
    folder = tmp_path_factory.mktemp("town-mail")
    with start_live_server(new_database("frontdesk_bars"), redis_url.replace("/0", "/2"), folder, fill=False) as server:
        with contextlib.closing(Town(server)) as town:
            yield town
        assert "Unexpected" not in server.log.read_text(errors="replace"), "an error was answered with 500"
