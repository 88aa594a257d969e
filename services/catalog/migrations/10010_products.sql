-- migrate:up
CREATE TABLE product (
    -- The C collation orders by byte: a page token means the same on every server.
    sku text COLLATE "C" PRIMARY KEY CHECK (sku ~ '^[A-Z0-9][A-Z0-9_-]{0,31}$'),
    -- This collation knows the case of every letter, É too, whatever the locale of the server (PostgreSQL 17 or newer).
    name text COLLATE pg_c_utf8 NOT NULL CHECK (char_length(name) BETWEEN 1 AND 200),
    description text NOT NULL CHECK (char_length(description) <= 4000),
    -- Empty: in none.
    category text NOT NULL CHECK (category ~ '^([a-z0-9]+(-[a-z0-9]+)*)?$' AND char_length(category) <= 64),
    currency_code text NOT NULL CHECK (currency_code ~ '^[A-Z]{3}$'),
    price_minor_units bigint NOT NULL CHECK (price_minor_units BETWEEN 1 AND 10000000000000),
    -- active → retired when staff retire it; retired → active when an import names it again.
    state text NOT NULL CHECK (state IN ('active', 'retired')),
    -- Counts up by one with every change: the etag, and the aggregate version of the facts.
    version bigint NOT NULL CHECK (version >= 1),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);

CREATE TABLE price_change (
    sku text COLLATE "C" NOT NULL REFERENCES product,
    -- The product's version that brought the price.
    version bigint NOT NULL,
    currency_code text NOT NULL,
    price_minor_units bigint NOT NULL,
    effective_at timestamptz NOT NULL,
    PRIMARY KEY (sku, version)
);

-- The price history is a rule of the schema: no statement that sets a price can forget it.
CREATE FUNCTION record_price() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO price_change (sku, version, currency_code, price_minor_units, effective_at)
    VALUES (new.sku, new.version, new.currency_code, new.price_minor_units, new.updated_at);
    RETURN NULL;
END $$;

CREATE TRIGGER first_price AFTER INSERT ON product
FOR EACH ROW EXECUTE FUNCTION record_price();

CREATE TRIGGER next_price AFTER UPDATE ON product
FOR EACH ROW
WHEN ((old.currency_code, old.price_minor_units) IS DISTINCT FROM (new.currency_code, new.price_minor_units))
EXECUTE FUNCTION record_price();

-- migrate:down
DROP TABLE price_change;
DROP TABLE product;
DROP FUNCTION record_price;
