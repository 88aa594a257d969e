-- name: create_product
INSERT INTO product (
    sku, name, description, category, currency_code, price_minor_units, state, version, created_at, updated_at
)
VALUES (
    %(sku)s, %(name)s, %(description)s, %(category)s, %(currency_code)s, %(price_minor_units)s,
    %(state)s, %(version)s, %(created_at)s, %(updated_at)s
)
ON CONFLICT (sku) DO NOTHING

-- name: lock_product
SELECT sku, name, description, category, currency_code, price_minor_units, state, version, created_at, updated_at
FROM product
WHERE sku = %(sku)s
FOR UPDATE

-- name: update_product
UPDATE product
SET name = %(name)s, description = %(description)s, category = %(category)s, currency_code = %(currency_code)s,
    price_minor_units = %(price_minor_units)s, state = %(state)s, version = %(version)s, updated_at = %(updated_at)s
WHERE sku = %(sku)s

-- name: find_product
SELECT sku, name, description, category, currency_code, price_minor_units, state, version, created_at, updated_at
FROM product
WHERE sku = %(sku)s

-- name: find_products
SELECT sku, name, description, category, currency_code, price_minor_units, state, version, created_at, updated_at
FROM product
WHERE sku = ANY(%(skus)s)

-- name: list_products
SELECT sku, name, description, category, currency_code, price_minor_units, state, version, created_at, updated_at
FROM product
WHERE sku > %(after)s
    AND (%(category)s::text = '' OR category = %(category)s)
    AND (%(name_contains)s::text = '' OR strpos(lower(name), lower(%(name_contains)s COLLATE pg_c_utf8)) > 0)
    AND (%(include_retired)s OR state = 'active')
ORDER BY sku
LIMIT %(limit)s

-- name: list_price_changes
SELECT version, currency_code, price_minor_units, effective_at
FROM price_change
WHERE sku = %(sku)s AND version < %(before_version)s
ORDER BY version DESC
LIMIT %(limit)s

-- name: lock_import
-- The update that changes nothing locks the row, new or old, in one statement.
INSERT INTO import (import_id, started_at)
VALUES (%(import_id)s, %(now)s)
ON CONFLICT (import_id) DO UPDATE SET import_id = excluded.import_id
RETURNING rejected, last_line

-- name: create_offers
CREATE TEMPORARY TABLE offer (
    sku text COLLATE "C" NOT NULL,
    name text NOT NULL,
    category text NOT NULL,
    currency_code text NOT NULL,
    price_minor_units bigint NOT NULL
) ON COMMIT DROP

-- name: copy_offers
COPY offer (sku, name, category, currency_code, price_minor_units) FROM STDIN

-- name: merge_offers
-- Rows are locked in the order of their keys, so that two imports cannot wait for each other in a circle.
-- An offer without a category leaves the one staff gave.
-- The time was read before the row was waited for: whoever held it may have changed it later than that.
INSERT INTO product AS p (
    sku, name, description, category, currency_code, price_minor_units, state, version, created_at, updated_at
)
SELECT sku, name, '', category, currency_code, price_minor_units, 'active', 1, %(now)s, %(now)s
FROM offer
ORDER BY sku
ON CONFLICT (sku) DO UPDATE
SET name = excluded.name,
    category = coalesce(nullif(excluded.category, ''), p.category),
    currency_code = excluded.currency_code,
    price_minor_units = excluded.price_minor_units,
    state = 'active',
    version = p.version + 1,
    updated_at = greatest(excluded.updated_at, p.updated_at)
WHERE (p.name, p.category, p.currency_code, p.price_minor_units, p.state)
    IS DISTINCT FROM (
        excluded.name, coalesce(nullif(excluded.category, ''), p.category), excluded.currency_code,
        excluded.price_minor_units, 'active'
    )
RETURNING sku, name, description, category, currency_code, price_minor_units, state, version, created_at, updated_at

-- name: record_batch
WITH rejected_now AS (
    INSERT INTO rejected_line (import_id, line_number, reason, message)
    SELECT %(import_id)s, line_number, reason, message
    FROM unnest(%(line_numbers)s::bigint [], %(reasons)s::text [], %(messages)s::text [])
        AS rejection (line_number, reason, message)
)
UPDATE import
SET created = created + %(created)s,
    changed = changed + %(changed)s,
    unchanged = unchanged + %(unchanged)s,
    rejected = rejected + %(rejected)s,
    last_line = %(last_line)s
WHERE import_id = %(import_id)s

-- name: find_import
SELECT created, changed, unchanged, rejected, last_line, (
    SELECT coalesce(jsonb_agg(jsonb_build_array(line_number, reason, message) ORDER BY line_number), '[]')
    FROM rejected_line
    WHERE rejected_line.import_id = import.import_id
) AS rejections
FROM import
WHERE import_id = %(import_id)s
