-- migrate:up

-- Where users can be written to, as identity told. Nothing refers to it: facts of two services arrive in any order, so
-- that there may be a delivery to somebody of whom we have not heard yet.
CREATE TABLE recipient (
    user_id text PRIMARY KEY,
    -- Becomes part of a mail's header: whatever could end the line must not get in.
    email text NOT NULL CHECK (email ~ '^[!-?A-~]+@[!-?A-~]+$' AND char_length(email) <= 254),
    display_name text NOT NULL CHECK (display_name <> '')
);

-- What users do not want to hear of. Who has no row gets everything.
CREATE TABLE preferences (
    user_id text PRIMARY KEY,
    -- The account topic cannot be muted.
    muted_topics text [] NOT NULL DEFAULT '{}' CHECK (muted_topics <@ ARRAY['orders']),
    -- Counts up by one with every change: the etag. Zero: never set.
    version bigint NOT NULL DEFAULT 0 CHECK (version >= 0)
);

-- One message to one user.
CREATE TABLE delivery (
    -- A UUIDv7, so that the newest has the greatest. The mail's Message-ID is made of it.
    delivery_id uuid PRIMARY KEY,
    event_id uuid NOT NULL,
    user_id text NOT NULL,
    template text NOT NULL CHECK (template IN ('welcome', 'order_confirmed', 'order_cancelled')),
    -- What the template tells of an order.
    order_told jsonb CHECK ((order_told IS NULL) = (template = 'welcome')),
    -- (new) → queued       when its fact is heard
    -- (new) → suppressed   when its fact is heard and its topic is muted
    -- queued → sent        when the mail server took it
    -- queued → failed      when the mail server refused it for good, or too often
    -- failed → queued      when staff redrive it
    state text NOT NULL CHECK (state IN ('queued', 'sent', 'failed', 'suppressed')),
    attempts int NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    -- UPPER_SNAKE; empty when it was never refused.
    last_reason text NOT NULL DEFAULT '' CHECK (last_reason <> '' OR state <> 'failed'),
    -- Not to be sent before. A sender that leases it moves this to the end of its lease: it is due again if the sender
    -- dies, and a sender that comes too late finds another time here than it has set.
    due_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL,
    sent_at timestamptz CHECK ((sent_at IS NOT NULL) = (state = 'sent')),
    -- A fact is told once to each who is told of it.
    UNIQUE (event_id, user_id)
);

-- What senders look for.
CREATE INDEX delivery_due ON delivery (due_at) WHERE state = 'queued';

CREATE INDEX delivery_of_user ON delivery (user_id, delivery_id);

-- What staff look for.
CREATE INDEX delivery_failed ON delivery (delivery_id) WHERE state = 'failed';

-- What is forgotten goes in the order it came.
CREATE INDEX delivery_created_at ON delivery USING brin (created_at);

-- migrate:down
DROP TABLE delivery;
DROP TABLE preferences;
DROP TABLE recipient;
