-- What has been answered to which request. A claim blocks while another transaction holds the same one.

-- name: claim
INSERT INTO request (principal, method, request_id, fingerprint, kept_forever)
VALUES (%(principal)s, %(method)s, %(request_id)s, %(fingerprint)s, %(kept_forever)s)
ON CONFLICT DO NOTHING
RETURNING true AS is_ours;

-- name: keep_answer
UPDATE request SET reply = %(reply)s, refusal = %(refusal)s
WHERE principal = %(principal)s AND method = %(method)s AND request_id = %(request_id)s;

-- name: keep_refusal
INSERT INTO request (principal, method, request_id, fingerprint, kept_forever, refusal)
VALUES (%(principal)s, %(method)s, %(request_id)s, %(fingerprint)s, %(kept_forever)s, %(refusal)s)
ON CONFLICT DO NOTHING
RETURNING true AS is_ours;

-- name: stored_answer
SELECT fingerprint, reply, refusal FROM request
WHERE principal = %(principal)s AND method = %(method)s AND request_id = %(request_id)s;

-- name: sweep
DELETE FROM request
WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM request
    WHERE created_at < now() - %(age)s AND NOT kept_forever
    LIMIT %(batch)s
));
