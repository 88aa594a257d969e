"""When a mail is tried again, when it is given up, and how amounts are written."""

from datetime import UTC, datetime, timedelta

import pytest

from services.notifications.domain import MOST_ATTEMPTS, Delivery, Money, SmtpFailure, State, Template

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
BUSY = SmtpFailure("SMTP_451", is_final=False)

QUEUED = Delivery(
    delivery_id="01a1fb7d-0c49-75ae-85aa-b52d6a6bd7dc",
    user_id="ada",
    template=Template.WELCOME,
    state=State.QUEUED,
    attempts=0,
    last_reason="",
    due_at=NOW,
    created_at=NOW,
    sent_at=None,
)


def test_a_mail_is_tried_later_each_time_until_it_is_given_up_after_a_day() -> None:
    """The pauses double, up to an hour."""
    delivery, now, pauses = QUEUED, NOW, []
    while delivery.state is State.QUEUED:
        delivery = delivery.refused(BUSY, now)
        pauses.append((delivery.due_at - now).total_seconds())
        now = delivery.due_at
    assert pauses[:12] == [2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3600]
    assert set(pauses[12:]) == {3600}
    assert (len(pauses), delivery.state, delivery.last_reason) == (MOST_ATTEMPTS, State.FAILED, "SMTP_451")
    assert timedelta(days=1) < now - NOW < timedelta(days=1.2)


def test_a_mail_that_staff_try_again_after_that_has_one_attempt() -> None:
    """However often they do."""
    delivery = QUEUED
    for _ in range(3 * MOST_ATTEMPTS):
        delivery = delivery.refused(BUSY, NOW)
        delivery = delivery.queued_again(NOW) if delivery.state is State.FAILED else delivery
    assert delivery.refused(BUSY, NOW).state is State.FAILED


@pytest.mark.parametrize(
    ("money", "written"),
    [
        (Money("GBP", 123_450), "£1,234.50"),
        (Money("EUR", 5), "€0.05"),
        (Money("CHF", 1_200), "12.00 CHF"),
        (Money("JPY", 1_200), "1,200 JPY"),
        (Money("KWD", 1_200), "1.200 KWD"),
        (Money("GBP", 10_000_000_000_001), "£100,000,000,000.01"),
    ],
)
def test_an_amount_is_written_as_people_do(money: Money, written: str) -> None:
    """To the last minor unit, however large."""
    assert str(money) == written
