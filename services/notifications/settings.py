"""What notifications is told from outside."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """Where mail goes, and how long its sender is believed in."""

    smtp_address: str
    """The mail server, HOST:PORT. It is trusted as a relay is: no login; TLS when it offers that."""
    sender_address: str = "shop@tradewind.example"
    smtp_timeout_seconds: float = 10
    """The longest one mail may take."""
    lease_seconds: float = 60
    """How long mails are held by a sender that has fallen silent. Several times `smtp_timeout_seconds`."""
    send_poll_seconds: float = 0.5
    """How often to look for mails that are due again, or that other processes have queued."""
