-- migrate:up

-- What there is of each product. Rows are locked in the order of their SKU, always: so nobody waits in a circle.
CREATE TABLE stock (
    -- The C collation orders by byte: every server agrees on the order of locking.
    sku text COLLATE "C" PRIMARY KEY CHECK (sku ~ '^[A-Z0-9][A-Z0-9_-]{0,31}$'),
    on_hand bigint NOT NULL DEFAULT 0 CHECK (on_hand <= 1000000000),
    reserved bigint NOT NULL DEFAULT 0 CHECK (reserved >= 0),
    -- Counts up by one with every change: the aggregate version of StockDepleted.
    version bigint NOT NULL DEFAULT 0 CHECK (version >= 0),
    -- The promise itself: no piece is promised that does not lie there.
    CONSTRAINT stock_is_not_oversold CHECK (reserved <= on_hand)
);

-- Every line of every count, as it was answered. Rows are only ever added.
CREATE TABLE stock_adjustment (
    request_id uuid PRIMARY KEY,
    sku text COLLATE "C" NOT NULL REFERENCES stock,
    delta bigint NOT NULL CHECK (delta <> 0 AND delta BETWEEN -1000000 AND 1000000),
    note text NOT NULL CHECK (char_length(note) <= 200),
    adjusted_by text NOT NULL,
    adjusted_at timestamptz NOT NULL,
    -- Null: the line was accepted, and delta is part of on_hand.
    refusal text CHECK (refusal IN ('STOCK_BELOW_RESERVED', 'STOCK_ABOVE_LIMIT')),
    -- The stock after this line: the rest of its answer.
    on_hand bigint NOT NULL,
    reserved bigint NOT NULL
);

-- migrate:down
DROP TABLE stock_adjustment;
DROP TABLE stock;
