-- name: add_recipient
INSERT INTO recipient (user_id, email, display_name)
VALUES (%(user_id)s, %(email)s, %(display_name)s)
ON CONFLICT (user_id) DO NOTHING

-- name: queue
INSERT INTO delivery (delivery_id, event_id, user_id, template, order_told, state, due_at, created_at)
VALUES (
    %(delivery_id)s, %(event_id)s, %(user_id)s, %(template)s, %(order_told)s::jsonb,
    CASE
        WHEN EXISTS (SELECT FROM preferences WHERE user_id = %(user_id)s AND %(topic)s = ANY(muted_topics))
            THEN 'suppressed'
        ELSE 'queued'
    END,
    %(now)s, %(now)s
)
ON CONFLICT (event_id, user_id) DO NOTHING

-- name: lease
-- Deliveries to users of whom we have not heard yet wait where they are.
WITH due AS (
    SELECT delivery_id, email, display_name
    FROM delivery INNER JOIN recipient USING (user_id)
    WHERE state = 'queued' AND due_at <= %(now)s
    ORDER BY due_at
    LIMIT %(at_most)s
    FOR UPDATE OF delivery SKIP LOCKED
)
UPDATE delivery
SET due_at = %(until)s
FROM due
WHERE delivery.delivery_id = due.delivery_id
RETURNING
    delivery.delivery_id, user_id, template, state, attempts, last_reason, due_at, created_at, sent_at,
    order_told, email, display_name

-- name: settle
-- Touches only what is still leased until then: what another sender has leased since is that one's.
UPDATE delivery
SET state = settled.state, attempts = settled.attempts, last_reason = settled.last_reason,
    due_at = settled.due_at, sent_at = settled.sent_at
FROM unnest(
    %(delivery_ids)s::uuid [], %(states)s::text [], %(attempts)s::int [], %(last_reasons)s::text [],
    %(due_at)s::timestamptz [], %(sent_at)s::timestamptz []
) AS settled (delivery_id, state, attempts, last_reason, due_at, sent_at)
WHERE delivery.delivery_id = settled.delivery_id AND delivery.state = 'queued' AND delivery.due_at = %(leased_until)s

-- name: backlog
SELECT count(*) AS queued, min(due_at) AS due_at
FROM delivery
WHERE state = 'queued'

-- name: list_deliveries
SELECT delivery_id, user_id, template, state, attempts, last_reason, due_at, created_at, sent_at
FROM delivery
WHERE delivery_id < %(before)s AND (%(state)s::text IS NULL OR state = %(state)s)
ORDER BY delivery_id DESC
LIMIT %(limit)s

-- name: list_deliveries_to
SELECT delivery_id, user_id, template, state, attempts, last_reason, due_at, created_at, sent_at
FROM delivery
WHERE user_id = %(user_id)s AND delivery_id < %(before)s AND (%(state)s::text IS NULL OR state = %(state)s)
ORDER BY delivery_id DESC
LIMIT %(limit)s

-- name: lock_delivery
SELECT delivery_id, user_id, template, state, attempts, last_reason, due_at, created_at, sent_at
FROM delivery
WHERE delivery_id = %(delivery_id)s
FOR UPDATE

-- name: queue_again
UPDATE delivery
SET state = 'queued', due_at = %(due_at)s
WHERE delivery_id = %(delivery_id)s

-- name: forget
DELETE FROM delivery
WHERE ctid = ANY(
    ARRAY(
        SELECT ctid
        FROM delivery
        WHERE created_at < %(created_before)s AND state <> 'queued'
        LIMIT %(at_most)s
    )
)

-- name: find_preferences
SELECT user_id, muted_topics, version
FROM preferences
WHERE user_id = %(user_id)s

-- name: lock_preferences
-- The update that changes nothing locks the row, new or old, in one statement.
INSERT INTO preferences (user_id)
VALUES (%(user_id)s)
ON CONFLICT (user_id) DO UPDATE SET user_id = excluded.user_id
RETURNING user_id, muted_topics, version

-- name: save_preferences
UPDATE preferences
SET muted_topics = %(muted_topics)s, version = %(version)s
WHERE user_id = %(user_id)s
