"""Loaded by every Python process on a false clock: libfaketime mistakes Python's sleep, which is until an instant."""

import select
import time


def sleep(seconds: float) -> None:
    select.select([], [], [], seconds)


time.sleep = sleep
