"""How passwords are judged, hashed and compared."""

import asyncio

import pytest

from services.identity import domain, passwords
from services.identity.passwords import Passwords, common_words


@pytest.mark.parametrize(
    "password",
    ["password1234", "!!Password!!", "qwertyuiop12", "123456789012", "abababababab", "Ada.Lovelace1815"],
)
def test_what_anybody_would_try_is_common(password: str) -> None:
    """A word of the list or of the address, however decorated; digits alone; few characters."""
    with pytest.raises(domain.PasswordTooCommon):
        domain.check_password(password, "ada.lovelace@example.com", common_words())


@pytest.mark.parametrize(
    "password", ["correct horse battery", "83#92!55@10$77%", "Ünïcödé möön", "my password is long"]
)
def test_what_takes_guessing_is_not(password: str) -> None:
    """Any characters will do."""
    domain.check_password(password, "ada.lovelace@example.com", common_words())


async def test_only_the_right_password_is_right() -> None:
    """The same one has another hash each time."""
    hashing = Passwords(threads=1, queue=1)
    first, second = await hashing.hash("correct horse"), await hashing.hash("correct horse")
    assert first != second
    assert first.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert await hashing.is_right("correct horse", first)
    assert not await hashing.is_right("wrong horse", first)


async def test_an_unknown_user_costs_a_comparison_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """With parameters like everybody's: the time tells nothing."""
    hashing = Passwords(threads=1, queue=1)
    compared: list[str] = []
    matches = passwords._matches

    def watched(password_hash: str, password: str) -> bool:
        compared.append(password_hash)
        return matches(password_hash, password)

    monkeypatch.setattr(passwords, "_matches", watched)
    assert not await hashing.is_right("correct horse", None)
    (nobodys,) = compared
    assert nobodys.startswith("$argon2id$v=19$m=19456,t=2,p=1$")


async def test_more_than_can_wait_are_refused_at_once() -> None:
    """They are told when to come again; the others get their turn."""
    hashing = Passwords(threads=1, queue=2)
    outcomes = await asyncio.gather(*(hashing.hash("correct horse") for _ in range(5)), return_exceptions=True)
    refusals = [outcome for outcome in outcomes if isinstance(outcome, domain.HashingBusy)]
    assert len(refusals) == 2
    assert refusals
    assert [refusal for refusal in refusals if not refusal.retry_after] == []
    assert await hashing.is_right("correct horse", await hashing.hash("correct horse"))
