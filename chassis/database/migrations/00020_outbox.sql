-- migrate:up

-- Facts committed together with the state they tell of, until the relay has handed them to the broker and for a week after.
CREATE TABLE outbox (
    position          bigint      NOT NULL GENERATED ALWAYS AS IDENTITY,
    event_id          uuid        NOT NULL,
    type              text        NOT NULL, -- the full name of the event message
    aggregate_id      text        NOT NULL,
    aggregate_version bigint      NOT NULL,
    partition         smallint    NOT NULL, -- of the aggregate's id: one relay at a time works on a partition
    payload           bytea       NOT NULL,
    traceparent       text,
    created_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    published_at      timestamptz,          -- null until the broker has acknowledged it
    CONSTRAINT outbox_pkey PRIMARY KEY (event_id)
);

-- Nearly always empty: looking for work costs one look at its root page.
CREATE INDEX outbox_unpublished ON outbox (partition, position) WHERE published_at IS NULL;

-- For replay and the sweep: rows lie in the order of time.
CREATE INDEX outbox_created_at ON outbox USING brin (created_at);

-- Every row is updated once, soon after it was written: vacuum before the index is full of the dead.
ALTER TABLE outbox SET (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 5000);

-- migrate:down
DROP TABLE outbox;
