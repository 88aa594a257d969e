-- migrate:up
CREATE TABLE import (
    import_id uuid PRIMARY KEY,
    created bigint NOT NULL DEFAULT 0,
    changed bigint NOT NULL DEFAULT 0,
    unchanged bigint NOT NULL DEFAULT 0,
    rejected bigint NOT NULL DEFAULT 0,
    -- Lines up to this one are stored or rejected for good: whoever sends them again is passed over.
    last_line bigint NOT NULL DEFAULT 0,
    started_at timestamptz NOT NULL
);

-- The first lines an import refused; the service keeps a thousand of each.
CREATE TABLE rejected_line (
    import_id uuid NOT NULL REFERENCES import,
    line_number bigint NOT NULL CHECK (line_number >= 1),
    reason text NOT NULL CHECK (reason ~ '^[A-Z][A-Z_]*$'),
    message text NOT NULL,
    PRIMARY KEY (import_id, line_number)
);

-- migrate:down
DROP TABLE rejected_line;
DROP TABLE import;
