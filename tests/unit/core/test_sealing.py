"""What is made with a key says which, and is recognised as long as that key is in the ring."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.core.sealing import Authenticator, Keyring, NotAuthentic, Sealer, UnknownKey

OLD = Keyring.parse(f"2026-01:{'11' * 32}")
ROTATED = Keyring.parse(f"2026-02:{'22' * 32}\n2026-01:{'11' * 32}\n")
NEW = Keyring.parse(f"2026-02:{'22' * 32}")


@given(st.binary(max_size=200), st.binary(max_size=50))
def test_what_was_sealed_before_a_rotation_is_opened_after_it(content: bytes, context: bytes) -> None:
    """And what is sealed after it is sealed with the new key."""
    sealed = Sealer(OLD, "test").seal(content, context)
    rotated = Sealer(ROTATED, "test")
    assert rotated.open(sealed, context) == content
    assert Sealer(NEW, "test").open(rotated.seal(content, context), context) == content


def test_the_key_that_is_gone_is_named_and_not_guessed() -> None:
    """No other key is tried on what it made."""
    with pytest.raises(UnknownKey):
        Sealer(NEW, "test").open(Sealer(OLD, "test").seal(b"content", b"here"), b"here")
    with pytest.raises(UnknownKey):
        Authenticator(NEW, "test").is_authentic(Authenticator(OLD, "test").code(b"content"), b"content")


@given(st.integers(0, 200), st.integers(1, 255))
def test_a_changed_byte_is_noticed(position: int, change: int) -> None:
    """Wherever it is: the key's id is no exception."""
    sealed = bytearray(Sealer(ROTATED, "test").seal(b"content", b"here"))
    sealed[position % len(sealed)] ^= change
    with pytest.raises((NotAuthentic, UnknownKey)):
        Sealer(ROTATED, "test").open(bytes(sealed), b"here")


@given(st.binary(max_size=60))
def test_what_was_never_sealed_is_not_opened(content: bytes) -> None:
    """Whatever its length and first bytes."""
    with pytest.raises((NotAuthentic, UnknownKey)):
        Sealer(ROTATED, "test").open(content, b"here")
    with pytest.raises((NotAuthentic, UnknownKey)):
        Sealer(ROTATED, "test").open(Sealer(OLD, "test").seal(b"", b"here")[:9] + content, b"here")


def test_a_purpose_or_a_place_of_its_own_keeps_things_apart() -> None:
    """A stored reply is no signing key, and belongs into its own row."""
    sealed = Sealer(OLD, "test").seal(b"content", b"here")
    for purpose, context in (("other", b"here"), ("test", b"there")):
        with pytest.raises(NotAuthentic):
            Sealer(OLD, purpose).open(sealed, context)


def test_a_code_proves_its_content_and_no_other() -> None:
    """Before a rotation and after it, whole or shortened."""
    for code_bytes in (16, 32):
        code = Authenticator(OLD, "test", code_bytes=code_bytes).code(b"content")
        rotated = Authenticator(ROTATED, "test", code_bytes=code_bytes)
        assert rotated.is_authentic(code, b"content")
        assert not rotated.is_authentic(code, b"contents")
        assert not rotated.is_authentic(code[:-1], b"content")
        assert rotated.split(code + b"content") == (code, b"content")


def test_a_bare_key_is_the_first_of_its_ring() -> None:
    """A secret that was never rotated stays as it is, and what it made is opened when a second key has come."""
    sealed = Sealer(Keyring.parse("11" * 32), "test").seal(b"content", b"")
    later = Keyring.parse(f"1:{'22' * 32}\n{'11' * 32}")
    assert [key.key_id for key in later.keys] == ["1", "0"]
    assert Sealer(later, "test").open(sealed, b"") == b"content"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "is not 32 bytes in hex"),
        ("hunter2", "is not 32 bytes in hex"),
        (f"1:{'11' * 32}\n2:hunter2", "is not 32 bytes in hex"),
        (f"a b:{'11' * 32}", "is not 32 bytes in hex"),
        (f":{'11' * 32}", "is not 32 bytes in hex"),
        (f"{'x' * 33}:{'11' * 32}", "is not 32 bytes in hex"),
        (f"1:{'11' * 32}\n1:{'22' * 32}", "names two keys by one id"),
        (f"0:{'11' * 32}\n{'22' * 32}", "names two keys by one id"),
    ],
)
def test_lines_that_are_no_keys_are_refused(text: str, complaint: str) -> None:
    """Without a word of what they are."""
    with pytest.raises(ValueError, match=complaint) as raised:
        Keyring.parse(text)
    assert "1111" not in str(raised.value)
    assert "hunter2" not in str(raised.value)
