"""The client of every HTTP benchmark: one process, raw sockets, keep-alive, so that it costs the servers little."""

import json
import pickle
import selectors
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

GIVE_UP_SECONDS = 120  # no trial takes longer; a benchmark never hangs


@dataclass
class Outcome:
    """What one trial saw. `latencies_ms` are sorted."""

    seconds: float
    statuses: dict[int, int]
    latencies_ms: list[float]

    @property
    def per_second(self) -> float:
        return len(self.latencies_ms) / self.seconds

    def percentile(self, share: float) -> float:
        """The latency in ms that `share` (0 to 1) of the answers did not exceed."""
        return self.latencies_ms[min(int(share * len(self.latencies_ms)), len(self.latencies_ms) - 1)]


def get(path: str) -> bytes:
    """One GET request as bytes."""
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()


def post(path: str, body: dict[str, Any], *, token: str = "", key: str = "") -> bytes:
    """One POST request as bytes, with a bearer token and an Idempotency-Key where given."""
    content = json.dumps(body)
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json"]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    if key:
        lines.append(f"Idempotency-Key: {key}")
    lines.append(f"Content-Length: {len(content)}")
    return ("\r\n".join(lines) + "\r\n\r\n" + content).encode()


def drive(port: int, requests: Sequence[bytes], *, clients: int) -> Outcome:
    """Send `requests` in order over `clients` connections from a process of its own.

    Each connection sends its next request as soon as its last answer is complete.
    """
    told = pickle.dumps((port, list(requests), clients))
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.load"],
        input=told,
        stdout=subprocess.PIPE,
        timeout=GIVE_UP_SECONDS + 30,
        check=True,
    )
    return Outcome(*pickle.loads(done.stdout))


def _drive(port: int, requests: Sequence[bytes], clients: int) -> tuple[float, dict[int, int], list[float]]:
    selector = selectors.DefaultSelector()
    connections = [_Connection(port) for _ in range(min(clients, len(requests)))]
    statuses: Counter[int] = Counter()
    latencies: list[float] = []
    waiting = iter(requests)
    started = time.perf_counter()
    for connection in connections:
        selector.register(connection.socket, selectors.EVENT_READ, connection)
        connection.send(next(waiting))
    busy = len(connections)
    while busy:
        if time.perf_counter() - started > GIVE_UP_SECONDS:
            raise TimeoutError(f"{len(latencies)} of {len(requests)} answers after {GIVE_UP_SECONDS} s")
        for key, _ in selector.select(timeout=1):
            connection: _Connection = key.data
            if (status := connection.receive()) is None:
                continue
            statuses[status] += 1
            latencies.append((time.perf_counter() - connection.sent_at) * 1000)
            if (following := next(waiting, None)) is not None:
                connection.send(following)
            else:
                busy -= 1
    seconds = time.perf_counter() - started
    for connection in connections:
        connection.socket.close()
    return seconds, dict(statuses), sorted(latencies)


class _Connection:
    """One keep-alive connection with at most one request under way."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = b""
        self.sent_at = 0.0

    def send(self, request: bytes) -> None:
        self.received = b""
        self.sent_at = time.perf_counter()
        self.socket.sendall(request)

    def receive(self) -> int | None:
        """The status once the answer is complete, None while more is to come."""
        part = self.socket.recv(262_144)
        if not part:
            raise ConnectionError("the server closed a connection that was to be kept alive")
        self.received += part
        head_ends = self.received.find(b"\r\n\r\n")
        if head_ends < 0:
            return None
        head = self.received[:head_ends].lower()
        at = head.find(b"content-length:")
        length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(self.received) < head_ends + 4 + length:
            return None
        return int(head[9:12])


if __name__ == "__main__":
    sys.stdout.buffer.write(pickle.dumps(_drive(*pickle.load(sys.stdin.buffer))))
