"""A service's PostgreSQL database: the names a service uses. The pool, the transaction and the outbox row lie beside this file."""

from chassis.database.database import Database, in_transaction, storable
from chassis.database.pool import Command, Row
from chassis.database.sqlstate import (
    CheckViolation,
    ConstraintViolation,
    DatabaseUnavailable,
    ForeignKeyViolation,
    StatementTimeout,
    TransactionConflict,
    UniqueViolation,
)
from chassis.database.transaction import NotToBeDoneError, Opening, Reader, Transaction

__all__ = [
    "CheckViolation",
    "Command",
    "ConstraintViolation",
    "Database",
    "DatabaseUnavailable",
    "ForeignKeyViolation",
    "NotToBeDoneError",
    "Opening",
    "Reader",
    "Row",
    "StatementTimeout",
    "Transaction",
    "TransactionConflict",
    "UniqueViolation",
    "in_transaction",
    "storable",
]
