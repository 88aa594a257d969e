-- migrate:up

-- How a dead letter was resolved. Null until then, and for those that the version before has resolved: all redriven.
ALTER TABLE dead_letter
    ADD COLUMN resolution text,      -- REDRIVEN: it has taken effect after all. DISCARDED: somebody decided that it never shall.
    ADD COLUMN resolved_by text,     -- the user who discarded it
    ADD COLUMN resolution_note text; -- why it was discarded

-- migrate:down
ALTER TABLE dead_letter
    DROP COLUMN resolution,
    DROP COLUMN resolved_by,
    DROP COLUMN resolution_note;
