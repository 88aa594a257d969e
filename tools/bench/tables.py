"""The figures as tables, each with the target beside it."""

from collections.abc import Mapping

from rich.table import Table

from chassis.contract import manifest
from tools.bench import calls, orders, stack
from tools.paths import ROOT

LARGEST_CHASSIS_FACTOR = 1.5
FEWEST_ORDERS_PER_SECOND = 100
LONGEST_START_SECONDS = 10
LARGEST_SERVICE_MIB = 90


def of_calls(figures: Mapping[str, calls.Figure]) -> Table:
    """CPU per call, as multiples of the bare server's."""
    bare = figures[calls.BARE].cpu_microseconds_per_call
    table = _table("One small unary call", "server", "CPU µs/call", "of bare", "calls/s")
    for kind, figure in figures.items():
        cpu = figure.cpu_microseconds_per_call
        table.add_row(kind, f"{cpu:.0f}", f"{cpu / bare:.2f}", f"{figure.calls_per_second:.0f}")
    chassis, stock = (figures[kind].cpu_microseconds_per_call for kind in ("chassis", "opentelemetry"))
    is_met = chassis <= LARGEST_CHASSIS_FACTOR * bare and chassis < stock
    table.caption = _target(f"chassis at most {LARGEST_CHASSIS_FACTOR} of bare, and below opentelemetry", is_met)
    return table


def of_orders(figures: orders.Figures) -> Table:
    """Speed, then CPU per order by process, then the same as so many calls of a bare server."""
    title = f"{figures.orders} orders by {figures.customers} customers, PlaceOrder to CONFIRMED"
    table = _table(title, "", "")
    table.add_row("orders/s", f"{figures.orders_per_second:.0f}")
    table.add_row("p50", f"{figures.p50_milliseconds:.0f} ms")
    table.add_row("p99", f"{figures.p99_milliseconds:.0f} ms", end_section=True)
    for name, milliseconds in figures.cpu_milliseconds_per_order.items():
        table.add_row(f"CPU of {name}", f"{milliseconds:.2f} ms/order")
    table.add_section()
    in_all = sum(figures.cpu_milliseconds_per_order.values())
    bare = figures.bare_call_cpu_microseconds
    table.add_row("CPU in all", f"{in_all:.2f} ms/order")
    table.add_row("a bare gRPC call here", f"{bare:.0f} µs")
    table.add_row("an order, in bare calls", f"{1000 * in_all / bare:.0f}")
    is_met = figures.orders_per_second >= FEWEST_ORDERS_PER_SECOND
    table.caption = _target(f"at least {FEWEST_ORDERS_PER_SECOND} orders/s on two cores", is_met)
    return table


def of_stack(figures: stack.Figures) -> Table:
    """Memory and CPU at rest by process, seconds to healthy below."""
    table = _table("The stack", "process", "RSS MiB", "PSS MiB", "idle CPU %")
    for name, held in figures.memory.items():
        table.add_row(name, f"{held.rss_mib:.0f}", f"{held.pss_mib:.0f}", f"{figures.idle_cpu_percent[name]:.1f}")
    starts = ", ".join(f"{seconds:.1f}" for seconds in figures.starts)
    table.add_section()
    table.add_row("healthy after", f"{figures.seconds_to_healthy:.1f} s", "", f"of {starts}")
    largest = max(held.rss_mib for name, held in figures.memory.items() if name in _services())
    is_met = figures.seconds_to_healthy <= LONGEST_START_SECONDS and largest <= LARGEST_SERVICE_MIB
    table.caption = _target(
        f"healthy within {LONGEST_START_SECONDS} s, a service within {LARGEST_SERVICE_MIB} MiB", is_met
    )
    return table


def _services() -> set[str]:
    return {declared.name for declared in manifest.find(ROOT)}


def _table(title: str, *columns: str) -> Table:
    table = Table(
        title=title, title_justify="left", caption_justify="left", box=None, header_style="bold", pad_edge=False
    )
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left")
    return table


def _target(text: str, is_met: bool) -> str:
    return f"{text}: [green]met[/]" if is_met else f"{text}: [red]missed[/]"
