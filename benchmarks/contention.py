"""32 clients fight for the same 100 times with 3,200 tries: exactly 100 are booked, nobody waits long."""

from typing import Any

from benchmarks import raw_sql, report
from benchmarks.booking import Servers, open_clinic
from benchmarks.rig import Rig

TIMES, CLIENTS = 100, 32
BOUND = 20.0  # seconds for the plain INSERT, which may never finish


def run(rig: Rig, *, quick: bool) -> dict[str, Any]:
    """Print the table, answer the figures."""
    repetitions = 2 if quick else 3
    bound = 5.0 if quick else BOUND
    with open_clinic(rig, "contention") as servers:
        product, clean, plain = report.paired(
            repetitions,
            lambda: _product(servers),
            lambda: _raw(servers, on_conflict=True, seconds=60),
            lambda: _raw(servers, on_conflict=False, seconds=bound),
        )
    rows = [
        {
            "how": "product over HTTP",
            "seconds": report.spread([one.seconds for one in product]),
            "tries/s": report.spread([one.per_second for one in product], 0),
            "tries": TIMES * CLIENTS,
            "deadlocks": "none seen",
        },
        *(
            {
                "how": how,
                "seconds": report.spread([one.seconds for one in seen]),
                "tries/s": report.spread([one.per_second for one in seen], 0),
                "tries": report.spread([one.tries for one in seen], 0),
                "deadlocks": report.spread([one.deadlocks for one in seen], 0),
            }
            for how, seen in (("raw SQL, ON CONFLICT", clean), (f"raw SQL, plain INSERT, {bound:g} s at most", plain))
        ),
    ]
    p99 = report.spread([one.percentile(0.99) for one in product], 0)
    statuses = [dict(sorted(one.statuses.items())) for one in product]
    report.table(f"{CLIENTS} clients, {TIMES * CLIENTS} tries on {TIMES} times", rows)
    print(f"  product: p99 {report.shown(p99)} ms; answers of each run: {statuses}")
    return {"rows": rows, "product_p99_ms": p99, "product_statuses": statuses}


def _product(servers: Servers) -> Any:
    outcome = servers.book(servers.times.fought_for(times=TIMES, patients=CLIENTS), clients=CLIENTS)
    assert outcome.statuses == {201: TIMES, 409: TIMES * (CLIENTS - 1)}, outcome.statuses
    return outcome


def _raw(servers: Servers, *, on_conflict: bool, seconds: float) -> raw_sql.Fight:
    tries = servers.times.fought_for(times=TIMES, patients=CLIENTS)
    return raw_sql.fight(
        servers.database_url, servers.clinic, tries, clients=CLIENTS, on_conflict=on_conflict, seconds=seconds
    )
