-- Columns are named one by one: a statement that is prepared fails when a migration gives its result another one.

-- name: intend_authorization
-- Opens the payment of an order, or finds the one it has.
INSERT INTO payment AS known (
    order_id, currency_code, minor_units, state, intent, ask_again_at, decline_code, version, created_at, updated_at
)
VALUES (
    %(order_id)s, %(currency_code)s, %(minor_units)s, 'pending', 'authorize', %(ask_again_at)s, '', 0, %(now)s, %(now)s
)
ON CONFLICT (order_id) DO UPDATE SET ask_again_at = excluded.ask_again_at
RETURNING order_id, currency_code, minor_units, state, intent, decline_code, version, created_at, updated_at;

-- name: intend_capture
-- The payment as it is, with the intent noted if it can be captured now. No row when the order has no payment.
UPDATE payment
SET
    intent = CASE WHEN intent IS NULL AND state = ANY (%(open_in)s) THEN 'capture' ELSE intent END,
    ask_again_at = %(ask_again_at)s
WHERE order_id = %(order_id)s
RETURNING order_id, currency_code, minor_units, state, intent, decline_code, version, created_at, updated_at;

-- name: intend_undoing
-- The payment as it is, with the intent noted if there is still something to undo. An order without a payment gets an
-- empty one, so that an authorization that comes too late finds it closed.
INSERT INTO payment AS known (order_id, state, intent, ask_again_at, decline_code, version, created_at, updated_at)
VALUES (%(order_id)s, 'pending', %(intent)s, %(ask_again_at)s, '', 0, %(now)s, %(now)s)
ON CONFLICT (order_id) DO UPDATE
SET
    intent = CASE
        WHEN known.state = ANY (%(open_in)s) AND (known.intent IS NULL OR known.intent = ANY (%(supersedes)s))
            THEN excluded.intent
        ELSE known.intent
    END,
    ask_again_at = excluded.ask_again_at
RETURNING order_id, currency_code, minor_units, state, intent, decline_code, version, created_at, updated_at;

-- name: advance
-- Moves a payment on from the version it was seen at (optimistic concurrency). No row: somebody else has moved it.
UPDATE payment
SET
    state = %(state)s,
    decline_code = %(decline_code)s,
    version = %(version)s,
    updated_at = %(updated_at)s,
    intent = CASE WHEN intent = ANY (%(intents_left_open)s) THEN intent END
WHERE order_id = %(order_id)s AND version = %(seen_version)s;

-- name: book
INSERT INTO booking (booking_id, order_id, kind, booked_at)
SELECT new.booking_id, %(order_id)s, new.kind, %(booked_at)s
FROM unnest(%(booking_ids)s::uuid[], %(kinds)s::text[]) AS new (booking_id, kind);

-- name: enter
-- Two entries for each booking, which sum to zero: the amount of the payment on one account, its negative on the other.
INSERT INTO ledger_entry (booking_id, account, currency_code, minor_units)
SELECT new.booking_id, side.account, payment.currency_code, side.sign * payment.minor_units
FROM payment
CROSS JOIN unnest(%(booking_ids)s::uuid[], %(debits)s::text[], %(credits)s::text[]) AS new (booking_id, debit, credit)
CROSS JOIN LATERAL (VALUES (new.debit, 1), (new.credit, -1)) AS side (account, sign)
WHERE payment.order_id = %(order_id)s;

-- name: lock_payment
SELECT order_id, currency_code, minor_units, state, intent, decline_code, version, created_at, updated_at
FROM payment
WHERE order_id = %(order_id)s
FOR UPDATE;

-- name: find_payment
SELECT order_id, currency_code, minor_units, state, intent, decline_code, version, created_at, updated_at
FROM payment
WHERE order_id = %(order_id)s;

-- name: take_overdue
-- The payments whose outcome is to be asked for now. Each is taken by one process, and comes up again if that dies.
UPDATE payment
SET ask_again_at = %(ask_again_at)s
WHERE order_id IN (
    SELECT order_id
    FROM payment
    WHERE intent IS NOT NULL AND ask_again_at <= %(now)s
    ORDER BY ask_again_at
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
)
RETURNING order_id, currency_code, minor_units, state, intent, decline_code, version, created_at, updated_at;

-- name: list_entries
-- Shows nothing that something can still come before: a reader who has gone past it would never see it. Neither a
-- position nor a transaction's number says who commits first, but once every transaction up to some number has ended,
-- what they wrote is complete. Whoever writes for long, in any database of the cluster, holds the ledger back so long.
SELECT position, booking_id, order_id, kind, account, currency_code, minor_units, booked_at
FROM ledger_entry JOIN booking USING (booking_id)
WHERE transaction_id < pg_snapshot_xmin(pg_current_snapshot())
    AND (transaction_id, position)
    > (coalesce((SELECT transaction_id FROM ledger_entry WHERE position = %(after)s), '0'), %(after)s)
ORDER BY transaction_id, position
LIMIT %(limit)s;

-- name: list_entries_of_order
-- Holds nothing back: whoever books holds the order's payment, so that what follows gets a higher position. And whoever
-- has the answer to a capture finds its entries.
SELECT position, booking_id, order_id, kind, account, currency_code, minor_units, booked_at
FROM ledger_entry JOIN booking USING (booking_id)
WHERE order_id = %(order_id)s AND position > %(after)s
ORDER BY position
LIMIT %(limit)s;
