-- A change reads what it touches under locks, decides in services/inventory/domain.py, and stores what came of it along with
-- the COMMIT. The reservation is locked before its stock, and stock in the order of its SKU: so changes wait for one
-- another, but never in a circle. Each lock is a statement of its own, and sees what the one it waited for has committed.
-- FOR NO KEY UPDATE, since a new line's foreign key takes a KEY SHARE lock on its stock: FOR UPDATE would wait for that of
-- another order, which waits for ours.

-- name: open_reservation
-- Opens a reservation with its lines, but those of products that were never counted. No row: the order has one already.
WITH opened AS (
    INSERT INTO reservation (order_id, state, expires_at, version)
    VALUES (%(order_id)s, 'held', %(expires_at)s, 1)
    ON CONFLICT (order_id) DO NOTHING
    RETURNING order_id
),
line AS (
    INSERT INTO reservation_line (order_id, sku, quantity)
    SELECT opened.order_id, wanted.sku, wanted.quantity
    FROM opened, unnest(%(skus)s::text[], %(quantities)s::bigint[]) AS wanted (sku, quantity) JOIN stock USING (sku)
)
SELECT order_id FROM opened;

-- name: close_unopened
-- Closes the reservation of an order that has none, so that one that comes late finds it closed. No row: it has one.
INSERT INTO reservation (order_id, state, version)
VALUES (%(order_id)s, 'released', 1)
ON CONFLICT (order_id) DO NOTHING
RETURNING order_id;

-- name: lock_reservation
SELECT order_id, state, expires_at, version FROM reservation WHERE order_id = %(order_id)s FOR NO KEY UPDATE;

-- name: lock_expired
-- Passes over those somebody is working on.
SELECT order_id, state, expires_at, version
FROM reservation
WHERE state = 'held' AND expires_at <= %(now)s
ORDER BY expires_at
LIMIT %(at_most)s
FOR NO KEY UPDATE SKIP LOCKED;

-- name: find_lines
SELECT order_id, sku, quantity FROM reservation_line WHERE order_id = ANY(%(order_ids)s::uuid[]) ORDER BY order_id, sku;

-- name: lock_stock_of
-- The stock of every product these orders have reserved.
SELECT sku, on_hand, reserved, version
FROM stock
WHERE sku IN (SELECT sku FROM reservation_line WHERE order_id = ANY(%(order_ids)s::uuid[]))
ORDER BY sku
FOR NO KEY UPDATE;

-- name: save_reservations
UPDATE reservation
SET state = moved.state, expires_at = moved.expires_at, version = moved.version
FROM unnest(
    %(order_ids)s::uuid[], %(states)s::text[], %(expires_at)s::timestamptz[], %(versions)s::bigint[]
) AS moved (order_id, state, expires_at, version)
WHERE reservation.order_id = moved.order_id;

-- name: save_stock
UPDATE stock
SET on_hand = moved.on_hand, reserved = moved.reserved, version = moved.version
FROM unnest(
    %(skus)s::text[], %(on_hand)s::bigint[], %(reserved)s::bigint[], %(versions)s::bigint[]
) AS moved (sku, on_hand, reserved, version)
WHERE stock.sku = moved.sku;

-- name: find_reservation
-- A reservation: a row for each line, or one without a line.
SELECT
    reservation.order_id, reservation.state, reservation.expires_at, reservation.version,
    reservation_line.sku, reservation_line.quantity
FROM reservation LEFT JOIN reservation_line USING (order_id)
WHERE reservation.order_id = %(order_id)s
ORDER BY reservation_line.sku;

-- name: find_stock
SELECT sku, on_hand, reserved, version
FROM stock
WHERE sku = ANY(%(skus)s);

-- name: open_stock
-- Products that are counted for the first time have nothing on hand before.
INSERT INTO stock (sku)
SELECT new.sku
FROM unnest(%(skus)s::text[]) AS new (sku)
ORDER BY new.sku COLLATE "C"
ON CONFLICT (sku) DO NOTHING;

-- name: lock_stock
SELECT sku, on_hand, reserved, version
FROM stock
WHERE sku = ANY(%(skus)s)
ORDER BY sku
FOR NO KEY UPDATE;

-- name: find_receipts
SELECT request_id, sku, delta, note, adjusted_by, refusal, on_hand, reserved
FROM stock_adjustment
WHERE request_id = ANY(%(request_ids)s::uuid[]);

-- name: add_receipts
INSERT INTO stock_adjustment (request_id, sku, delta, note, adjusted_by, adjusted_at, refusal, on_hand, reserved)
SELECT request_id, sku, delta, note, adjusted_by, %(at)s, refusal, on_hand, reserved
FROM unnest(
    %(request_ids)s::uuid[], %(skus)s::text[], %(deltas)s::bigint[], %(notes)s::text[],
    %(adjusted_by)s::text[], %(refusals)s::text[], %(on_hand)s::bigint[], %(reserved)s::bigint[]
) AS line (request_id, sku, delta, note, adjusted_by, refusal, on_hand, reserved);
