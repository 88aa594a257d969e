-- migrate:up

-- Ends the transaction unless the condition holds: for a guard whose client has sent more behind it, up to the COMMIT.
-- SQLSTATE TW001 is the one of our own (chassis/database/sqlstate.py): not a fault, but an answer.
CREATE FUNCTION require(holds boolean) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF holds IS NOT TRUE THEN
        RAISE EXCEPTION USING ERRCODE = 'TW001', MESSAGE = 'a required condition does not hold';
    END IF;
END
$$;

-- migrate:down
DROP FUNCTION require(boolean);
