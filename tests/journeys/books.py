"""What must be true of orders, stock and money when everything has come to rest, read where each service keeps it."""

import sqlite3
from dataclasses import dataclass
from typing import Any

import psycopg

from tools.stack.stack import Stack

ORDERS = "SELECT order_id::text, state FROM customer_order"
LEDGER = """
SELECT order_id::text, array_agg(DISTINCT kind) AS kinds, sum(minor_units) AS net
FROM booking JOIN ledger_entry USING (booking_id) GROUP BY order_id
"""
STOCK = "SELECT on_hand, reserved FROM stock WHERE sku = %s"
COUNTED = "SELECT sum(delta) FROM stock_adjustment WHERE sku = %s AND refusal IS NULL"
SOLD = """
SELECT coalesce(sum((line ->> 2)::bigint), 0)
FROM customer_order, jsonb_array_elements(lines) AS line WHERE state = 'CONFIRMED' AND line ->> 0 = %s
"""
UNTOLD = "SELECT count(*) FROM outbox WHERE published_at IS NULL"
TOLD = """
SELECT order_told ->> 'order_id' AS order_id, count(*) FROM delivery
WHERE order_told IS NOT NULL AND state = 'sent' GROUP BY 1
"""


@dataclass(frozen=True)
class Books:
    """The books of one stack. Nobody may be ordering while they are read."""

    stack: Stack

    def orders(self) -> dict[str, str]:
        """The state of every order there is."""
        return dict(self._rows("orders", ORDERS))

    def check_money(self) -> None:
        """The ledger nets to zero for each order; who was confirmed was charged once, and nobody else was."""
        ledger = {order_id: (kinds, net) for order_id, kinds, net in self._rows("payments", LEDGER)}
        charges = self.charges()
        for order_id, state in self.orders().items():
            kinds, net = ledger.get(order_id, ([], 0))
            charged = 1 if state == "CONFIRMED" else 0
            assert net == 0, f"the ledger of {order_id} is off by {net}"
            assert kinds.count("capture") - kinds.count("refund") == charged, f"{order_id} is {state}: {kinds}"
            assert charges.get(order_id, 0) == charged, (
                f"{order_id} is {state}, and charged {charges.get(order_id)} times"
            )

    def check_stock(self, sku: str) -> None:
        """What was counted in and not sold lies there, and nothing is promised to anybody."""
        counted, sold = self._value("inventory", COUNTED, sku), self._value("orders", SOLD, sku)
        assert self._rows("inventory", STOCK, sku) == [(counted - sold, 0)], f"{counted} of {sku} counted, {sold} sold"

    def check(self, *skus: str) -> None:
        """All of it."""
        assert set(self.orders().values()) <= {"CONFIRMED", "CANCELLED"}
        self.check_money()
        for sku in skus:
            self.check_stock(sku)

    def charges(self) -> dict[str, int]:
        """How often the provider has charged each order."""
        with sqlite3.connect(f"file:{self.stack.directory.provider}/charges.sqlite3?mode=ro", uri=True) as file:
            rows = dict(file.execute("SELECT reference, times_charged FROM charge"))
        file.close()
        return rows

    def untold(self, service: str) -> int:
        """How many facts of a service wait for the broker."""
        return int(self._value(service, UNTOLD))

    def mails(self) -> dict[str, int]:
        """How many mails were sent about each order."""
        return dict(self._rows("notifications", TOLD))

    def _rows(self, service: str, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.stack.secret(service, "database_url")) as connection:
            return connection.execute(query, values).fetchall()

    def _value(self, service: str, query: str, *values: Any) -> int:
        return int(self._rows(service, query, *values)[0][0])
