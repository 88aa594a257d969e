"""What identity publishes of its signing keys, whatever the order in which it hears of them."""

import json
from datetime import UTC, datetime, timedelta

from chassis.core.sealing import Keyring
from services.identity.domain import SigningKey
from services.identity.signing import Seal, Signer

KEYRING = Keyring.parse("5e" * 32)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def published(signer: Signer) -> list[str]:
    """The ids of the published keys."""
    return [key["kid"] for key in json.loads(signer.jwks())["keys"]]


def two_keys(signer: Signer) -> tuple[SigningKey, SigningKey]:
    """One that signs, and its successor."""
    return signer.make_key(NOW, NOW), signer.make_key(NOW, NOW + timedelta(minutes=15))


def test_a_key_that_was_made_while_the_others_were_read_stays_published() -> None:
    """Those who read began before its transaction was committed, and ended after it was learnt."""
    signer = Signer(Seal(KEYRING), "issuer", "audience")
    first, second = two_keys(signer)
    signer.learn([first])
    signer.learn_newest(second)
    signer.learn([first])
    assert published(signer) == [first.key_id, second.key_id]


def test_a_key_that_was_read_before_it_was_learnt_is_published_once() -> None:
    """Those who read saw its transaction before it came back to its process."""
    signer = Signer(Seal(KEYRING), "issuer", "audience")
    first, second = two_keys(signer)
    signer.learn([first, second])
    signer.learn_newest(second)
    assert published(signer) == [first.key_id, second.key_id]


def test_a_key_that_has_retired_is_published_no_longer() -> None:
    """What is not read any more is over."""
    signer = Signer(Seal(KEYRING), "issuer", "audience")
    first, second = two_keys(signer)
    signer.learn([first, second])
    signer.learn([second])
    assert published(signer) == [second.key_id]
