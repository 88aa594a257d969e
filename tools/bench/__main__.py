"""Command line of the benchmarks: `bench [calls|orders|stack …]` prints a table for each, and writes all figures as JSON.

The JSON holds `measured_at`, `machine`, and for each section that ran what `measure` of `tools.bench.calls`, `.orders` and
`.stack` returns, field by field. Figures of a machine that does other work meanwhile are worth little: `machine.load` tells.
"""

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Coroutine
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvloop
from rich.console import Console
from rich.table import Table

from tools.bench import calls, orders, stack, tables
from tools.stack.commands import default_directory
from tools.stack.errors import StackError

SECTIONS = ("calls", "orders", "stack")
ORDERS = 1_500

console = Console(highlight=False)


def main() -> int:
    """Measure what was asked for."""
    arguments = _parser().parse_args()
    now = datetime.now(UTC)
    results: dict[str, Any] = {"measured_at": now.isoformat(timespec="seconds"), "machine": _machine()}
    try:
        for section in arguments.sections or SECTIONS:
            results[section] = _run(section, arguments.orders)
    except StackError as error:
        print(error, file=sys.stderr)
        return 1
    _write(arguments.json or default_directory().root / "bench" / f"{now:%Y-%m-%dT%H%M%SZ}.json", results)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="./taskw bench", description="What Tradewind costs.")
    parser.add_argument(
        "sections", nargs="*", choices=[*SECTIONS, []], metavar="SECTION", help="calls, orders or stack"
    )
    parser.add_argument("--orders", type=int, default=ORDERS, help=f"how many orders to place (default: {ORDERS})")
    parser.add_argument("--json", type=Path, help="where to write the figures (default: .tradewind/bench/<date>.json)")
    return parser


def _run(section: str, count: int) -> Any:
    measurements: dict[str, tuple[Callable[[], Coroutine[Any, Any, Any]], Callable[[Any], Table]]] = {
        "calls": (calls.measure, tables.of_calls),
        "orders": (lambda: orders.measure(count), tables.of_orders),
        "stack": (stack.measure, tables.of_stack),
    }
    measure, show = measurements[section]
    with console.status(f"measuring {section}…"):
        figures = uvloop.run(measure())
    console.print(show(figures), "")
    return figures


def _machine() -> dict[str, Any]:
    return {
        "cores": os.cpu_count(),
        "load": list(os.getloadavg()),
        "python": platform.python_version(),
        "system": platform.platform(),
    }


def _write(path: Path, results: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=2, default=_fields) + "\n")
    console.print(f"figures: {path}")


def _fields(value: object) -> dict[str, Any]:
    assert is_dataclass(value)
    assert not isinstance(value, type)
    return asdict(value)


if __name__ == "__main__":
    sys.exit(main())
