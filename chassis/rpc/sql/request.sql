-- What has been answered to which request. A claim waits for a transaction that holds the same one.

-- name: claim
-- A guard: ends the transaction when the request has been answered. ON CONFLICT waits for a transaction that holds the
-- same claim; if that one commits, nothing is inserted here and `require` raises; if it rolls back, the claim is ours.
WITH claimed AS (
    INSERT INTO request (principal, method, request_id, fingerprint, kept_forever, refusal)
    VALUES (%(principal)s, %(method)s, %(request_id)s, %(fingerprint)s, %(kept_forever)s, %(refusal)s)
    ON CONFLICT DO NOTHING
    RETURNING request_id
)
SELECT require(EXISTS (SELECT FROM claimed));

-- name: keep_answer
UPDATE request SET reply = %(reply)s, refusal = %(refusal)s
WHERE principal = %(principal)s AND method = %(method)s AND request_id = %(request_id)s;

-- name: stored_answer
SELECT fingerprint, reply, refusal FROM request
WHERE principal = %(principal)s AND method = %(method)s AND request_id = %(request_id)s;

-- name: sweep
DELETE FROM request
WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM request
    WHERE created_at < now() - %(age)s::interval AND NOT kept_forever
    LIMIT %(batch)s
));
