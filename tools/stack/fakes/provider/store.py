"""Charges in one SQLite file. Every change is on disk when it returns, whatever becomes of the process then."""

import sqlite3
from datetime import datetime
from pathlib import Path
from typing import Any
from weakref import finalize

from tools.stack.fakes.provider.domain import Card, Charge, State

_SCHEMA = """
CREATE TABLE IF NOT EXISTS charge (
    reference     TEXT PRIMARY KEY,
    currency_code TEXT NOT NULL,
    minor_units   INTEGER NOT NULL,
    card          TEXT,
    state         TEXT NOT NULL,
    created_at    TEXT NOT NULL,
    times_charged INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS misfortune (
    reference TEXT NOT NULL,
    card      TEXT NOT NULL,
    PRIMARY KEY (reference, card)
) STRICT, WITHOUT ROWID;
"""


class ChargeStore:
    """All charges ever heard of. A statement takes microseconds, so that nothing is gained by a thread for it."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._file = sqlite3.connect(directory / "charges.sqlite3", isolation_level=None, check_same_thread=False)
        self._file.row_factory = sqlite3.Row
        # By whichever thread collects the garbage.
        finalize(self, self._file.close)
        # The write-ahead log survives the death of the process without a sync at every commit.
        self._file.execute("PRAGMA journal_mode = wal")
        self._file.execute("PRAGMA synchronous = normal")
        self._file.executescript(_SCHEMA)

    def find(self, reference: str) -> Charge | None:
        """The charge of that reference."""
        row = self._file.execute("SELECT * FROM charge WHERE reference = ?", [reference]).fetchone()
        return _charge(row) if row else None

    def keep(self, charge: Charge) -> None:
        """Remember a charge as it is now."""
        self._file.execute("INSERT OR REPLACE INTO charge VALUES (?, ?, ?, ?, ?, ?, ?)", _columns(charge))

    def strikes_first(self, card: Card, reference: str) -> bool:
        """Whether a card's misfortune meets this charge for the first time; the next time it does not."""
        return self._file.execute("INSERT OR IGNORE INTO misfortune VALUES (?, ?)", [reference, card]).rowcount == 1


def _columns(charge: Charge) -> list[Any]:
    return [
        charge.reference,
        charge.currency_code,
        charge.minor_units,
        charge.card,
        charge.state,
        charge.created_at.isoformat(),
        charge.times_charged,
    ]


def _charge(row: sqlite3.Row) -> Charge:
    return Charge(
        reference=row["reference"],
        currency_code=row["currency_code"],
        minor_units=row["minor_units"],
        card=Card(row["card"]) if row["card"] else None,
        state=State(row["state"]),
        created_at=datetime.fromisoformat(row["created_at"]),
        times_charged=row["times_charged"],
    )
