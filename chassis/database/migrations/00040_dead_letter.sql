-- migrate:up

-- Facts that could not take effect, kept until a person has looked at them.
CREATE TABLE dead_letter (
    event_id             text        NOT NULL,
    consumer             text        NOT NULL,
    subject              text        NOT NULL,
    headers              jsonb       NOT NULL,
    payload              bytea       NOT NULL,
    deliveries           integer     NOT NULL, -- how often the broker had handed it over
    reason               text        NOT NULL, -- POISON: cannot be read. FAILED: its handler raised. GAP: an earlier fact is missing.
    error                text        NOT NULL,
    died_at              timestamptz NOT NULL DEFAULT now(),
    redrive_requested_at timestamptz,          -- the consumer tries it again, then clears this or resolves the letter
    resolved_at          timestamptz,          -- it has taken effect after all
    CONSTRAINT dead_letter_pkey PRIMARY KEY (event_id, consumer),
    CONSTRAINT dead_letter_reason CHECK (reason IN ('POISON', 'FAILED', 'GAP'))
);

-- What the consumer looks for once a second, and what a person lists.
CREATE INDEX dead_letter_redrive ON dead_letter (redrive_requested_at)
WHERE redrive_requested_at IS NOT NULL AND resolved_at IS NULL;
CREATE INDEX dead_letter_unresolved ON dead_letter (died_at) WHERE resolved_at IS NULL;

-- migrate:down
DROP TABLE dead_letter;
