-- migrate:up

-- What happened to every order, from 1 on without a gap. Nothing here is ever changed.
CREATE TABLE order_event (
    order_id    uuid        NOT NULL,
    version     bigint      NOT NULL CHECK (version >= 1),
    step        text        NOT NULL,
    reason      text        NOT NULL DEFAULT '', -- UPPER_SNAKE, where there is one
    payload     jsonb,                           -- what was ordered: with the first event
    occurred_at timestamptz NOT NULL,
    -- Two writers that both saw the same version: the second one fails here.
    CONSTRAINT order_event_pkey PRIMARY KEY (order_id, version),
    CONSTRAINT order_event_begins_with_placed CHECK ((version = 1) = (step = 'PLACED')),
    CONSTRAINT order_event_placed_has_payload CHECK ((payload IS NOT NULL) = (step = 'PLACED'))
);

-- The order as it stands: what its events add up to, written in their transaction.
CREATE TABLE customer_order (
    order_id      uuid        NOT NULL,
    customer_id   text        NOT NULL,
    lines         jsonb       NOT NULL, -- [sku, name, quantity, unit price in minor units], ...
    currency_code text        NOT NULL CHECK (currency_code ~ '^[A-Z]{3}$'),
    minor_units   bigint      NOT NULL CHECK (minor_units BETWEEN 0 AND 10000000000000),
    -- PENDING -> CONFIRMED when its checkout completes; PENDING -> CANCELLED when everything was undone.
    state         text        NOT NULL CHECK (state IN ('PENDING', 'CONFIRMED', 'CANCELLED')),
    cancel_reason text        NOT NULL,
    version       bigint      NOT NULL CHECK (version >= 1),
    placed_at     timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL,
    CONSTRAINT customer_order_pkey PRIMARY KEY (order_id),
    CONSTRAINT customer_order_says_why_it_ends CHECK (state <> 'CANCELLED' OR cancel_reason <> '')
);

-- Ids tell when they were made, so the newest order has the greatest.
CREATE INDEX customer_order_by_customer ON customer_order (customer_id, order_id);
CREATE INDEX customer_order_by_state ON customer_order (state, order_id);
-- Its version changes with every event: leave room for it on the page, off the indexes (HOT).
ALTER TABLE customer_order SET (fillfactor = 60);

-- migrate:down
DROP TABLE customer_order;
DROP TABLE order_event;
