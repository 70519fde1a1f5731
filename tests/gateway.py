"""A gateway for texts on loopback: a real HTTP server in a thread."""

import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs


class Gateway:
    """What it was sent, and what it answers."""

    def __init__(self) -> None:
        self.texts: list[dict[str, Any]] = []
        self.status = 200
        self.headers: dict[str, str] = {}
        self.body: bytes | None = None  # instead of {"id": ...}
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                is_json = self.headers["Content-Type"] == "application/json"
                gateway.texts.append(
                    {**(json.loads(body) if is_json else parse_qs(body)), "headers": dict(self.headers)}
                )
                answer = gateway.body
                if answer is None:
                    answer = json.dumps({"id": f"text-{len(gateway.texts)}"}).encode()
                self.send_response(gateway.status)
                for name, value in {"Content-Type": "application/json", **gateway.headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/texts"
        Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
