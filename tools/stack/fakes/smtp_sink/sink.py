"""What the sink does with a mail."""

import hashlib
import re
from email.parser import BytesHeaderParser
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session

ACCEPTED = "250 OK"
NO_SUCH_MAILBOX = "550 5.1.1 no such mailbox"
TRY_LATER = "451 4.2.1 mailbox busy, try again later"


class Sink:
    """Keeps each mail as `<Message-ID>.eml`, so that one sent twice is there once.

    `someone+bounce@…` is refused for good; `someone+later@…` is refused the first time and accepted after that.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._asked_to_wait: set[str] = set()

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Accept or refuse a recipient."""
        tag = address.partition("@")[0].rpartition("+")[2]
        if tag == "bounce":
            return NO_SUCH_MAILBOX
        if tag == "later" and address not in self._asked_to_wait:
            self._asked_to_wait.add(address)
            return TRY_LATER
        envelope.rcpt_tos.append(address)
        return ACCEPTED

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Keep a mail."""
        content = envelope.original_content or b""
        path = self._directory / f"{_name(content)}.eml"
        unfinished = path.with_suffix(".new")
        unfinished.write_bytes(content)
        unfinished.rename(path)
        return ACCEPTED


def _name(content: bytes) -> str:
    """The mail's Message-ID, without what file systems mind; a digest where it has none."""
    message_id = BytesHeaderParser().parsebytes(content).get("Message-ID", "")
    return re.sub(r"[^\w.@+-]", "", message_id) or hashlib.sha256(content).hexdigest()
