-- migrate:up

-- One saga a row. Every write is conditional on the fence it read and raises it, so of two drivers only one can go on.
CREATE TABLE saga (
    saga_id     uuid        NOT NULL,
    kind        text        NOT NULL, -- which definition drives it
    -- RUNNING -> COMPLETED | COMPENSATING | NEEDS_OPERATOR; COMPENSATING -> COMPENSATED | NEEDS_OPERATOR;
    -- an operator leads NEEDS_OPERATOR back to RUNNING or COMPENSATING, or to their ends
    status      text        NOT NULL,
    state       jsonb       NOT NULL, -- the machine's state with its history: chassis/saga/encoding.py
    data        jsonb,                -- what its steps need; forgotten at the end, for it may hold tokens
    fence       bigint      NOT NULL,
    owner       text,                 -- the process that drives it now
    due_at      timestamptz,          -- when anybody may claim it: the end of the owner's lease, or of a pause
    traceparent text        NOT NULL, -- the trace it is part of; may be empty
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,
    CONSTRAINT saga_pkey PRIMARY KEY (saga_id),
    CONSTRAINT saga_status_is_known
        CHECK (status IN ('RUNNING', 'COMPENSATING', 'NEEDS_OPERATOR', 'COMPLETED', 'COMPENSATED')),
    CONSTRAINT saga_is_due_while_it_moves CHECK ((due_at IS NOT NULL) = (status IN ('RUNNING', 'COMPENSATING'))),
    CONSTRAINT saga_keeps_data_until_its_end CHECK ((data IS NULL) = (status IN ('COMPLETED', 'COMPENSATED')))
);

-- A saga that is driven keeps its due_at from step to step: its updates stay off the indexes (HOT).
CREATE INDEX saga_due ON saga (kind, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX saga_by_status ON saga (kind, status, saga_id);
ALTER TABLE saga SET (fillfactor = 60);

-- migrate:down
DROP TABLE saga;
