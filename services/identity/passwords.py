"""Passwords: argon2id, off the event loop, and only so many at a time."""

import asyncio
import ctypes
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import cache
from importlib.resources import files
from typing import Final, TypeVar

from argon2 import PasswordHasher, Type
from argon2.exceptions import VerifyMismatchError

from services.identity.domain import HashingBusy

# OWASP's minimum for argon2id: 19 MiB, two passes, one lane. About 20 ms of one core.
_HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1, type=Type.ID)

# The C library's own idea is to keep what was freed for the next time, in every thread.
_GIVEN_BACK_BYTES: Final = 1024 * 1024
_M_MMAP_THRESHOLD: Final = -3

T = TypeVar("T")


class Passwords:
    """Hashes and compares in `threads` threads. At most `queue` callers wait for one; the next is refused."""

    def __init__(self, threads: int, queue: int) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="passwords")
        self._room = threads + queue
        _give_back_large_memory()
        self._nobodys_hash = _HASHER.hash(secrets.token_urlsafe())

    async def hash(self, password: str) -> str:
        """The text to store: parameters, salt and hash. Raises HashingBusy."""
        return await self._in_thread(lambda: _HASHER.hash(password))

    async def is_right(self, password: str, password_hash: str | None) -> bool:
        """Whether the password has this hash. Takes as long when there is none to compare with. Raises HashingBusy."""
        matches = await self._in_thread(lambda: _matches(password_hash or self._nobodys_hash, password))
        return matches and password_hash is not None

    async def _in_thread(self, work: Callable[[], T]) -> T:
        if not self._room:
            raise HashingBusy("too many passwords are being checked", retry_after=timedelta(seconds=1))
        self._room -= 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._room += 1


def _give_back_large_memory() -> None:
    """Has the memory of a hash returned to the system when it is done (mallopt(3); other C libraries than glibc do so anyway)."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        mallopt(_M_MMAP_THRESHOLD, _GIVEN_BACK_BYTES)


@cache
def common_words() -> frozenset[str]:
    """The words, one a line, that a password is not made of."""
    return frozenset(files(__package__).joinpath("common_passwords.txt").read_text(encoding="utf-8").split())


def _matches(password_hash: str, password: str) -> bool:
    try:
        return _HASHER.verify(password_hash, password)
    except VerifyMismatchError:
        return False
