"""Stretches of time, as (start, end) pairs that are half open."""

from collections.abc import Iterable
from datetime import datetime

Span = tuple[datetime, datetime]


def overlap(one: Span, other: Span) -> bool:
    """Whether the two have a moment in common."""
    return one[0] < other[1] and other[0] < one[1]


def without(spans: Iterable[Span], taken: Iterable[Span]) -> list[Span]:
    """What is left of `spans` when `taken` is taken away; the result is in order and does not overlap."""
    left = _joined(spans)
    for start, end in taken:
        left = [
            piece
            for lower, upper in left
            for piece in ((lower, min(upper, start)), (max(lower, end), upper))
            if piece[0] < piece[1]
        ]
    return left


def _joined(spans: Iterable[Span]) -> list[Span]:
    joined: list[Span] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined
