-- name: place_order
WITH placed AS (
    INSERT INTO order_event (order_id, version, step, payload, occurred_at)
    VALUES (%(order_id)s, 1, 'PLACED', %(payload)s::jsonb, %(placed_at)s)
)
INSERT INTO customer_order (
    order_id, customer_id, lines, currency_code, minor_units, state, cancel_reason, version, placed_at, updated_at
)
VALUES (
    %(order_id)s, %(customer_id)s, %(lines)s::jsonb, %(currency_code)s, %(minor_units)s, 'PENDING', '', 1,
    %(placed_at)s, %(placed_at)s
)

-- name: append
-- An event of that version there already means that somebody else was faster: the statement fails.
WITH appended AS (
    INSERT INTO order_event (order_id, version, step, reason, occurred_at)
    SELECT %(order_id)s, version, step, reason, %(updated_at)s
    FROM unnest(%(versions)s::bigint [], %(steps)s::text [], %(reasons)s::text []) AS event (version, step, reason)
)
UPDATE customer_order
SET state = %(state)s, cancel_reason = %(cancel_reason)s, version = %(version)s, updated_at = %(updated_at)s
WHERE order_id = %(order_id)s

-- name: find_order
SELECT
    order_id::text, customer_id, lines, currency_code, minor_units, state, cancel_reason, version, placed_at, updated_at
FROM customer_order
WHERE order_id = %(order_id)s

-- name: list_orders
-- One of the two filters is always the better index; which one, the planner knows.
SELECT
    order_id::text, customer_id, lines, currency_code, minor_units, state, cancel_reason, version, placed_at, updated_at
FROM customer_order
WHERE order_id < %(before)s::uuid
    AND (%(customer_id)s::text = '' OR customer_id = %(customer_id)s)
    AND (%(state)s::text = '' OR state = %(state)s)
ORDER BY order_id DESC
LIMIT %(limit)s

-- name: list_progress
SELECT version, step, reason, occurred_at
FROM order_event
WHERE order_id = %(order_id)s AND version > %(after_version)s
ORDER BY version
