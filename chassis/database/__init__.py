"""A service's PostgreSQL database: the names a service uses. The pool, the transaction and the outbox row lie beside this file."""

from chassis.database.database import Database, in_transaction, storable
from chassis.database.pipeline import Command, Row
from chassis.database.sqlstate import (
    CheckViolation,
    ConstraintViolation,
    DatabaseUnavailable,
    ForeignKeyViolation,
    StatementTimeout,
    TransactionConflict,
    UniqueViolation,
)
from chassis.database.transaction import AlreadyProcessed, Guard, Reader, Transaction

__all__ = [
    "AlreadyProcessed",
    "CheckViolation",
    "Command",
    "ConstraintViolation",
    "Database",
    "DatabaseUnavailable",
    "ForeignKeyViolation",
    "Guard",
    "Reader",
    "Row",
    "StatementTimeout",
    "Transaction",
    "TransactionConflict",
    "UniqueViolation",
    "in_transaction",
    "storable",
]
