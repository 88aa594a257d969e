-- migrate:up

-- What is promised to orders. A reservation is locked before the stock it holds.
CREATE TABLE reservation (
    order_id uuid PRIMARY KEY,
    -- (new) → held       by Reserve
    -- (new) → released   by Release that came first: a late Reserve finds it closed
    -- held → committed   by Commit
    -- held → released    by Release
    -- held → expired     by the sweeper, once expires_at has passed
    -- expired → held     by Reserve, if the stock is still there
    -- expired → committed  by Commit, if the stock is still there
    -- expired → released by Release
    state text NOT NULL CHECK (state IN ('held', 'committed', 'released', 'expired')),
    -- Null: nothing was ever held.
    expires_at timestamptz CHECK (expires_at IS NOT NULL OR state = 'released'),
    -- Counts up by one with every change of state: the aggregate version of the facts.
    version bigint NOT NULL CHECK (version >= 1)
);

-- What the sweeper looks for.
CREATE INDEX reservation_held_until ON reservation (expires_at) WHERE state = 'held';

-- Written with the reservation and never changed.
CREATE TABLE reservation_line (
    order_id uuid NOT NULL REFERENCES reservation,
    sku text COLLATE "C" NOT NULL REFERENCES stock,
    quantity bigint NOT NULL CHECK (quantity BETWEEN 1 AND 1000000),
    PRIMARY KEY (order_id, sku)
);

-- migrate:down
DROP TABLE reservation_line;
DROP TABLE reservation;
