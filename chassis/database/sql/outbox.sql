-- Facts on their way from the outbox to the broker.

-- name: append
INSERT INTO outbox (event_id, type, aggregate_id, aggregate_version, partition, payload, traceparent)
SELECT fact.*, %(traceparent)s
FROM unnest(
    %(event_ids)s::uuid[], %(types)s::text[], %(aggregate_ids)s::text[], %(aggregate_versions)s::bigint[],
    %(partitions)s::smallint[], %(payloads)s::bytea[]
) AS fact;

-- name: backlog
SELECT count(*) AS unpublished, coalesce(extract(epoch FROM clock_timestamp() - min(created_at)), 0)::float AS lag_seconds
FROM outbox
WHERE published_at IS NULL;

-- The partitions that have work and that no other relay works on. The locks last as long as the transaction.
-- name: take_partitions
SELECT candidate.partition
FROM generate_series(0, %(partitions)s - 1) AS candidate (partition)
WHERE CASE
    WHEN EXISTS (SELECT FROM outbox WHERE published_at IS NULL AND outbox.partition = candidate.partition)
    THEN pg_try_advisory_xact_lock(%(lock)s, candidate.partition)
    ELSE false
END;

-- A statement of its own, after the locks are taken: it sees what the last holder of a lock has published.
-- name: next_facts
SELECT fact.*
FROM unnest(%(taken)s::smallint[]) AS taken (partition)
CROSS JOIN LATERAL (
    SELECT position, event_id::text, type, aggregate_id, payload, traceparent, created_at
    FROM outbox
    WHERE published_at IS NULL AND outbox.partition = taken.partition
    ORDER BY position
    LIMIT %(batch)s
) AS fact;

-- name: mark_published
UPDATE outbox SET published_at = now() WHERE event_id = ANY (%(event_ids)s::uuid[]);

-- name: forget_published
DELETE FROM outbox
WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM outbox
    WHERE created_at < now() - %(age)s::interval AND published_at IS NOT NULL
    LIMIT %(batch)s
));

-- The oldest first: the relay may publish some while the others are still to be marked. What it has published again
-- meanwhile is not touched a second time.
-- name: publish_again
UPDATE outbox SET published_at = NULL
WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM outbox
    WHERE created_at >= %(since)s AND published_at < %(published_before)s
    ORDER BY position
    LIMIT %(batch)s
));
