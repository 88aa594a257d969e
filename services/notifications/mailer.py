"""Hands mails to the mail server, over one connection that is kept."""

import asyncio
from binascii import b2a_qp
from email.message import Message
from email.utils import format_datetime
from typing import Final

from aiosmtplib import (
    SMTP,
    SMTPException,
    SMTPRecipientsRefused,
    SMTPResponseException,
    SMTPSenderRefused,
)

from chassis.core.settings import host_and_port
from services.notifications.domain import Mail, SmtpFailure
from services.notifications.settings import Settings

FIRST_FINAL_CODE: Final = 500
# What a server says to a sender whose mail is too large, now or ever (RFC 1870). All else it says to him is about us.
MAIL_TOO_LARGE: Final = (452, 552)


class MailServerAway(Exception):
    """The mail server cannot be reached, or takes no mail from us at all: no mail's own fault."""


class Mailer:
    """A client of one mail server, for one task at a time. What the server says in words is not passed on: it may quote addresses."""

    def __init__(self, settings: Settings) -> None:
        host, port = host_and_port("smtp_address", settings.smtp_address)
        self._sender = settings.sender_address
        self._domain = settings.sender_address.rpartition("@")[2]
        self._timeout_seconds = settings.smtp_timeout_seconds
        self._server = SMTP(
            hostname=host, port=port, local_hostname=self._domain, timeout=settings.smtp_timeout_seconds
        )

    async def send(self, mail: Mail) -> SmtpFailure | None:
        """Hand over a mail; the failure, if the server would not have it. Raises MailServerAway.

        The same mail has the same bytes each time, its Message-ID among them.
        """
        await self._connect()
        try:
            async with asyncio.timeout(self._timeout_seconds):
                await self._server.sendmail(self._sender, mail.address, self._encoded(mail))
        except SMTPSenderRefused as error:
            if error.code not in MAIL_TOO_LARGE:
                raise MailServerAway(f"SENDER_REFUSED_{error.code}") from None
            return _failure(error.code)
        except SMTPRecipientsRefused as error:
            return _failure(error.recipients[0].code)
        except SMTPResponseException as error:
            return _failure(error.code)
        except (SMTPException, OSError, TimeoutError):
            # Whether it arrived is unknown, and what the server says next would answer something else.
            self.close()
            return SmtpFailure("CONNECTION_LOST", is_final=False)
        return None

    def close(self) -> None:
        """Hang up."""
        self._server.close()

    async def _connect(self) -> None:
        if self._server.is_connected:
            return
        try:
            async with asyncio.timeout(self._timeout_seconds):
                await self._server.connect()
        except SMTPResponseException as error:
            raise MailServerAway(f"GREETED_WITH_{error.code}") from None
        except (SMTPException, OSError, TimeoutError):
            raise MailServerAway("UNREACHABLE") from None

    def _encoded(self, mail: Mail) -> bytes:
        # The older message class takes a tenth of the time: these headers are plain, and need no parsing.
        message = Message()
        message["From"] = self._sender
        message["To"] = mail.address
        message["Subject"] = mail.subject
        message["Date"] = format_datetime(mail.written_at)
        message["Message-ID"] = f"<{mail.delivery_id}@{self._domain}>"
        message["Auto-Submitted"] = "auto-generated"
        message["MIME-Version"] = "1.0"
        # No text in quoted-printable contains this boundary (RFC 2045, 6.7).
        message["Content-Type"] = f'multipart/alternative; boundary="=_{mail.delivery_id}"'
        message.attach(_part("plain", mail.text))
        message.attach(_part("html", mail.html))
        return message.as_bytes()


def _part(subtype: str, text: str) -> Message:
    part = Message()
    part["Content-Type"] = f'text/{subtype}; charset="utf-8"'
    part["Content-Transfer-Encoding"] = "quoted-printable"
    part.set_payload(b2a_qp(text.encode()).decode("ascii"))
    return part


def _failure(code: int) -> SmtpFailure:
    return SmtpFailure(f"SMTP_{code}", is_final=code >= FIRST_FINAL_CODE)
