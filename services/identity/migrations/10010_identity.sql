-- migrate:up

CREATE TABLE user_account (
    user_id       text        NOT NULL,
    email         text        NOT NULL,
    display_name  text        NOT NULL,
    roles         text[]      NOT NULL,
    password_hash text        NOT NULL, -- argon2id in its own text form, with its parameters and salt
    registered_at timestamptz NOT NULL,
    version       bigint      NOT NULL DEFAULT 1, -- the profile's etag: one more with each change
    CONSTRAINT user_account_pkey PRIMARY KEY (user_id),
    CONSTRAINT user_account_email_unique UNIQUE (email),
    CONSTRAINT user_account_email_lower_case CHECK (email = lower(email)),
    CONSTRAINT user_account_has_a_name CHECK (display_name <> ''),
    CONSTRAINT user_account_roles_known CHECK (cardinality(roles) > 0 AND roles <@ ARRAY['customer', 'staff']),
    CONSTRAINT user_account_password_hashed CHECK (password_hash LIKE '$argon2id$%'),
    CONSTRAINT user_account_version_positive CHECK (version > 0)
);

CREATE INDEX user_account_staff ON user_account (user_id) WHERE 'staff' = ANY (roles);

-- A session is one row for as long as it lives: each refresh puts the hash of the next token in the place of the last.
CREATE TABLE session (
    session_id text        NOT NULL,
    user_id    text        NOT NULL,
    token_hash bytea       NOT NULL, -- SHA-256 of the one refresh token that is good now; every other one is used up
    opened_at  timestamptz NOT NULL,
    expires_at timestamptz NOT NULL, -- moved forward by each refresh
    ended_by   text,                 -- null (open) -> logout | token_reused; ended is final
    CONSTRAINT session_pkey PRIMARY KEY (session_id),
    CONSTRAINT session_user_fkey FOREIGN KEY (user_id) REFERENCES user_account (user_id),
    CONSTRAINT session_token_hashed CHECK (length(token_hash) = 32),
    CONSTRAINT session_expires_after_opening CHECK (expires_at > opened_at),
    CONSTRAINT session_end_known CHECK (ended_by IN ('logout', 'token_reused'))
);

-- For the sweep.
CREATE INDEX session_expires_at ON session (expires_at);

-- Attempts to log in, counted by address, whether or not anybody has an account under it.
CREATE TABLE login_rate (
    email_hash bytea       NOT NULL, -- SHA-256 of the address: those of strangers, and mistyped ones, are not kept
    settled_at timestamptz NOT NULL, -- each attempt moves it forward: its distance from now tells how many still count
    CONSTRAINT login_rate_pkey PRIMARY KEY (email_hash),
    CONSTRAINT login_rate_email_hashed CHECK (length(email_hash) = 32)
);

-- For the sweep.
CREATE INDEX login_rate_settled_at ON login_rate (settled_at);

-- Keys that sign access tokens. A key is published from its making until it retires.
CREATE TABLE signing_key (
    key_id     text        NOT NULL, -- `kid` in the tokens: the RFC 7638 thumbprint of the public key
    sealed_jwk bytea       NOT NULL, -- the private key, AES-256-GCM under a secret that is not in the database
    created_at timestamptz NOT NULL,
    active_at  timestamptz NOT NULL, -- signs from here on, until its successor does
    retires_at timestamptz,          -- null (newest) -> when the last token it can have signed has expired
    CONSTRAINT signing_key_pkey PRIMARY KEY (key_id),
    CONSTRAINT signing_key_published_first CHECK (active_at >= created_at),
    CONSTRAINT signing_key_retires_after_signing CHECK (retires_at > active_at)
);

-- There is one newest key, whoever makes it: two replicas at their first start, or two rotations at once.
CREATE UNIQUE INDEX signing_key_newest ON signing_key ((retires_at IS NULL)) WHERE retires_at IS NULL;

-- migrate:down
DROP TABLE signing_key;
DROP TABLE login_rate;
DROP TABLE session;
DROP TABLE user_account;
