"""Reading an address over TLS: the connection goes where it was checked, and the name is the one that was asked for."""

import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import getaddrinfo
from typing import Any

import pytest
import requests.adapters
import trustme

from server.utils import outside

NAME, OTHER = "calendar.example", "elsewhere.example"
BODY = b"BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n"


class TlsServer:
    """An HTTPS server on this machine with a certificate made on the spot; it remembers what it was asked for."""

    def __init__(self, certificate: trustme.LeafCert) -> None:
        self.names: list[str | None] = []  # what clients said in TLS, before there was any HTTP
        self.asked: list[dict[str, str]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked.append(dict(self.headers))
                self.send_response(200)
                self.send_header("Content-Length", str(len(BODY)))
                self.end_headers()
                self.wfile.write(BODY)

            def log_message(self, *_: Any) -> None:
                pass

        class Quiet(ThreadingHTTPServer):
            def handle_error(self, *_: Any) -> None:
                """A client that does not like the certificate hangs up."""

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)
        context.sni_callback = lambda _socket, name, _context: self.names.append(name)
        self.http = Quiet(("127.0.0.1", 0), Handler)
        self.http.socket = context.wrap_socket(self.http.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self.http.server_address[1]
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def url(self, name: str = NAME) -> str:
        return f"https://{name}:{self.port}/private/basic.ics"


@pytest.fixture
def authority(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> trustme.CA:
    """The only one whose certificates count."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    monkeypatch.setattr(requests.adapters, "DEFAULT_CA_BUNDLE_PATH", str(tmp_path / "authority.pem"))
    return authority


@pytest.fixture
def serve() -> Iterator[Callable[[trustme.LeafCert], TlsServer]]:
    started = []

    def serve(certificate: trustme.LeafCert) -> TlsServer:
        started.append(TlsServer(certificate))
        return started[-1]

    yield serve
    for server in started:
        server.http.shutdown()
        server.http.server_close()


@pytest.fixture
def lookups(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names that were looked up: the first time each leads here, and after that to where nobody should go."""
    looked_up: list[str] = []

    def look_up(host: str, *args: Any, **kwargs: Any) -> Any:
        if host in (NAME, OTHER):
            looked_up.append(host)
            host = "127.0.0.1" if looked_up.count(host) == 1 else "127.0.0.2"
        return getaddrinfo(host, *args, **kwargs)

    monkeypatch.setattr("socket.getaddrinfo", look_up)
    return looked_up


def read(url: str) -> outside.Answer:
    return outside.read(url, may_connect=outside.anywhere)


def test_the_name_is_asked_for_and_proven_while_the_line_goes_to_the_checked_address(
    authority: trustme.CA, serve: Callable[[trustme.LeafCert], TlsServer], lookups: list[str]
) -> None:
    server = serve(authority.issue_cert(NAME))
    assert read(server.url()).body == BODY
    assert server.names == [NAME]
    assert [asked["Host"] for asked in server.asked] == [f"{NAME}:{server.port}"]
    assert lookups == [NAME], "a name that is looked up again may lead elsewhere"


@pytest.mark.parametrize("names", [[OTHER], ["127.0.0.1"], [f"sub.{NAME}"]], ids=["other", "address", "below"])
def test_a_certificate_for_anything_else_is_refused(
    authority: trustme.CA, serve: Callable[[trustme.LeafCert], TlsServer], lookups: list[str], names: list[str]
) -> None:
    server = serve(authority.issue_cert(*names))
    with pytest.raises(outside.CannotRead, match="certificate is not valid"):
        read(server.url())
    assert server.names == [NAME]
    assert server.asked == [], "nothing is said to whoever is not proven to be the one"
    if OTHER in names:
        assert read(server.url(OTHER)).body == BODY, "the same server is read under its own name"


@pytest.mark.usefixtures("lookups")
@pytest.mark.parametrize("who", ["nobody known", "of the past"])
def test_a_certificate_of_nobody_known_or_of_the_past_is_refused(
    authority: trustme.CA, serve: Callable[[trustme.LeafCert], TlsServer], who: str
) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    over = {"not_before": yesterday - timedelta(days=90), "not_after": yesterday}
    server = serve(trustme.CA().issue_cert(NAME) if who == "nobody known" else authority.issue_cert(NAME, **over))
    with pytest.raises(outside.CannotRead, match="certificate is not valid"):
        read(server.url())
    assert server.asked == []


def test_the_rule_of_the_network_comes_before_the_line(
    authority: trustme.CA, serve: Callable[[trustme.LeafCert], TlsServer], lookups: list[str]
) -> None:
    server = serve(authority.issue_cert(NAME))
    with pytest.raises(outside.CannotRead, match="private network"):
        outside.read(server.url())
    assert server.names == []
    assert lookups == [NAME]
