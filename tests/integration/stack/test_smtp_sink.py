"""The mail sink of the local stack: it keeps what it is sent, once, and fails where an address asks it to."""

from collections.abc import AsyncIterator
from email.message import EmailMessage
from pathlib import Path

import aiosmtplib
import pytest

from tools.stack.addresses import HOST, free_port
from tools.stack.mail import MailSink


@pytest.fixture
async def port(tmp_path: Path) -> AsyncIterator[int]:
    """Where a sink listens that keeps mails in `tmp_path`."""
    chosen = free_port()
    sink = MailSink(tmp_path, chosen, tmp_path / "mail.log")
    sink.start()
    yield chosen
    sink.stop()


def kept(directory: Path) -> list[str]:
    """The names of the mails the sink has kept."""
    return sorted(path.name for path in directory.glob("*.eml"))


async def send(port: int, to: str, message_id: str = "<1@tradewind.example>") -> None:
    """Send a mail as notifications does."""
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"], mail["Message-ID"] = "shop@tradewind.example", to, "Grüße", message_id
    mail.set_content("Your order is on its way.")
    await aiosmtplib.send(mail, hostname=HOST, port=port)


async def test_a_mail_sent_twice_is_there_once(port: int, tmp_path: Path) -> None:
    """Mails go by their Message-ID."""
    await send(port, "ann@example.com")
    await send(port, "ann@example.com")
    await send(port, "ann@example.com", "<2/../@tradewind.example>")
    assert kept(tmp_path) == [
        "1@tradewind.example.eml",
        "2..@tradewind.example.eml",
    ]


async def test_a_bouncing_address_is_refused_for_good(port: int, tmp_path: Path) -> None:
    """550, however often it is tried."""
    for _ in range(2):
        with pytest.raises(aiosmtplib.SMTPRecipientsRefused) as refusal:
            await send(port, "ann+bounce@example.com")
        assert refusal.value.recipients[0].code == 550
    assert kept(tmp_path) == []


async def test_a_busy_address_takes_the_second_attempt(port: int, tmp_path: Path) -> None:
    """451 first, accepted after that."""
    with pytest.raises(aiosmtplib.SMTPRecipientsRefused) as refusal:
        await send(port, "ann+later@example.com")
    assert refusal.value.recipients[0].code == 451
    await send(port, "ann+later@example.com")
    assert kept(tmp_path) == ["1@tradewind.example.eml"]
