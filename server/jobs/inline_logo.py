"""A letter whose HTML brings its logo along: mail programs load nothing from outside until they are told to."""

from email.mime.base import MIMEBase
from email.mime.image import MIMEImage
from typing import Any

from flask_mailman import EmailMultiAlternatives
from flask_mailman.message import SafeMIMEMultipart

from server.services.appearance import LOGO_ID


class LetterWithLogo(EmailMultiAlternatives):
    """`logo`, a PNG, stands beside the HTML in one multipart/related (RFC 2387), and is no attachment."""

    def __init__(self, *args: Any, logo: bytes, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.logo = logo

    def _create_mime_attachment(self, content: Any, mimetype: str) -> MIMEBase:
        part: MIMEBase = super()._create_mime_attachment(content, mimetype)
        if mimetype != "text/html" or not self.logo:
            return part
        image = MIMEImage(self.logo, "png")
        image["Content-ID"] = f"<{LOGO_ID}>"
        image["Content-Disposition"] = "inline"
        related: MIMEBase = SafeMIMEMultipart("related", type="text/html")
        related.attach(part)
        related.attach(image)
        return related
