"""What `frontdesk doctor` knows about mail: whether the server takes us, a test letter, and its DKIM and SPF."""

import smtplib
import socket
import ssl
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from email.utils import formatdate, make_msgid, parseaddr
from typing import Any

import dkim as dkimpy
import dns.exception
import dns.resolver

from server.jobs import dkim
from server.jobs.doctor import Finding
from server.services.outbox import Unreachable
from server.settings import Settings, SettingsError, load

TIMEOUT = 15  # seconds


def check_mail(settings: Settings) -> Iterator[Finding]:
    """Whether letters can leave, and whether what signs them fits the sender."""
    if settings.mail_folder:
        yield f"Letters are written into {settings.mail_folder}.", True
        return
    if not settings.mail_server:
        yield "MAIL_SERVER is not set: no letter can leave.", False
        return
    try:
        with connect(settings):
            pass
    except (OSError, smtplib.SMTPException) as error:
        yield explain(error, settings), False
    else:
        yield f"The mail server {_server(settings)} takes our letters.", True
    yield from check_alignment(settings)


def try_mail(reader: str) -> Iterator[Finding]:
    """What `frontdesk doctor --mail-to` says."""
    try:
        settings = load()
    except SettingsError as problem:
        for line in str(problem).splitlines():
            yield line, False
    else:
        yield from send_test_letter(reader, settings)


def send_test_letter(reader: str, settings: Settings) -> Iterator[Finding]:
    """Send one letter as Frontdesk does, and say in words what became of it and how its signature looks to others."""
    if settings.mail_folder:
        yield f"MAIL_FOLDER is set: letters are written into {settings.mail_folder}, and none is sent.", False
        return
    if not settings.mail_server:
        yield "MAIL_SERVER is not set: no letter can leave.", False
        return
    try:
        letter = dkim.sign(_test_letter(reader, settings), settings)
    except Unreachable:
        yield "DKIM_KEY cannot be read: it must be an RSA key in PEM (openssl genrsa -out dkim.pem 2048).", False
        return
    try:
        with connect(settings) as smtp:
            smtp.sendmail(parseaddr(settings.mail_return_path or settings.mail_sender)[1], [reader], letter)
    except (OSError, smtplib.SMTPException) as error:
        yield explain(error, settings), False
    else:
        yield f"The mail server took a letter for {reader}. Look into that mailbox, and into its spam folder.", True
    yield from check_alignment(settings)
    yield from check_dns(letter, settings)


def connect(settings: Settings) -> smtplib.SMTP:
    """To the mail server as letters go: TLS with a certificate that is checked, then signing in."""
    smtp = smtplib.SMTP(settings.mail_server, settings.mail_port, timeout=TIMEOUT)
    try:
        if settings.mail_use_tls:
            smtp.starttls(context=ssl.create_default_context())
        if settings.mail_username:
            smtp.login(settings.mail_username, settings.mail_password)
    except BaseException:
        smtp.close()
        raise
    return smtp


def explain(error: Exception, settings: Settings) -> str:
    """What a mail server's no means, and what to do about it."""
    server = f"The mail server {_server(settings)}"
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        code, words = next(iter(error.recipients.values()))
        return _explain_recipient(code, _said(code, words))
    for kind, sentence in _EXPLANATIONS:
        if isinstance(error, kind):
            said = _said(error.smtp_code, error.smtp_error) if isinstance(error, smtplib.SMTPResponseException) else ""
            return f"{server} {sentence}" + (f" It said: {said}" if said else "")
    return f"{server} cannot be used: {error}"


# The first kind that fits, so the special ones come first.
_EXPLANATIONS: tuple[tuple[type[Exception], str], ...] = (
    (
        ssl.SSLCertVerificationError,
        "has a certificate that is not valid for this name. Write the name that stands in it into MAIL_SERVER; a CA of "
        "your own is named by SSL_CERT_FILE.",
    ),
    (ssl.SSLError, "does not speak TLS as we do. Is MAIL_PORT the one for STARTTLS, which is usually 587?"),
    (socket.gaierror, "is not known to DNS: is MAIL_SERVER spelled right?"),
    (
        ConnectionRefusedError,
        "refuses to be spoken to at this port: is MAIL_PORT right (usually 587), and is it running?",
    ),
    (
        TimeoutError,
        "does not answer. A firewall may be in between (many providers close port 25: try 587), or the port wants TLS "
        "from the first byte (465), which is not spoken here.",
    ),
    (
        smtplib.SMTPAuthenticationError,
        "does not accept MAIL_USERNAME and MAIL_PASSWORD. Some providers want a password made for programs only.",
    ),
    (
        smtplib.SMTPNotSupportedError,
        "does not offer what the settings ask for. Without STARTTLS set MAIL_USE_TLS=no (only inside your own "
        "network); without sign-in leave MAIL_USERNAME empty.",
    ),
    (
        smtplib.SMTPSenderRefused,
        "does not let us send as MAIL_SENDER (or MAIL_RETURN_PATH): the address must belong to the account.",
    ),
    (
        smtplib.SMTPDataError,
        "took the addresses and refused the letter itself, which often means SPF, DKIM or its rules.",
    ),
    (smtplib.SMTPServerDisconnected, "hung up. Is MAIL_PORT right? At 465 it wants TLS from the first byte; use 587."),
)


def _explain_recipient(code: int, said: str) -> str:
    if code < 500:
        return (
            "The mail server asks us to come again later (greylisting, or it is busy). That is nothing bad: Frontdesk "
            f"tries again by itself, and so may you in ten minutes. It said: {said}"
        )
    if ".7." in said or "relay" in said.lower():
        return (
            "The mail server does not pass letters on for us: it wants us to sign in (MAIL_USERNAME), or to be allowed "
            f"by its rules. It said: {said}"
        )
    return f"The mail server does not know this recipient: is the address right? It said: {said}"


def check_alignment(settings: Settings) -> Iterator[Finding]:
    """DMARC wants that the domain which signs, or to which letters come back, is that of the sender."""
    sender = dkim.sender_domain(settings)
    if not settings.dkim_key:
        yield "Letters are not signed (DKIM_KEY is not set); many mail hosts mistrust them.", True
    elif dkim.domain_of(settings) == sender:
        yield f"Letters are signed by {sender}, the sender's own domain.", True
    else:
        yield (
            f"Letters come from {sender} and are signed by {dkim.domain_of(settings)}: set DKIM_DOMAIN={sender}, or a "
            "sender of the other domain.",
            False,
        )
    back = parseaddr(settings.mail_return_path)[1].rpartition("@")[2].lower() or sender
    if back != sender:
        yield (
            f"Letters come back to {back}, which is not the sender's domain {sender}: SPF speaks for the former.",
            False,
        )


def check_dns(
    letter: bytes, settings: Settings, *, lookup: Callable[[str], list[str] | None] | None = None
) -> Iterator[Finding]:
    """Whether DNS has our DKIM key and an SPF record. `lookup`: the TXT records of a name; None when DNS is silent."""
    lookup = lookup or txt_records
    if settings.dkim_key:
        yield _check_dkim_record(letter, settings, lookup)
    domain = parseaddr(settings.mail_return_path or settings.mail_sender)[1].rpartition("@")[2]
    found = lookup(domain)
    if found is None:
        yield f"DNS did not answer for {domain}: whether it has an SPF record is not known.", False
    elif not any(record.lower().startswith("v=spf1") for record in found):
        yield (
            f"{domain} has no SPF record. Publish a TXT record such as “v=spf1 mx -all” that names the mail server.",
            False,
        )
    else:
        yield f"{domain} has an SPF record; check that it names the mail server.", True


def _check_dkim_record(letter: bytes, settings: Settings, lookup: Callable[[str], list[str] | None]) -> Finding:
    name = f"{settings.dkim_selector}._domainkey.{dkim.domain_of(settings)}"
    found = lookup(name)
    if found is None:
        return f"DNS did not answer for {name}: whether others can check our signature is not known.", False
    if not found:
        return (
            f"DNS has no key at {name}. Publish a TXT record “v=DKIM1; k=rsa; p=…” there, with what "
            "`openssl pkey -in KEY -pubout -outform DER | base64 -w0` prints in place of the dots.",
            False,
        )

    def answer(_name: Any, timeout: float = 0) -> bytes:
        return found[0].encode()

    try:
        good = bool(dkimpy.verify(letter, dnsfunc=answer))
    except dkimpy.DKIMException:
        good = False
    if good:
        return f"Our signature fits the key at {name}.", True
    return (
        f"DNS has another key at {name} than DKIM_KEY: publish the right one, or choose another DKIM_SELECTOR.",
        False,
    )


def txt_records(name: str) -> list[str] | None:
    """The TXT records of a name; none when it has none, None when DNS does not answer."""
    try:
        answer = dns.resolver.resolve(name, "TXT", lifetime=5)
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return []
    except (dns.exception.DNSException, OSError):
        return None
    return [b"".join(record.strings).decode(errors="replace") for record in answer]


def _test_letter(reader: str, settings: Settings) -> bytes:
    letter = EmailMessage()
    letter["From"], letter["To"] = settings.mail_sender, reader
    letter["Subject"] = f"Test letter of {settings.clinic_name}"
    letter["Date"], letter["Message-ID"] = formatdate(), make_msgid(domain=dkim.sender_domain(settings) or None)
    letter.set_content("This is a test of Frontdesk (frontdesk doctor --mail-to). Whoever reads it gets our letters.\n")
    return letter.as_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def _said(code: int, words: bytes | str) -> str:
    text = words.decode(errors="replace") if isinstance(words, bytes) else str(words)
    return " ".join(f"{code} {text}".split())[:200]


def _server(settings: Settings) -> str:
    return f"{settings.mail_server}:{settings.mail_port}"
