"""Letters as files: one .eml a letter, named by its instant, there as a whole or not at all."""

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flask_mailman import EmailMessage
from flask_mailman.backends.base import BaseEmailBackend

from server.utils import clock


class EmailBackend(BaseEmailBackend):
    """Flask-Mailman's way to MAIL_FILE_PATH. A folder that cannot be written raises OSError, like a dead server."""

    def __init__(self, mailman: Any = None, fail_silently: bool = False, **_: Any) -> None:
        super().__init__(mailman=mailman, fail_silently=fail_silently)
        self.folder = Path(self.mailman.file_path)

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        """Write the messages; answers how many."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for message in email_messages:
            name = f"{clock.now():%Y%m%dT%H%M%S.%f}-{secrets.token_hex(4)}"
            unfinished = self.folder / f".{name}"
            unfinished.write_bytes(message.message().as_bytes(linesep="\r\n"))
            unfinished.rename(self.folder / f"{name}.eml")
        return len(email_messages)
