"""`python -m benchmarks NAME|all [--quick]`."""

import argparse
import importlib
import logging
import os

from benchmarks import report
from benchmarks.rig import start_rig

NAMES = ("booking", "contention", "availability", "growth", "memory")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Figures as ratios; see README.md.")
    parser.add_argument("name", choices=(*NAMES, "all"))
    parser.add_argument("--quick", action="store_true", help="short trials, to see that everything runs")
    wanted = parser.parse_args()
    for name in NAMES if wanted.name == "all" else (wanted.name,):
        print(f"\n=== {name}: load average {os.getloadavg()[0]:.1f} at the start")
        logging.disable(logging.INFO)
        with start_rig() as rig:
            machine = {**rig.machine(), "load_average_at_the_start": round(os.getloadavg()[0], 1)}
            figures = importlib.import_module(f"benchmarks.{name}").run(rig, quick=wanted.quick)
        report.write(name, machine, figures, quick=wanted.quick)


if __name__ == "__main__":
    main()
