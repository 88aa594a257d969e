"""The mails the shop has sent, as the local stack's mail sink keeps them."""

import asyncio
import email
import email.policy
from dataclasses import dataclass
from pathlib import Path

POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Mail:
    """One mail."""

    recipient: str
    subject: str
    first_line: str


async def arrived(folder: Path, recipient: str, count: int, patience: float) -> list[Mail]:
    """The mails to one recipient, in the order they came: as soon as there are `count`, or what there is after `patience` seconds."""
    until = asyncio.get_running_loop().time() + patience
    while True:
        mails = [mail for mail in _all(folder) if mail.recipient == recipient]
        if len(mails) >= count or asyncio.get_running_loop().time() > until:
            return mails
        await asyncio.sleep(POLL_SECONDS)


def _all(folder: Path) -> list[Mail]:
    paths = sorted(folder.glob("*.eml"), key=lambda path: path.stat().st_mtime_ns)
    return [_read(path) for path in paths]


def _read(path: Path) -> Mail:
    message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    body = message.get_body(preferencelist=("plain",))
    lines = [line for line in (body.get_content() if body else "").splitlines() if line.strip()]
    return Mail(str(message["To"]), str(message["Subject"]), lines[0] if lines else "")
