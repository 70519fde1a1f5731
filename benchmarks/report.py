"""Figures as ratios in a small table on the screen, and as JSON for the repository."""

import json
import os
import pathlib
import statistics
from collections.abc import Callable, Sequence
from typing import Any

RESULTS = pathlib.Path(__file__).parent / "results"


def paired(repetitions: int, *trials: Callable[[], Any]) -> list[list[Any]]:
    """Run the trials in turn, A B A B ..., so that a noisy minute meets all of them; the outcomes of each."""
    outcomes: list[list[Any]] = [[] for _ in trials]
    for _ in range(repetitions):
        for trial, seen in zip(trials, outcomes, strict=True):
            seen.append(trial())
    return outcomes


def spread(values: Sequence[float], digits: int = 2) -> dict[str, float]:
    """Median with min and max."""
    return {
        "median": round(statistics.median(values), digits),
        "min": round(min(values), digits),
        "max": round(max(values), digits),
    }


def ratio(numerators: Sequence[float], denominators: Sequence[float]) -> dict[str, float]:
    """Of each pair that ran side by side; median with min and max."""
    return spread([a / b for a, b in zip(numerators, denominators, strict=True)])


def shown(figure: Any) -> str:
    """`12.3 (11.9-14.0)` for a spread, anything else as it is."""
    if isinstance(figure, dict) and figure.keys() == {"median", "min", "max"}:
        return f"{figure['median']:g} ({figure['min']:g}-{figure['max']:g})"
    return f"{figure:g}" if isinstance(figure, float) else str(figure)


def table(title: str, rows: Sequence[dict[str, Any]]) -> None:
    """Print rows of the same keys."""
    print(f"\n{title}")
    cells = [list(rows[0])] + [[shown(value) for value in row.values()] for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    for row in cells:
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def write(name: str, machine: dict[str, Any], figures: dict[str, Any], *, quick: bool) -> None:
    """Keep the figures: of a full run in NAME.json, which is committed, of a quick one in NAME.local.json."""
    RESULTS.mkdir(exist_ok=True)
    kept = {"machine": {**machine, "load_average_at_the_end": round(os.getloadavg()[0], 1)}, **figures}
    path = RESULTS / (f"{name}.local.json" if quick else f"{name}.json")
    path.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
