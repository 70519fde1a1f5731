"""Reading an address that somebody gave us, without letting them send us where they like (SSRF).

Every host is resolved here, every address checked, and the connection goes to the address that was checked: a name
that answers differently the second time (DNS rebinding) gains nothing. Redirects are followed by hand, each checked.
"""

import contextlib
import ipaddress
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection

CONNECT_SECONDS, READ_SECONDS, TOTAL_SECONDS = 5, 10, 20
MAX_BYTES = 5 * 1024 * 1024
MAX_REDIRECTS = 3
REDIRECTS = frozenset({301, 302, 303, 307, 308})

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class CannotRead(Exception):
    """The address cannot be read; the sentence says why and never names the address."""


@dataclass(frozen=True)
class Answer:
    """What came back: 200 with a body, or 304 without."""

    status: int
    body: bytes
    etag: str


def is_public(address: Address) -> bool:
    """Whether an address belongs to the open internet, whatever it is wrapped in."""
    inner: list[Address] = [address]
    if isinstance(address, ipaddress.IPv6Address):
        inner += [each for each in (address.ipv4_mapped, address.sixtofour, *(address.teredo or ())) if each]
        if address in _NAT64:
            inner.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    # A mapped address is judged by what it maps to; Python calls all of them private.
    judged = inner[1:] if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped else inner
    return all(each.is_global and not each.is_multicast for each in judged)


def anywhere(_address: Address) -> bool:
    """For clinics that read calendars of their own network (ALLOW_PRIVATE_URLS)."""
    return True


def read(
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    may_connect: Callable[[Address], bool] = is_public,
    plain_http: bool = False,
    total_seconds: float = TOTAL_SECONDS,
    max_bytes: int = MAX_BYTES,
) -> Answer:
    """GET an address (200 or 304), following at most three redirects. Raises CannotRead.

    `plain_http`: whether http is good enough; https otherwise. All times are in seconds.
    """
    until = time.monotonic() + total_seconds
    for _ in range(MAX_REDIRECTS + 1):
        address = check(url, may_connect=may_connect, plain_http=plain_http)
        try:
            answer = _get(url, address, headers=dict(headers or {}), until=until, max_bytes=max_bytes)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise CannotRead(_sentence(error, until)) from None  # what was raised names the address
        if isinstance(answer, Answer):
            return answer
        url = urljoin(url, answer)
    raise CannotRead(f"The address leads to another one more than {MAX_REDIRECTS} times.")


def post(
    url: str,
    body: bytes,
    *,
    headers: Mapping[str, str],
    may_connect: Callable[[Address], bool] = is_public,
    plain_http: bool = False,
) -> int:
    """POST to an address; answers the status, and reads no more of the answer. Raises CannotRead.

    Nothing is redirected: whoever set the address up said where the body may go.
    """
    address = check(url, may_connect=may_connect, plain_http=plain_http)
    until = time.monotonic() + TOTAL_SECONDS
    try:
        with _session(url, address, until) as (session, names):
            response = session.post(
                url,
                data=body,
                headers={**names, **headers},
                timeout=(CONNECT_SECONDS, READ_SECONDS),
                stream=True,
                allow_redirects=False,
            )
            return response.status_code
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        raise CannotRead(_sentence(error, until)) from None  # what was raised names the address


def check(url: str, *, may_connect: Callable[[Address], bool], plain_http: bool) -> Address:
    """Where this address leads, once every address of its host has been allowed. Raises CannotRead."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise CannotRead("This is not an address.") from None
    if parts.scheme not in (("https", "http") if plain_http else ("https",)) or not host:
        raise CannotRead("The address must begin with https://.")
    try:
        found = socket.getaddrinfo(host, port or 443, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise CannotRead("There is no server of this name.") from None
    addresses = [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
    if not addresses or not all(may_connect(address) for address in addresses):
        raise CannotRead("The address leads into a private network, which is not allowed.")
    return addresses[0]


def _get(url: str, address: Address, *, headers: dict[str, str], until: float, max_bytes: int) -> Answer | str:
    """The answer, or where it redirects to."""
    with _session(url, address, until) as (session, names):
        headers = {**names, "Accept": "text/calendar, */*;q=0.1", **headers}
        response = session.get(
            url, headers=headers, timeout=(CONNECT_SECONDS, READ_SECONDS), stream=True, allow_redirects=False
        )
        if response.status_code in REDIRECTS and "Location" in response.headers:
            return response.headers["Location"]
        if response.status_code == 304:
            return Answer(304, b"", "")
        if response.status_code != 200:
            raise CannotRead(f"The server answers {response.status_code}.")
        body = _body(response, until, max_bytes)
        return Answer(200, body, response.headers.get("ETag", ""))


@contextlib.contextmanager
def _session(url: str, address: Address, until: float) -> Iterator[tuple[requests.Session, dict[str, str]]]:
    """A session that connects to this address only, until then, and the headers that name the host."""
    adapter = _Pinned(str(address), until)
    with requests.Session() as session:
        session.trust_env = False  # neither a proxy nor a .netrc: the connection goes where it was checked
        session.mount("https://", adapter)
        session.mount("http://", adapter)
        try:
            yield session, {"Host": urlsplit(url).netloc.rpartition("@")[2]}
        finally:
            adapter.let_go()


def _body(response: requests.Response, until: float, max_bytes: int) -> bytes:
    body = bytearray()
    while chunk := response.raw.read1(65536, decode_content=True):
        body += chunk
        if len(body) > max_bytes:
            raise CannotRead(f"There is more than {max_bytes // 1024 // 1024} MB at this address.")
        if time.monotonic() > until:
            raise CannotRead("The server takes too long.")
    if time.monotonic() > until:  # hung up by ourselves
        raise CannotRead("The server takes too long.")
    return bytes(body)


def _sentence(error: Exception, until: float) -> str:
    if time.monotonic() >= until or isinstance(error, requests.Timeout):
        return "The server takes too long."
    if isinstance(error, requests.exceptions.SSLError):
        return "The server's certificate is not valid."
    return "The server cannot be reached."


class _Pinned(HTTPAdapter):
    """Connects to one address, whatever the name in the URL; name and certificate stay those of the URL.

    Timeouts of a socket count from byte to byte. So that nobody keeps us with one byte at a time, the line is cut
    when the whole time is over.
    """

    def __init__(self, address: str, until: float) -> None:
        super().__init__()
        self.address, self.until = address, until
        self.timers: list[threading.Timer] = []

    def get_connection_with_tls_context(self, request: Any, verify: Any, proxies: Any = None, cert: Any = None) -> Any:
        where: dict[str, Any]
        options: dict[str, Any]
        where, options = self.build_connection_pool_key_attributes(request, verify, cert)  # type: ignore[assignment]
        if where["scheme"] == "https":
            options |= {"server_hostname": where["host"], "assert_hostname": where["host"]}
        pool = self.poolmanager.connection_from_host(**{**where, "host": self.address}, pool_kwargs=options)
        base: Any = HTTPSConnection if where["scheme"] == "https" else HTTPConnection
        pool.ConnectionCls = type("Watched", (_Watched, base), {"watch": staticmethod(self.watch)})
        return pool

    def watch(self, sock: socket.socket) -> None:
        line = sock.dup()  # TLS takes the socket itself away

        def cut() -> None:
            with contextlib.suppress(OSError):  # it had ended already
                line.shutdown(socket.SHUT_RDWR)

        timer = threading.Timer(max(self.until - time.monotonic(), 0), cut)
        timer.daemon = True
        timer.line = line  # type: ignore[attr-defined]
        timer.start()
        self.timers.append(timer)

    def let_go(self) -> None:
        for timer in self.timers:
            timer.cancel()
            timer.join()
            timer.line.close()  # type: ignore[attr-defined]


class _Watched:
    """A connection whose socket is shown to somebody who cuts it in time."""

    watch: Callable[[socket.socket], None]

    def _new_conn(self) -> socket.socket:
        sock: socket.socket = super()._new_conn()  # type: ignore[misc]
        self.watch(sock)
        return sock
