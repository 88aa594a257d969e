-- migrate:up

-- The transaction that wrote the entry. Positions are given out before the commit, so that a higher one can be seen
-- first; by their transactions the entries can be shown in an order to which nothing is added behind what was shown.
-- Entries from before this column have 0: they come first, in the order of their positions.
--
-- The numbers are those of this cluster. Whoever restores a dump into another one sets them to 0 there, with the triggers
-- of the table off; otherwise the ledger shows nothing until that cluster has counted so far.
ALTER TABLE ledger_entry ADD COLUMN transaction_id xid8 NOT NULL DEFAULT '0';
ALTER TABLE ledger_entry ALTER COLUMN transaction_id SET DEFAULT pg_current_xact_id();

-- migrate:down
ALTER TABLE ledger_entry DROP COLUMN transaction_id;
