-- Facts that could not take effect.

-- name: bury
INSERT INTO dead_letter (event_id, consumer, subject, headers, payload, deliveries, reason, error)
VALUES (%(event_id)s, %(consumer)s, %(subject)s, %(headers)s, %(payload)s, %(deliveries)s, %(reason)s, %(error)s)
ON CONFLICT (event_id, consumer) DO UPDATE
SET deliveries = excluded.deliveries, reason = excluded.reason, error = excluded.error,
    died_at = now(), redrive_requested_at = NULL, resolved_at = NULL;

-- name: unresolved
SELECT event_id, consumer, subject, headers, payload, deliveries, reason, error, died_at, redrive_requested_at
FROM dead_letter
WHERE resolved_at IS NULL
ORDER BY died_at, event_id
LIMIT %(limit)s;

-- name: find
SELECT event_id, consumer, subject, headers, payload, deliveries, reason, error, died_at, redrive_requested_at
FROM dead_letter
WHERE event_id = %(event_id)s;

-- name: request_redrive
UPDATE dead_letter SET redrive_requested_at = now()
WHERE resolved_at IS NULL AND (%(event_id)s::text IS NULL OR event_id = %(event_id)s);

-- name: counts
SELECT count(*) AS unresolved, count(redrive_requested_at) AS requested
FROM dead_letter
WHERE resolved_at IS NULL AND (%(event_id)s::text IS NULL OR event_id = %(event_id)s);

-- In the order of their death: what was parked behind a fact died after it.
-- name: requested
SELECT event_id, consumer, subject, headers, payload, deliveries, reason, error, died_at, redrive_requested_at
FROM dead_letter
WHERE consumer = %(consumer)s AND redrive_requested_at IS NOT NULL AND resolved_at IS NULL
ORDER BY died_at, event_id
LIMIT %(limit)s;

-- name: resolve
UPDATE dead_letter SET resolved_at = now(), redrive_requested_at = NULL
WHERE event_id = %(event_id)s AND consumer = %(consumer)s;

-- name: forget
DELETE FROM dead_letter WHERE resolved_at < now() - %(age)s::interval;
