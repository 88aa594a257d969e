-- name: add_user
INSERT INTO user_account (user_id, email, display_name, roles, password_hash, registered_at)
VALUES (%(user_id)s, %(email)s, %(display_name)s, %(roles)s, %(password_hash)s, %(registered_at)s)
ON CONFLICT (email) DO NOTHING;

-- name: find_user
SELECT user_id, email, display_name, roles, registered_at, version
FROM user_account
WHERE user_id = %(user_id)s;

-- name: find_credentials
SELECT user_id, email, display_name, roles, registered_at, version, password_hash
FROM user_account
WHERE email = %(email)s;

-- name: lock_user
SELECT user_id, email, display_name, roles, registered_at, version
FROM user_account
WHERE user_id = %(user_id)s
FOR UPDATE;

-- name: change_user
UPDATE user_account
SET display_name = %(display_name)s, roles = %(roles)s, version = %(version)s
WHERE user_id = %(user_id)s;

-- name: lock_staff
-- Locks them in one order, so that two who take the role from each other wait and the second sees what the first did.
SELECT user_id
FROM user_account
WHERE 'staff' = ANY (roles)
ORDER BY user_id
FOR UPDATE;

-- name: count_attempt
-- One row when the attempt fits into the rate, none when it does not: then nothing is counted.
INSERT INTO login_rate AS rate (email_hash, settled_at)
VALUES (%(email_hash)s, %(now)s::timestamptz + %(settles_after)s::interval)
ON CONFLICT (email_hash) DO UPDATE
SET settled_at = greatest(rate.settled_at, %(now)s::timestamptz) + %(settles_after)s::interval
WHERE greatest(rate.settled_at, %(now)s::timestamptz) + %(settles_after)s::interval <= %(now)s::timestamptz + %(at_most_ahead)s::interval
RETURNING settled_at;

-- name: take_back_attempt
-- No row when a login has settled all attempts meanwhile.
UPDATE login_rate SET settled_at = settled_at - %(settles_after)s::interval WHERE email_hash = %(email_hash)s;

-- name: attempts_settled_at
SELECT settled_at FROM login_rate WHERE email_hash = %(email_hash)s;

-- name: forget_attempts
DELETE FROM login_rate WHERE email_hash = %(email_hash)s;

-- name: open_session
INSERT INTO session (session_id, user_id, token_hash, opened_at, expires_at)
VALUES (%(session_id)s, %(user_id)s, %(token_hash)s, %(now)s, %(expires_at)s);

-- name: exchange_token
-- One row, the user, when the token was the session's newest: it is used up now. None when it was not.
UPDATE session
SET token_hash = %(next_token_hash)s, expires_at = %(expires_at)s
FROM user_account
WHERE session_id = %(session_id)s AND token_hash = %(token_hash)s AND ended_by IS NULL AND expires_at > %(now)s
  AND user_account.user_id = session.user_id
RETURNING user_account.user_id, email, display_name, roles, registered_at, version;

-- name: end_session
UPDATE session
SET ended_by = %(ended_by)s
WHERE session_id = %(session_id)s AND ended_by IS NULL AND expires_at > %(now)s;

-- name: add_signing_key
INSERT INTO signing_key (key_id, sealed_jwk, created_at, active_at)
VALUES (%(key_id)s, %(sealed_jwk)s, %(created_at)s, %(active_at)s)
ON CONFLICT ((retires_at IS NULL)) WHERE retires_at IS NULL DO NOTHING;

-- name: retire_newest_key
-- No row when the newest key does not sign yet, or another rotation was faster.
UPDATE signing_key
SET retires_at = %(retires_at)s
WHERE retires_at IS NULL AND active_at <= %(now)s;

-- name: published_keys
SELECT key_id, sealed_jwk, created_at, active_at, retires_at
FROM signing_key
WHERE retires_at IS NULL OR retires_at > %(now)s
ORDER BY active_at;

-- name: sweep
WITH
    settled AS (DELETE FROM login_rate WHERE settled_at < %(now)s),
    expired AS (DELETE FROM session WHERE expires_at < %(now)s)
DELETE FROM signing_key WHERE retires_at < %(now)s;
