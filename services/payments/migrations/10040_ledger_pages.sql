-- Outside of a transaction, so that nobody who books has to wait until the index is built.

-- migrate:up transaction:false

-- The order in which the whole ledger is read. An attempt that fails leaves an index that no query uses: the next one is
-- to stumble over it, and not to take it for this one. It has to be dropped first.
-- squawk-ignore prefer-robust-stmts
CREATE INDEX CONCURRENTLY ledger_entry_in_order ON ledger_entry (transaction_id, position);

-- migrate:down transaction:false
DROP INDEX CONCURRENTLY ledger_entry_in_order;
