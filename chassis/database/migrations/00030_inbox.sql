-- migrate:up

-- The facts that have taken effect here. Written in the transaction of the effect; the one truth about "already done".
CREATE TABLE inbox (
    event_id   text        NOT NULL,
    consumer   text        NOT NULL,
    handled_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT inbox_pkey PRIMARY KEY (event_id, consumer)
);

-- For the sweep: rows lie in the order of time.
CREATE INDEX inbox_handled_at ON inbox USING brin (handled_at);

-- How far each aggregate has been heard, for subscriptions that accept no gap.
CREATE TABLE inbox_progress (
    consumer     text   NOT NULL,
    source       text   NOT NULL, -- the package the facts come from: ids are unique only within it
    aggregate_id text   NOT NULL,
    version      bigint NOT NULL,
    CONSTRAINT inbox_progress_pkey PRIMARY KEY (consumer, source, aggregate_id)
);

-- migrate:down
DROP TABLE inbox_progress;
DROP TABLE inbox;
