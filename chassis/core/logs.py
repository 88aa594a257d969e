"""JSON logs on stdout, one object a line, each with the service and, inside a call, its trace and request ids."""

import io
import logging
import os
import sys
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import orjson

from chassis.core import traceparent

# structlog looks for rich, for a console that no service has: 50 modules, 4 MiB in each of them.
_hide_rich = "rich" not in sys.modules
if _hide_rich:
    sys.modules["rich"] = None  # type: ignore[assignment]  # how Python marks what is not to be imported
import structlog  # noqa: E402 — after that

if _hide_rich:
    del sys.modules["rich"]

_fields: ContextVar[Mapping[str, Any]] = ContextVar("log_fields", default=MappingProxyType({}))

# Without the values of variables: a request that holds a password is one of them.
_TRACEBACKS = structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False))


def configure(service: str, version: str, level: str, *, for_good: bool = True) -> None:
    """Sends every log of this process to stdout as JSON, those of the libraries too.

    `for_good`: a logger once used keeps what is said here, which makes its lines cheaper.
    """
    structlog.configure(
        processors=[_line(service, version)],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.BytesLoggerFactory(_Stdout()),
        cache_logger_on_first_use=for_good,
    )
    root = logging.getLogger()
    root.handlers = [_Forward()]
    root.setLevel(logging.WARNING)
    logging.getLogger("grpc._cython.cygrpc").addFilter(_is_fit_to_read)


def bind(**fields: Any) -> None:
    """Adds the fields to every further line of this task, and of the tasks it starts.

    One variable holds them all: structlog.contextvars keeps one for each field and searches the whole context for every
    line, which costs a call 13 µs (structlog 26.1), this 3 µs.
    """
    _fields.set({**_fields.get(), **fields})


def logger(name: str) -> Any:
    """The logger of a module: `log = logs.logger(__name__)`, then `log.info("what_happened", key=value)`."""
    return structlog.get_logger(source=name)


def _is_fit_to_read(record: logging.LogRecord) -> bool:
    """Whether a record of gRPC's quotes no metadata: it does, as an error of ours, when a caller's is no text. A token's too."""
    return not str(record.msg).startswith("Invalid encoding on ")


def _line(service: str, version: str) -> Callable[[Any, str, MutableMapping[str, Any]], bytes]:
    """What makes a line of an event. In one function: there is a line for every call."""

    def line(logger: Any, level: str, event: MutableMapping[str, Any]) -> bytes:
        event["level"] = level
        event["timestamp"] = datetime.now(UTC)
        event["service"] = service
        event["version"] = version
        event.update(_fields.get())
        _add_trace(event, traceparent.current())
        if "exc_info" in event:
            event = _TRACEBACKS(logger, level, event)
        try:
            return _json(event)
        except TypeError:  # of a number too long, or of a text that is none: to be told of all the same
            return _json({key: _spelt_out(value) for key, value in event.items()})

    return line


def _json(event: Mapping[str, Any]) -> bytes:
    # Whatever orjson has no words for is shown as its repr, a `Secret` as that it is one.
    return orjson.dumps(event, default=repr, option=orjson.OPT_PASSTHROUGH_SUBCLASS | orjson.OPT_UTC_Z)


def _spelt_out(value: Any) -> Any:
    try:
        _json({"": value})
    except TypeError:
        return repr(value)
    return value


def _add_trace(event: MutableMapping[str, Any], context: str) -> None:
    if context:
        _, event["trace_id"], event["span_id"], _ = context.split("-")


class _Stdout(io.BytesIO):
    """Standard output without a buffer: a line is one write, whole even beside those of other threads and after a kill."""

    def write(self, line: Any, /) -> int:
        """Writes the line at once. A full disk, or a reader that is gone, costs the line and not the call it is about."""
        with suppress(OSError):
            os.write(1, line)
        return len(line)


class _Forward(logging.Handler):
    """Libraries log through `logging`; their records become lines like ours."""

    def emit(self, record: logging.LogRecord) -> None:
        structlog.get_logger(source=record.name).log(record.levelno, record.getMessage(), exc_info=record.exc_info)
