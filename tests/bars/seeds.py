"""One seed for everything random in a run: printed, and given back with TEST_SEED to see the same again."""

import os
import random

SEED = int(os.environ.get("TEST_SEED") or random.randrange(10**6))


def dice(*about: object) -> random.Random:
    """A generator that depends on the seed and on what it is for, not on which tests ran before."""
    name = " ".join(map(str, about))
    print(f"TEST_SEED={SEED} ({name})")  # noqa: T201 - pytest shows it beside a failure
    return random.Random(f"{SEED} {name}")


def tell(figures: str) -> None:
    """A figure that a bar has measured, for `pytest -rP`."""
    print(figures)  # noqa: T201 - pytest shows it beside a failure, or when asked
