-- Stock changes in four statements: reserve, move, expire and save_count. The rows are locked first, in the order of
-- their SKU; so they wait for one another, but never in a circle. Whole rows are stored, made of the locked ones: a
-- statement that had to wait begins its UPDATE with the rows as they were before, and checks the constraints on what
-- comes of those before it looks again.

-- name: reserve
-- Opens a reservation and holds its lines. No row: the order has a reservation already. Otherwise a row for each line:
-- what was available before, and the stock after, which is null where that is too little. Then roll back.
WITH opened AS (
    INSERT INTO reservation (order_id, state, expires_at, version)
    VALUES (%(order_id)s, 'held', %(expires_at)s, 1)
    ON CONFLICT (order_id) DO NOTHING
    RETURNING order_id, state, expires_at, version
),
line AS (
    SELECT opened.*, wanted.sku, wanted.quantity
    FROM opened, unnest(%(skus)s::text[], %(quantities)s::bigint[]) AS wanted (sku, quantity)
),
locked AS MATERIALIZED (
    SELECT stock.*, stock.on_hand - stock.reserved AS available, line.quantity
    FROM line JOIN stock USING (sku)
    ORDER BY stock.sku
    FOR UPDATE OF stock
),
moved AS (
    UPDATE stock
    SET on_hand = locked.on_hand, reserved = locked.reserved + locked.quantity, version = locked.version + 1
    FROM locked
    WHERE stock.sku = locked.sku AND locked.available >= locked.quantity
    RETURNING stock.sku, stock.on_hand, stock.reserved, stock.version AS stock_version
),
kept AS (
    INSERT INTO reservation_line (order_id, sku, quantity)
    SELECT line.order_id, line.sku, line.quantity
    FROM line JOIN moved USING (sku)
)
SELECT
    line.order_id, NULL AS state_before, line.state, line.expires_at, line.version,
    line.sku, line.quantity, coalesce(locked.available, 0) AS available,
    moved.on_hand, moved.reserved, moved.stock_version
FROM line LEFT JOIN locked USING (sku) LEFT JOIN moved USING (sku)
ORDER BY line.sku;

-- name: move
-- Moves a reservation to another state, if it is in one of the states `movable`, and its stock with it: held lines
-- count in `reserved`, committed ones have left `on_hand`. No row: the order has no reservation. Otherwise a row for
-- each line, or one without a line: the state before; what was available before, null when nothing moves; and the
-- stock after, null where too little is available. Then roll back.
WITH before AS MATERIALIZED (
    SELECT order_id, state, expires_at, version
    FROM reservation
    WHERE order_id = %(order_id)s
    FOR UPDATE
),
line AS (
    SELECT
        sku, quantity,
        quantity * ((%(state)s = 'held')::int - (before.state = 'held')::int) AS promised,
        quantity * (%(state)s = 'committed')::int AS taken,
        before.state = ANY(%(movable)s) AS moves
    FROM before JOIN reservation_line USING (order_id)
),
locked AS MATERIALIZED (
    SELECT stock.*, stock.on_hand - stock.reserved AS available, line.promised, line.taken
    FROM line JOIN stock USING (sku)
    WHERE line.moves
    ORDER BY stock.sku
    FOR UPDATE OF stock
),
moved AS (
    UPDATE stock
    SET
        on_hand = locked.on_hand - locked.taken,
        reserved = locked.reserved + locked.promised,
        version = locked.version + 1
    FROM locked
    WHERE stock.sku = locked.sku AND locked.available >= locked.promised + locked.taken
    RETURNING stock.sku, stock.on_hand, stock.reserved, stock.version AS stock_version
),
after AS (
    UPDATE reservation
    SET state = %(state)s, expires_at = coalesce(%(expires_at)s, before.expires_at), version = before.version + 1
    FROM before
    WHERE reservation.order_id = before.order_id AND before.state = ANY(%(movable)s)
    RETURNING reservation.order_id, reservation.state, reservation.expires_at, reservation.version
)
SELECT
    before.order_id, before.state AS state_before,
    coalesce(after.state, before.state) AS state,
    coalesce(after.expires_at, before.expires_at) AS expires_at,
    coalesce(after.version, before.version) AS version,
    line.sku, line.quantity, locked.available,
    moved.on_hand, moved.reserved, moved.stock_version
FROM before
LEFT JOIN after USING (order_id)
LEFT JOIN line ON true
LEFT JOIN locked USING (sku)
LEFT JOIN moved USING (sku)
ORDER BY line.sku;

-- name: prolong
UPDATE reservation SET expires_at = %(expires_at)s WHERE order_id = %(order_id)s;

-- name: close_unopened
-- Closes the reservation of an order that has none. No row: it has one.
INSERT INTO reservation (order_id, state, version)
VALUES (%(order_id)s, 'released', 1)
ON CONFLICT (order_id) DO NOTHING
RETURNING order_id, state, expires_at, version, NULL AS sku, NULL AS quantity;

-- name: expire
-- Gives back some reservations whose time has run out, passing over those somebody is working on. A row for each line.
WITH due AS MATERIALIZED (
    SELECT order_id
    FROM reservation
    WHERE state = 'held' AND expires_at <= %(now)s
    ORDER BY expires_at
    LIMIT %(at_most)s
    FOR UPDATE SKIP LOCKED
),
freed AS (
    SELECT sku, sum(quantity) AS quantity
    FROM due JOIN reservation_line USING (order_id)
    GROUP BY sku
),
locked AS MATERIALIZED (
    SELECT stock.*, freed.quantity
    FROM freed JOIN stock USING (sku)
    ORDER BY stock.sku
    FOR UPDATE OF stock
),
moved AS (
    UPDATE stock
    SET on_hand = locked.on_hand, reserved = locked.reserved - locked.quantity, version = locked.version + 1
    FROM locked
    WHERE stock.sku = locked.sku
),
expired AS (
    UPDATE reservation
    SET state = 'expired', version = reservation.version + 1
    FROM due
    WHERE reservation.order_id = due.order_id
    RETURNING reservation.order_id, reservation.state, reservation.expires_at, reservation.version
)
SELECT expired.*, reservation_line.sku, reservation_line.quantity
FROM expired JOIN reservation_line USING (order_id)
ORDER BY expired.order_id, reservation_line.sku;

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
FOR UPDATE;

-- name: find_receipts
SELECT request_id, sku, delta, note, adjusted_by, refusal, on_hand, reserved
FROM stock_adjustment
WHERE request_id = ANY(%(request_ids)s::uuid[]);

-- name: save_count
WITH journal AS (
    INSERT INTO stock_adjustment
        (request_id, sku, delta, note, adjusted_by, adjusted_at, refusal, on_hand, reserved)
    SELECT request_id, sku, delta, note, adjusted_by, %(at)s, refusal, on_hand, reserved
    FROM unnest(
        %(request_ids)s::uuid[], %(skus)s::text[], %(deltas)s::bigint[], %(notes)s::text[],
        %(adjusted_by)s::text[], %(refusals)s::text[], %(on_hand)s::bigint[], %(reserved)s::bigint[]
    ) AS line (request_id, sku, delta, note, adjusted_by, refusal, on_hand, reserved)
)
UPDATE stock
SET on_hand = counted.on_hand, version = counted.version
FROM unnest(
    %(counted_skus)s::text[], %(counted_on_hand)s::bigint[], %(counted_versions)s::bigint[]
) AS counted (sku, on_hand, version)
WHERE stock.sku = counted.sku;
