-- Facts that could not take effect.

-- name: bury
INSERT INTO dead_letter (event_id, consumer, subject, headers, payload, deliveries, reason, error)
VALUES (%(event_id)s, %(consumer)s, %(subject)s, %(headers)s, %(payload)s, %(deliveries)s, %(reason)s, %(error)s)
ON CONFLICT (event_id, consumer) DO UPDATE
SET deliveries = excluded.deliveries, reason = excluded.reason, error = excluded.error,
    died_at = now(), redrive_requested_at = NULL, resolved_at = NULL, resolution = NULL;

-- Both pages are without what the facts say, which may be long: whoever wants to know asks for one of them.
-- name: page_of_unresolved
-- `is_requested` narrows it down to those that will be tried again, or to the others; null means both.
SELECT
    event_id, consumer, subject, headers, ''::bytea AS payload, deliveries, reason, left(error, 1000) AS error, died_at,
    redrive_requested_at, resolved_at, resolution, resolved_by, resolution_note
FROM dead_letter
WHERE resolved_at IS NULL
    AND (died_at, event_id) > (%(after_died_at)s::timestamptz, %(after_event_id)s::text)
    AND (%(is_requested)s::boolean IS NULL OR (redrive_requested_at IS NOT NULL) = %(is_requested)s::boolean)
ORDER BY died_at, event_id
LIMIT %(limit)s;

-- name: page_of_resolved
SELECT
    event_id, consumer, subject, headers, ''::bytea AS payload, deliveries, reason, left(error, 1000) AS error, died_at,
    redrive_requested_at, resolved_at, resolution, resolved_by, resolution_note
FROM dead_letter
WHERE resolved_at IS NOT NULL
    AND coalesce(resolution, 'REDRIVEN') = %(resolution)s
    AND (died_at, event_id) > (%(after_died_at)s::timestamptz, %(after_event_id)s::text)
ORDER BY died_at, event_id
LIMIT %(limit)s;

-- name: find
SELECT
    event_id, consumer, subject, headers, payload, deliveries, reason, error, died_at, redrive_requested_at, resolved_at,
    resolution, resolved_by, resolution_note
FROM dead_letter
WHERE event_id = %(event_id)s;

-- name: request_redrive
UPDATE dead_letter SET redrive_requested_at = now()
WHERE resolved_at IS NULL AND (%(event_id)s::text IS NULL OR event_id = %(event_id)s);

-- name: counts
SELECT count(*) AS unresolved, count(redrive_requested_at) AS requested
FROM dead_letter
WHERE resolved_at IS NULL;

-- In the order of their death: what was parked behind a fact died after it.
-- name: requested
SELECT
    event_id, consumer, subject, headers, payload, deliveries, reason, error, died_at, redrive_requested_at, resolved_at,
    resolution, resolved_by, resolution_note
FROM dead_letter
WHERE consumer = %(consumer)s AND redrive_requested_at IS NOT NULL AND resolved_at IS NULL
ORDER BY died_at, event_id
LIMIT %(limit)s;

-- name: resolve
UPDATE dead_letter SET resolved_at = now(), resolution = 'REDRIVEN', redrive_requested_at = NULL
WHERE event_id = %(event_id)s AND consumer = %(consumer)s;

-- name: discard
-- No row when there is nothing to decide: it is resolved, or about to be tried again.
UPDATE dead_letter
SET resolved_at = now(), resolution = 'DISCARDED', resolved_by = %(resolved_by)s, resolution_note = %(note)s
WHERE event_id = %(event_id)s AND resolved_at IS NULL AND redrive_requested_at IS NULL
RETURNING consumer;

-- name: count_as_handled
-- A replay may deliver a discarded fact once more: in the inbox it is one that has been handled.
INSERT INTO inbox (event_id, consumer) VALUES (%(event_id)s, %(consumer)s) ON CONFLICT DO NOTHING;

-- name: forget
DELETE FROM dead_letter
WHERE resolved_at < now() - CASE WHEN resolution = 'DISCARDED' THEN %(discarded_age)s ELSE %(redriven_age)s END::interval;
