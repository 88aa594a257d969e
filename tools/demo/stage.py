"""The terminal as a stage: chapters, lines, tables; and the promise that everything came out as told."""

from collections.abc import AsyncIterator, Sequence

from rich.table import Table

from tools.client.shop import OrderEvent
from tools.stack.terminal import open_console

_COLOURS = {"CONFIRMED": "green", "CANCELLED": "yellow", "CANCELLING": "yellow"}


class NotAsTold(Exception):
    """Something came out otherwise than the story says."""


class Stage:
    """Shows what happens, as it happens."""

    def __init__(self) -> None:
        self._console = open_console()
        self._chapters = 0

    def chapter(self, title: str) -> None:
        """Begins a chapter."""
        self._chapters += 1
        self._console.print(f"\n[bold cyan]{self._chapters}. {title}[/]")

    def say(self, text: str) -> None:
        """Prints a line."""
        self._console.print(f"   {text}")

    def command(self, line: str) -> None:
        """Prints a line to be copied into a shell, however long it is."""
        self._console.print(f"   {line}", soft_wrap=True, markup=False)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Prints a table."""
        table = Table(*columns, box=None, pad_edge=False, padding=(0, 3, 0, 3), header_style="dim")
        for row in rows:
            table.add_row(*row)
        self._console.print(table)

    async def follow(self, events: AsyncIterator[OrderEvent]) -> list[OrderEvent]:
        """Prints what happens to an order until its stream ends."""
        seen = []
        async for event in events:
            colour = _COLOURS.get(event.step, "white")
            reason = f" ({event.reason})" if event.reason else ""
            self._console.print(f"     · [{colour}]{event.step.replace('_', ' ').lower()}{reason}[/]")
            seen.append(event)
        return seen

    def expect(self, truth: bool, told: str) -> None:
        """Goes on if it is true. Raises NotAsTold."""
        if not truth:
            raise NotAsTold(told)
