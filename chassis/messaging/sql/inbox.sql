-- Facts as they come in.

-- A guard: ends the transaction when the fact has taken effect before. ON CONFLICT waits for another transaction that
-- handles the same fact: if that one commits, nothing is inserted here and `require` raises.
-- name: arrive
WITH arrived AS (
    INSERT INTO inbox (event_id, consumer) VALUES (%(event_id)s, %(consumer)s)
    ON CONFLICT DO NOTHING
    RETURNING event_id
)
SELECT require(EXISTS (SELECT FROM arrived));

-- No row: an earlier fact about the aggregate has not been heard yet. One that comes late changes nothing.
-- name: advance
INSERT INTO inbox_progress AS progress (consumer, source, aggregate_id, version)
SELECT %(consumer)s, %(source)s, %(aggregate_id)s, %(version)s
WHERE %(version)s::bigint <= 1
    OR EXISTS (
        SELECT FROM inbox_progress
        WHERE consumer = %(consumer)s AND source = %(source)s AND aggregate_id = %(aggregate_id)s
    )
ON CONFLICT (consumer, source, aggregate_id) DO UPDATE
SET version = greatest(progress.version, excluded.version)
WHERE progress.version >= excluded.version - 1
RETURNING version;

-- name: skip_to
INSERT INTO inbox_progress AS progress (consumer, source, aggregate_id, version)
VALUES (%(consumer)s, %(source)s, %(aggregate_id)s, %(version)s)
ON CONFLICT (consumer, source, aggregate_id) DO UPDATE
SET version = greatest(progress.version, excluded.version);

-- name: forget
DELETE FROM inbox
WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM inbox
    WHERE handled_at < now() - %(age)s::interval
    LIMIT %(batch)s
));
