-- migrate:up

-- What the orders are paid with. No card number and no card token is ever stored: once the provider has heard of a
-- charge, the order's id is all it takes to speak of it.
CREATE TABLE payment (
    order_id      uuid        NOT NULL,
    -- The amount. Null when the order was voided before anything was asked for.
    currency_code text        CHECK (currency_code ~ '^[A-Z]{3}$'),
    minor_units   bigint      CHECK (minor_units BETWEEN 1 AND 10000000000000),
    -- pending → authorized → captured → refunded; pending → declined; pending | authorized → voided.
    state         text        NOT NULL
    CHECK (state IN ('pending', 'authorized', 'captured', 'declined', 'voided', 'refunded')),
    -- What the provider is being asked for and has not told the outcome of; null when nothing is open. Written before
    -- the provider is called, so that a process that dies in between leaves a trace.
    intent        text,
    -- While an intent is open: when the outcome is asked for in the background.
    ask_again_at  timestamptz NOT NULL,
    -- Empty unless declined.
    decline_code  text        NOT NULL CHECK ((state = 'declined') = (decline_code <> '')),
    -- How many facts were published about it: one for every state after pending.
    version       bigint      NOT NULL CHECK ((state = 'pending') = (version = 0) AND version >= 0),
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL,
    CONSTRAINT payment_pkey PRIMARY KEY (order_id),
    CONSTRAINT payment_has_an_amount CHECK (
        (currency_code IS NULL) = (minor_units IS NULL)
        AND (minor_units IS NOT NULL OR state IN ('pending', 'voided'))
    ),
    -- An intent is open only while the payment has not come to where it leads. A pending payment always has one.
    CONSTRAINT payment_intent_is_open CHECK (
        CASE intent
            WHEN 'authorize' THEN state = 'pending'
            WHEN 'capture' THEN state = 'authorized'
            WHEN 'void' THEN state IN ('pending', 'authorized')
            WHEN 'refund' THEN state IN ('pending', 'authorized', 'captured')
            ELSE intent IS NULL AND state <> 'pending'
        END
    )
);

-- What the background looks for: nearly always empty.
CREATE INDEX payment_open ON payment (ask_again_at) WHERE intent IS NOT NULL;

-- migrate:down
DROP TABLE payment;
