"""What PostgreSQL's errors mean to a caller: nothing above the chassis sees a driver's exception."""

import psycopg
import psycopg_pool

from chassis.core import errors


class DatabaseUnavailable(errors.Unavailable):
    """The database cannot be reached, or went away in the middle; at a COMMIT the outcome is unknown."""

    reason = "DATABASE_UNAVAILABLE"


class NoConnection(DatabaseUnavailable):
    """No connection became free, or could be made, in time."""


class DatabaseBusy(errors.ResourceExhausted):
    """So many are waiting for a connection already that one more would only make it worse."""

    reason = "DATABASE_BUSY"


class TransactionConflict(errors.Aborted):
    """Two transactions were in each other's way and this one gave in; run it again."""

    reason = "TRANSACTION_CONFLICT"


class StatementTimeout(errors.DeadlineExceeded):
    """A statement did not end within the time its caller had left."""

    reason = "STATEMENT_TIMEOUT"


class GuardViolation(Exception):
    """The SQL function `require` found a condition that does not hold, and ended the transaction: no fault of anybody's."""


class ConstraintViolation(Exception):
    """A rule of the schema refused a row. Stores translate it into an error of the domain."""

    def __init__(self, constraint: str) -> None:
        super().__init__(constraint)
        self.constraint = constraint


class UniqueViolation(ConstraintViolation):
    """Another row has this key."""


class CheckViolation(ConstraintViolation):
    """A value is outside what its CHECK, NOT NULL or EXCLUDE constraint allows."""


class ForeignKeyViolation(ConstraintViolation):
    """The row referred to does not exist, or is still referred to."""


class StatementFault(Exception):
    """A statement that cannot be right whatever the data: a bug of ours."""


GUARD_VIOLATION = "TW001"
"""The one SQLSTATE of our own: chassis/database/migrations/00070_require.sql. No class from I to Z is the standard's."""

_PASSING = frozenset({"08", "53", "57", "58"})
"""The classes of errors that have nothing to do with the statement: connections, resources, operators, the system."""


def translated(error: psycopg.Error) -> Exception:  # noqa: C901, PLR0911 — a table, one line of it a return
    """The error to raise `from None` in place of the driver's, which may quote a whole row: a log must not."""
    constraint = error.diag.constraint_name or error.diag.column_name or ""
    if error.sqlstate == GUARD_VIOLATION:
        return GuardViolation("a required condition does not hold")
    match error:
        case psycopg.errors.UniqueViolation():
            return UniqueViolation(constraint)
        case psycopg.errors.ForeignKeyViolation():
            return ForeignKeyViolation(constraint)
        case psycopg.errors.CheckViolation() | psycopg.errors.NotNullViolation() | psycopg.errors.ExclusionViolation():
            return CheckViolation(constraint)
        case psycopg.errors.SerializationFailure() | psycopg.errors.DeadlockDetected():
            return TransactionConflict("The transaction met another one; try again.")
        case psycopg.errors.InvalidSqlStatementName():
            # The server has forgotten what it had prepared, and this transaction was under way (pipeline.py).
            return TransactionConflict("The transaction could not go on; try again.")
        case psycopg.errors.QueryCanceled():
            return StatementTimeout("The database did not answer in time.")
        case psycopg_pool.TooManyRequests():
            return DatabaseBusy("Too many requests are waiting for the database.")
        case psycopg_pool.PoolTimeout() | psycopg_pool.PoolClosed():
            return NoConnection("The database cannot be reached.")
        case psycopg.OperationalError() if error.sqlstate is None or error.sqlstate[:2] in _PASSING:
            return DatabaseUnavailable("The database cannot be reached.")
        case psycopg.errors.IdleInTransactionSessionTimeout():
            return DatabaseUnavailable("The database cannot be reached.")
        case _:
            return StatementFault(error.diag.message_primary or str(error))
