-- migrate:up

-- The books: what happened to the money of an order.
CREATE TABLE booking (
    booking_id uuid        NOT NULL,
    order_id   uuid        NOT NULL REFERENCES payment,
    kind       text        NOT NULL CHECK (kind IN ('capture', 'refund')),
    booked_at  timestamptz NOT NULL,
    CONSTRAINT booking_pkey PRIMARY KEY (booking_id),
    -- Whatever goes wrong elsewhere: money is taken once and given back once.
    CONSTRAINT booking_once_per_order UNIQUE (order_id, kind)
);

-- One side of a booking: debits above zero, credits below.
CREATE TABLE ledger_entry (
    position      bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    booking_id    uuid   NOT NULL REFERENCES booking,
    account       text   NOT NULL CHECK (account IN ('provider_receivable', 'sales_revenue', 'refunds')),
    currency_code text   NOT NULL CHECK (currency_code ~ '^[A-Z]{3}$'),
    minor_units   bigint NOT NULL CHECK (minor_units <> 0),
    CONSTRAINT ledger_entry_pkey PRIMARY KEY (position),
    CONSTRAINT ledger_entry_once_per_account UNIQUE (booking_id, account)
);

-- A booking balances when its transaction commits, or the transaction does not commit.
CREATE FUNCTION refuse_unbalanced_booking() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM ledger_entry WHERE booking_id = new.booking_id)
        OR EXISTS (
            SELECT FROM ledger_entry WHERE booking_id = new.booking_id
            GROUP BY currency_code HAVING sum(minor_units) <> 0
        )
    THEN
        RAISE EXCEPTION 'booking % does not balance', new.booking_id
            USING ERRCODE = 'check_violation', CONSTRAINT = tg_name, TABLE = tg_table_name;
    END IF;
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER booking_balances AFTER INSERT ON booking
DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION refuse_unbalanced_booking();

CREATE CONSTRAINT TRIGGER ledger_entry_balances AFTER INSERT ON ledger_entry
DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION refuse_unbalanced_booking();

-- What was booked stays booked: a mistake is mended by another booking.
CREATE FUNCTION refuse_rewriting() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', tg_table_name
        USING ERRCODE = 'check_violation', CONSTRAINT = tg_name, TABLE = tg_table_name;
END $$;

CREATE TRIGGER booking_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON booking
FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewriting();

CREATE TRIGGER ledger_entry_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_entry
FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewriting();

-- migrate:down
DROP TABLE ledger_entry;
DROP TABLE booking;
DROP FUNCTION refuse_unbalanced_booking;
DROP FUNCTION refuse_rewriting;
