"""What several tests of the services stand on."""

from datetime import time

import pytest

from tests.cast import Cast
from tests.services.waiting import settle


@pytest.fixture
def no_quiet_hours(cast: Cast) -> None:
    """Whatever hour it is, offers go out."""
    settle(quiet_from=time(0), quiet_until=time(0))
