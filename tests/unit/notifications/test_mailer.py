"""Where the mailer is told to bring mails, and how long it waits there."""

import asyncio
from datetime import UTC, datetime

import pytest

from chassis.core.settings import SettingsError
from services.notifications.domain import Mail
from services.notifications.mailer import Mailer, MailServerAway
from services.notifications.settings import Settings
from tools.stack.addresses import HOST

MAIL = Mail("1", "ada@example.com", "subject", "text", "html", datetime(2026, 1, 1, tzinfo=UTC))


class Sluggish(asyncio.Protocol):
    """A mail server that greets, and answers each command, after most of the time that a mail may take."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Somebody has come."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._say(b"220 hello\r\n")

    def data_received(self, _data: bytes) -> None:
        """A command has come."""
        self._say(b"250 yes\r\n")

    def _say(self, answer: bytes) -> None:
        asyncio.get_running_loop().call_later(0.2, self._transport.write, answer)


@pytest.mark.parametrize("address", ["mail", "mail:smtp", "mail:99999"])
def test_a_mail_server_has_a_host_and_a_port(address: str) -> None:
    """Or the service does not start."""
    with pytest.raises(SettingsError, match=f"TRADEWIND_SMTP_ADDRESS: '{address}' is not HOST:PORT"):
        Mailer(Settings(smtp_address=address))


async def test_a_server_is_not_waited_for_longer_than_a_mail_may_take() -> None:
    """However soon each of its answers comes: the lease of the mail must not end before."""
    server = await asyncio.get_running_loop().create_server(Sluggish, HOST, 0)
    address = f"{HOST}:{server.sockets[0].getsockname()[1]}"
    async with server:
        with pytest.raises(MailServerAway, match="UNREACHABLE"):
            await Mailer(Settings(smtp_address=address, smtp_timeout_seconds=0.3)).send(MAIL)
