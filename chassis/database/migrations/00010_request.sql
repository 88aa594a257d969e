-- migrate:up

-- The answers already given, so that a request that is sent again gets the same one.
CREATE TABLE request (
    principal    text        NOT NULL, -- who asked: the user's id, or the calling service
    method       text        NOT NULL,
    request_id   text        NOT NULL,
    fingerprint  bytea       NOT NULL, -- of the request's content, without its id
    kept_forever boolean     NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    -- Both are null only inside the transaction that makes the claim: it ends with one of them, or not at all.
    reply        bytea,                -- the response message, sealed when it holds a secret
    refusal      bytea,                -- the google.rpc.Status of a permanent refusal
    CONSTRAINT request_pkey PRIMARY KEY (principal, method, request_id),
    CONSTRAINT request_has_one_answer CHECK (reply IS NULL OR refusal IS NULL)
);

-- For the sweep: rows lie in the order of time, so a BRIN index costs next to nothing.
CREATE INDEX request_created_at ON request USING brin (created_at);

-- migrate:down
DROP TABLE request;
