"""Letters are looked at in the same browser as pages."""

from tests.browser.conftest import browser

__all__ = ["browser"]
