"""Puts pending mails into words: a subject, a text, and the same as HTML."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from jinja2 import FileSystemLoader, StrictUndefined, select_autoescape
from jinja2 import Template as Source
from jinja2.sandbox import ImmutableSandboxedEnvironment

from services.notifications.domain import Mail, PendingMail, Template

FOLDER: Final = Path(__file__).parent / "templates"

SUBJECTS: Final[Mapping[Template, str]] = MappingProxyType(
    {
        Template.WELCOME: "Welcome to Tradewind",
        Template.ORDER_CONFIRMED: "Your order is confirmed",
        Template.ORDER_CANCELLED: "Your order was cancelled",
    }
)

REASONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "OUT_OF_STOCK": "we no longer have enough of what you ordered",
        "PAYMENT_DECLINED": "your payment was declined",
        "CHECKOUT_TIMED_OUT": "we could not complete it in time",
        "CANCELLED_BY_CUSTOMER": "you asked us to cancel it",
        "CANCELLED_BY_STAFF": "our staff had to cancel it",
    }
)
ANY_OTHER_REASON: Final = "something went wrong on our side"


class Renderer:
    """All templates, read and compiled once: one that is broken stops the start."""

    def __init__(self) -> None:
        environment = ImmutableSandboxedEnvironment(
            loader=FileSystemLoader(FOLDER),
            autoescape=select_autoescape(["html"]),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            auto_reload=False,
        )
        self._sources: Mapping[Template, tuple[Source, Source]] = {
            template: (environment.get_template(f"{template}.txt"), environment.get_template(f"{template}.html"))
            for template in Template
        }

    def render(self, pending: PendingMail) -> Mail:
        """The pending mail in words."""
        delivery, order = pending.delivery, pending.order
        subject = SUBJECTS[delivery.template]
        told = {
            "subject": subject,
            "name": pending.recipient.display_name,
            "order": order,
            "reason": REASONS.get(order.cancel_reason, ANY_OTHER_REASON) if order else None,
        }
        text, html = (source.render(told) for source in self._sources[delivery.template])
        return Mail(delivery.delivery_id, pending.recipient.email, subject, text, html, delivery.created_at)
