"""A mail server that takes everything, as fast as Python can, and remembers what it took. For bars and benchmarks.

`with MailSink() as sink:` runs it in a thread, and its attributes make it misbehave; `python -m tests.mail_sink PORT`
is a process of its own that counts.
"""

import asyncio
import os
import re
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

from tests.running import free_port

MESSAGE_ID = re.compile(rb"^Message-ID:\s*(\S+)", re.I | re.M)
GREETING = b"250-sink\r\n250-PIPELINING\r\n250 8BITMIME\r\n"


@dataclass
class MailSink:
    """`taken`: each letter's Message-ID in the order of arrival; `letters`: the same with reader and bytes."""

    port: int = field(default_factory=free_port)
    keeps_letters: bool = False
    taken: list[str] = field(default_factory=list)
    letters: list[tuple[str, bytes]] = field(default_factory=list)
    # How it misbehaves: an answer to a recipient (or None), to every DATA, and to whoever connects.
    refuse: Callable[[str], str | None] = lambda _recipient: None
    answer_connect: str = "220 sink"
    answer_data: str = "354 go on"
    answer_end: str = "250 taken"  # "" is silence
    # kill -9 for `victim` when the n-th letter came in: "data" before it is taken, "end" after the 250 is out.
    victim: int = 0
    kill_at: int = 0
    kill_when: str = "data"

    def __enter__(self) -> Self:
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(ready)), daemon=True)
        self._thread.start()
        assert ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(10)

    async def _serve(self, ready: threading.Event) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        self._lines: set[Conversation] = set()
        server = await self._loop.create_server(lambda: Conversation(self), "127.0.0.1", self.port)
        ready.set()
        await self._over.wait()
        server.close()
        for line in list(self._lines):
            line.transport.abort()

    def take(self, recipient: str, content: bytes) -> None:
        found = MESSAGE_ID.search(content)
        self.taken.append(found[1].decode() if found else "")
        if self.keeps_letters:
            self.letters.append((recipient, content))

    def strike(self, when: str) -> None:
        count = len(self.taken) + (when == "data")
        if self.victim and self.kill_when == when and count == self.kill_at:
            victim, self.victim = self.victim, 0
            os.kill(victim, signal.SIGKILL)


class Conversation(asyncio.Protocol):
    """One client: commands by line, then a letter until the lonely dot."""

    def __init__(self, sink: MailSink) -> None:
        self.sink, self.buffer, self.recipient, self.in_letter = sink, b"", "", False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.sink._lines.add(self)
        self.say(self.sink.answer_connect)

    def connection_lost(self, _reason: Exception | None) -> None:
        self.sink._lines.discard(self)

    def say(self, line: str) -> None:
        if line:
            self.transport.write(line.encode() + b"\r\n")
        if line.startswith("421"):
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while self.buffer:
            if self.in_letter:
                content, dot, rest = self.buffer.partition(b"\r\n.\r\n")
                if not dot:
                    return
                self.buffer, self.in_letter = rest, False
                self.letter(content)
                continue
            line, end, rest = self.buffer.partition(b"\r\n")
            if not end:
                return
            self.buffer = rest
            self.command(line)

    def letter(self, content: bytes) -> None:
        self.sink.strike("data")
        if self.sink.answer_end.startswith("250"):
            self.sink.take(self.recipient, content)
        self.say(self.sink.answer_end)
        self.sink.strike("end")

    def command(self, line: bytes) -> None:
        word = line[:4].upper()
        if word == b"EHLO":
            self.transport.write(GREETING)
        elif word == b"RCPT":
            self.recipient = line.partition(b"<")[2].partition(b">")[0].decode()
            self.say(self.sink.refuse(self.recipient) or "250 ok")
        elif word == b"DATA":
            self.in_letter = self.sink.answer_data.startswith("354")
            self.say(self.sink.answer_data)
        elif word == b"QUIT":
            self.say("221 bye")
            self.transport.close()
        else:
            self.say("250 ok")


if __name__ == "__main__":
    with MailSink(port=int(sys.argv[1])):
        signal.sigwait({signal.SIGTERM, signal.SIGINT})
