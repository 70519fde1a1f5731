"""Image files as somebody might upload them."""

from io import BytesIO
from typing import Any

from PIL import Image

SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


def picture(kind: str = "PNG", *, width: int = 300, height: int = 100, **more: Any) -> bytes:
    """A plain coloured image; `more` goes to its writer (exif, comment)."""
    written = BytesIO()
    Image.new("RGB", (width, height), "#8b1a6b").save(written, kind, **more)
    return written.getvalue()
