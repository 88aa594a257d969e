"""What users read."""

from datetime import UTC, datetime

import pytest

from services.notifications.domain import (
    Delivery,
    Mail,
    Money,
    Order,
    OrderLine,
    PendingMail,
    Recipient,
    State,
    Template,
)
from services.notifications.rendering import REASONS, Renderer

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
LAMPS = OrderLine("A lamp", 2, Money("GBP", 2_500))
ROPES = OrderLine("<b>Rope</b> & tar", 1, Money("GBP", 99))


def written(template: Template, *, name: str = "Ada", order: Order | None = None) -> Mail:
    """A pending mail in words."""
    delivery = Delivery(
        delivery_id="01a1fb7d-0c49-75ae-85aa-b52d6a6bd7dc",
        user_id="ada",
        template=template,
        state=State.QUEUED,
        attempts=0,
        last_reason="",
        due_at=NOW,
        created_at=NOW,
        sent_at=None,
    )
    return Renderer().render(PendingMail(delivery, Recipient("ada", "ada@example.com", name), order))


def order(cancel_reason: str = "") -> Order:
    """An order of two lines."""
    return Order("01a1fb7d-0c4a-7f31-be2e-9308c3fd2239", (LAMPS, ROPES), Money("GBP", 2_599), cancel_reason)


def test_a_confirmation_lists_what_was_bought() -> None:
    """As text for those who want no more, to the letter."""
    mail = written(Template.ORDER_CONFIRMED, order=order())
    assert (mail.address, mail.subject) == ("ada@example.com", "Your order is confirmed")
    assert mail.text.splitlines() == [
        "Ada, thank you. Your order is paid, and its stock is yours.",
        "",
        "2 \N{MULTIPLICATION SIGN} A lamp: £25.00",
        "1 \N{MULTIPLICATION SIGN} <b>Rope</b> & tar: £0.99",
        "Total: £25.99",
        "",
        "--",
        "Tradewind. Order 01a1fb7d-0c4a-7f31-be2e-9308c3fd2239",
        "You can mute messages about orders in your preferences.",
    ]


def test_what_people_wrote_stays_text_in_html() -> None:
    """A name is no markup, and no template."""
    mail = written(Template.ORDER_CONFIRMED, name="<script>{{ 7 * 7 }}", order=order())
    assert "<script>" not in mail.html
    assert "&lt;script&gt;{{ 7 * 7 }}" in mail.html
    assert "&lt;b&gt;Rope&lt;/b&gt; &amp; tar" in mail.html


@pytest.mark.parametrize("reason", [*REASONS, "PROVIDER_ON_FIRE"])
def test_a_cancellation_says_why_in_words(reason: str) -> None:
    """Never in the words of programs, whatever the reason."""
    mail = written(Template.ORDER_CANCELLED, order=order(reason))
    assert mail.subject == "Your order was cancelled"
    for text in (mail.text, mail.html):
        assert REASONS.get(reason, "something went wrong on our side") in text
        assert reason not in text


def test_a_welcome_needs_no_order() -> None:
    """It greets by name."""
    mail = written(Template.WELCOME)
    assert mail.subject == "Welcome to Tradewind"
    assert mail.text.startswith("Welcome aboard, Ada.\n")
    assert "<h1" in mail.html
    assert "Welcome aboard, Ada</h1>" in mail.html
