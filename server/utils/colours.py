"""Colours that can be read: contrast (WCAG 2.2, 1.4.3), and shades of one colour for light and dark grounds."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

ENOUGH = 4.5  # to 1, of text of the usual size
WHITE, BLACK = "#ffffff", "#000000"
# The grounds of our pages and letters on which the accent stands as text; static/css and letter.css paint them.
LIGHT_GROUNDS = ("#ffffff", "#f4f7f6", "#eaf0ee")
DARK_GROUNDS = ("#101b19", "#182725", "#1d2f2c")
ON_DARK_ACCENT = "#0d1f1c"


@dataclass(frozen=True)
class Shades:
    """One colour as text and as a ground, in the light and in the dark; `soft` behind text, `strong` pointed at."""

    light: str
    light_strong: str
    light_soft: str
    dark: str
    dark_strong: str
    dark_soft: str
    on_dark: str = ON_DARK_ACCENT


def contrast(one: str, other: str) -> float:
    """From 1 (the same) to 21 (black on white). Colours are #rrggbb."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


@lru_cache(maxsize=64)
def shades(colour: str) -> Shades:
    """What is made of a colour so that it can be read everywhere: no darker and no lighter than needed."""
    light_soft, dark_soft = _mix(WHITE, colour, 0.12), _mix("#182725", colour, 0.25)
    light = _moved(colour, BLACK, (*LIGHT_GROUNDS, light_soft))
    dark = _moved(colour, WHITE, (*DARK_GROUNDS, dark_soft, ON_DARK_ACCENT))
    return Shades(light, _mix(light, BLACK, 0.25), light_soft, dark, _mix(dark, WHITE, 0.35), dark_soft)


def _moved(colour: str, towards: str, grounds: Iterable[str]) -> str:
    """The first step from `colour` to `towards` that can be read on each of the grounds."""
    steps = (_mix(colour, towards, step / 50) for step in range(51))
    return next(moved for moved in steps if all(contrast(moved, ground) >= ENOUGH for ground in grounds))


def _mix(one: str, other: str, share: float) -> str:
    mixed = (round(a + (b - a) * share) for a, b in zip(_channels(one), _channels(other), strict=True))
    return "#" + "".join(f"{channel:02x}" for channel in mixed)


def _channels(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _luminance(colour: str) -> float:
    shares = (channel / 255 for channel in _channels(colour))
    red, green, blue = (share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
