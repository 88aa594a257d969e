-- name: start
INSERT INTO saga (saga_id, kind, status, state, data, fence, owner, due_at, traceparent, created_at, updated_at)
VALUES (
    %(saga_id)s, %(kind)s, %(status)s, %(state)s::jsonb, %(data)s::jsonb, 1, %(owner)s, %(due_at)s, %(traceparent)s,
    %(now)s, %(now)s
)

-- name: move
-- A guard: ends the transaction when the fence (the fencing token) is no longer the one that was read, for then somebody
-- else drives the saga. A saga that goes on keeps its lease, which may just have been renewed; one that waits or rests
-- gives it up.
WITH moved AS (
    UPDATE saga
    SET status = %(status)s,
        state = %(state)s::jsonb,
        data = CASE WHEN %(is_final)s THEN NULL ELSE data END,
        fence = fence + 1,
        owner = CASE WHEN %(goes_on)s THEN owner END,
        due_at = CASE WHEN %(goes_on)s THEN due_at ELSE %(wake_at)s::timestamptz END,
        updated_at = %(now)s
    WHERE saga_id = %(saga_id)s AND fence = %(fence)s
    RETURNING saga_id
)
SELECT require(EXISTS (SELECT FROM moved))

-- name: claim
-- The lease of a dead owner has run out, or a pause is over.
UPDATE saga
SET fence = fence + 1, owner = %(owner)s, due_at = %(due_at)s
WHERE saga_id IN (
    SELECT saga_id
    FROM saga
    WHERE kind = %(kind)s AND due_at <= %(now)s
    ORDER BY due_at
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
)
RETURNING saga_id::text, state, data, fence, traceparent

-- name: lock
SELECT saga_id::text, state, data, fence, traceparent FROM saga WHERE saga_id = %(saga_id)s AND kind = %(kind)s FOR UPDATE

-- name: turn
-- Somebody's wish: whoever drove the saga has lost it, and this process leases it if it goes on.
UPDATE saga
SET status = %(status)s,
    state = %(state)s::jsonb,
    data = CASE WHEN %(is_final)s THEN NULL ELSE data END,
    fence = fence + 1,
    owner = %(owner)s,
    due_at = %(due_at)s::timestamptz,
    updated_at = %(now)s
WHERE saga_id = %(saga_id)s

-- name: renew
UPDATE saga SET due_at = %(due_at)s WHERE saga_id = ANY (%(saga_ids)s::uuid[]) AND owner = %(owner)s AND due_at IS NOT NULL

-- name: release
-- Whoever looks next may claim them.
UPDATE saga
SET owner = NULL, due_at = %(due_at)s
WHERE saga_id = ANY (%(saga_ids)s::uuid[]) AND owner = %(owner)s AND due_at IS NOT NULL

-- name: find
SELECT saga_id::text, kind, status, state, created_at, updated_at FROM saga WHERE saga_id = %(saga_id)s

-- name: list_all
SELECT saga_id::text, kind, status, state, created_at, updated_at
FROM saga
WHERE saga_id > %(after)s::uuid
ORDER BY saga_id
LIMIT %(limit)s

-- name: list_by_status
-- Over all kinds, also those this version of the program does not know. There are few: PostgreSQL 18 skips from one to
-- the next in saga_by_status.
SELECT saga_id::text, kind, status, state, created_at, updated_at
FROM saga
WHERE status = %(status)s AND saga_id > %(after)s::uuid
ORDER BY saga_id
LIMIT %(limit)s

-- name: count_unfinished
SELECT status, count(*) AS sagas, min(created_at) AS oldest
FROM saga
WHERE kind = %(kind)s AND status IN ('RUNNING', 'COMPENSATING', 'NEEDS_OPERATOR')
GROUP BY status
