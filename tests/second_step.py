"""The authenticator app of somebody in a test."""

import re
from typing import Any

from passlib.totp import TOTP

from tests.clients import PageClient

MOMENT = 1_800_000_015  # in the middle of half a minute
BASE32 = re.compile(r'class="key"[^>]*>([A-Z2-7 -]+)<')


class Phone:
    """An app for one-time codes that was shown the key of the page. Its clock is the server's (`still_codes`)."""

    def __init__(self, key: str) -> None:
        self.totp = TOTP(key=key)

    def code(self, *, steps: int = 0) -> str:
        """The code of now, or of so many half minutes later."""
        token: Any = self.totp.generate(time=MOMENT + 30 * steps)
        return str(token.token)


def set_up(browser: PageClient) -> tuple[Phone, list[str]]:
    """Turn the second factor on, on the pages; answers the phone and the recovery codes."""
    browser.get("/account/second-factor", status=200)
    found = BASE32.search(browser.text)
    assert found, browser.text
    phone = Phone(found[1])
    browser.post("/account/second-factor", status=200, code=phone.code(steps=-1))
    codes = re.findall(r"<li>([0-9A-Z]{4}(?:-[0-9A-Z]{4}){4})</li>", browser.text)
    assert len(set(codes)) == 10
    return phone, codes
