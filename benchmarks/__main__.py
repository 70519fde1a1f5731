"""`pipenv run bench NAME|all [--quick]`: measure, print, and write benchmarks/results/NAME.json."""

import argparse
import json
import pathlib

from benchmarks.measures import MEASURES
from benchmarks.plans import measure_plans
from benchmarks.rig import start_rig

MEASURES["plans"] = measure_plans
RESULTS = pathlib.Path(__file__).parent / "results"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("name", choices=[*MEASURES, "all"])
    parser.add_argument("--quick", action="store_true", help="fewer and smaller trials; nothing is written")
    given = parser.parse_args()
    for name in MEASURES if given.name == "all" else [given.name]:
        with start_rig() as rig:
            figures = {"machine": rig.machine(), "figures": MEASURES[name](rig, quick=given.quick)}
        print(f"== {name}")
        for what, figure in figures["figures"].items():
            print(f"  {what}: {json.dumps(figure)}")
        if not given.quick:
            RESULTS.mkdir(exist_ok=True)
            (RESULTS / f"{name}.json").write_text(json.dumps(figures, indent=2) + "\n")


main()
