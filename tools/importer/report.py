"""What became of an import, for the terminal and as a file."""

import csv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Column, Table

from tools.importer.retail import Catalogue, PassedOver
from tools.importer.upload import Outcome
from tradewind.catalog.v1.catalog_service_pb2 import LineRejection, RejectedLine


def passed_over(catalogue: Catalogue, outcome: Outcome) -> list[PassedOver]:
    """Every line that was not used: the ones that were never sent, and the ones the shop refused."""
    refused = [PassedOver(line.line_number, _reason(line), line.message) for line in outcome.report.rejected_lines]
    return sorted([*catalogue.passed_over, *refused], key=lambda line: line.line_number)


def show(console: Console, catalogue: Catalogue, outcome: Outcome, at_most: int) -> None:
    """Print the lines that were not used, then the figures."""
    lines = passed_over(catalogue, outcome)
    for line in lines[:at_most]:
        console.print(_sentence(line), markup=False, highlight=False, soft_wrap=True)
    if len(lines) > at_most:
        console.print(f"… and {len(lines) - at_most} lines more: --report FILE writes all of them", highlight=False)
    console.print(_reasons(lines), _figures(catalogue, outcome))
    if outcome.known_before == len(catalogue.products):
        console.print("This catalogue was imported before: nothing was sent, nothing changed.")


def write(path: Path, lines: Sequence[PassedOver]) -> None:
    """Keep every line that was not used as comma-separated values."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("line_number", "reason", "message"))
        writer.writerows((line.line_number, line.reason, line.message) for line in lines)


def _reason(line: RejectedLine) -> str:
    """As the importer's own: `NAME_INVALID`. A number for one that only a newer catalogue knows."""
    known = LineRejection.values()
    return LineRejection.Name(line.reason).removeprefix("LINE_REJECTION_") if line.reason in known else str(line.reason)


def _sentence(line: PassedOver) -> str:
    return f"line {line.line_number:>6}  {line.reason:<20} {line.message}"


def _reasons(lines: Sequence[PassedOver]) -> Table:
    table = Table("Lines passed over", Column("", justify="right"))
    for reason, count in Counter(line.reason for line in lines).most_common():
        table.add_row(reason, str(count))
    return table


def _figures(catalogue: Catalogue, outcome: Outcome) -> Table:
    table = Table("Products", Column("", justify="right"))
    for name, count in {
        "in the file": len(catalogue.products),
        "sent now": len(catalogue.products) - outcome.known_before,
        "created, all told": outcome.report.created,
        "changed": outcome.report.changed,
        "unchanged": outcome.report.unchanged,
        "refused by the shop": outcome.report.rejected,
    }.items():
        table.add_row(name, str(count))
    return table
