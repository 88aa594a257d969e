-- What has been answered to which request. A claim waits for a transaction that holds the same one.

-- name: claim
-- Violates request_pkey when the request has been answered.
INSERT INTO request (principal, method, request_id, fingerprint, kept_forever, refusal)
VALUES (%(principal)s, %(method)s, %(request_id)s, %(fingerprint)s, %(kept_forever)s, %(refusal)s);

-- name: is_unanswered
-- Violates request_pkey when the request has been answered: nothing else has a row that could be inserted twice.
INSERT INTO request SELECT * FROM request
WHERE principal = %(principal)s AND method = %(method)s AND request_id = %(request_id)s;

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
