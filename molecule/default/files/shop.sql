-- Everything a restore could lose: an owner, grants, settings, an extension, sequences, hostile names and values.
CREATE ROLE shop LOGIN;
CREATE ROLE reporting LOGIN CONNECTION LIMIT 7;
CREATE ROLE auditors NOLOGIN;
GRANT auditors TO reporting;
COMMENT ON ROLE reporting IS 'reads; 見る';
ALTER ROLE reporting SET statement_timeout = '30s';

CREATE DATABASE shop OWNER shop TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8';
COMMENT ON DATABASE shop IS 'the shop''s "live" data';
ALTER DATABASE shop CONNECTION LIMIT 40;
ALTER DATABASE shop SET search_path = public, "odd schema";
ALTER DATABASE shop SET timezone = 'Europe/Paris';
ALTER DATABASE shop SET work_mem = '9MB';
ALTER ROLE reporting IN DATABASE shop SET default_transaction_isolation = 'repeatable read';
REVOKE CONNECT ON DATABASE shop FROM PUBLIC;
GRANT CONNECT ON DATABASE shop TO reporting;
GRANT CREATE ON DATABASE shop TO auditors WITH GRANT OPTION;

\connect shop
CREATE EXTENSION citext;
CREATE EXTENSION pgcrypto;
GRANT ALL ON SCHEMA public TO shop;
SET ROLE shop;
CREATE SCHEMA "odd schema";

CREATE TYPE status AS ENUM ('new', 'paid', 'sent');
CREATE DOMAIN amount AS numeric(12, 2) CHECK (value >= 0);
CREATE SEQUENCE invoice_number START 1000 INCREMENT 7;
CREATE TABLE customers (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email citext UNIQUE NOT NULL,
    name text NOT NULL CHECK (name <> ''),
    profile jsonb NOT NULL DEFAULT '{}',
    born date
);
CREATE TABLE orders (
    id bigserial PRIMARY KEY,
    customer bigint NOT NULL REFERENCES customers,
    number bigint UNIQUE DEFAULT nextval('invoice_number'),
    status status NOT NULL DEFAULT 'new',
    net amount NOT NULL,
    gross numeric GENERATED ALWAYS AS (net * 1.2) STORED,
    placed_at timestamptz NOT NULL
);
CREATE INDEX ON orders (placed_at DESC) WHERE status <> 'sent';
CREATE TABLE events (at timestamptz NOT NULL, what text, weight double precision) PARTITION BY RANGE (at);
CREATE TABLE events_2025 PARTITION OF events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE events_2026 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE "odd schema"."a ""quoted"" table" ("a column, with; marks" text, raw bytea, one_more text[]);
CREATE TABLE secrets (whose text, secret text);
ALTER TABLE secrets ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON secrets USING (whose = current_user);
CREATE VIEW paid AS SELECT * FROM orders WHERE status = 'paid';

INSERT INTO customers (email, name, profile, born)
SELECT 'Customer.' || i || '@Example.org', 'Ünïcode ' || i || E' "it''s" \\ tab\there\nline ' || chr(128512 + i % 50),
       jsonb_build_object('n', i, 'list', jsonb_build_array(i, null, 'x')), date '1950-01-01' + i * 3
FROM generate_series(1, 3000) i;
INSERT INTO orders (customer, status, net, placed_at)
SELECT 1 + i * 7919 % 3000, (ARRAY['new', 'paid', 'sent']::status[])[1 + i % 3], i % 997 + 0.37,
       timestamptz '2025-01-01 00:00:00.123456+00' + i * interval '37 minutes'
FROM generate_series(1, 12000) i;
INSERT INTO events SELECT timestamptz '2025-01-01 00:00+00' + i * interval '4 hours', encode(sha256(i::text::bytea), 'hex'),
       CASE i % 4 WHEN 0 THEN 'NaN' WHEN 1 THEN '-Infinity' WHEN 2 THEN NULL ELSE 0.1 * i END
FROM generate_series(1, 4000) i;
INSERT INTO "odd schema"."a ""quoted"" table" VALUES
    (NULL, NULL, NULL), ('', '', '{}'), (E'\\N', '\x000102ff', ARRAY['a', NULL, '', '"', E'\\']),
    (E'\\.', '\x5c2e0a', ARRAY['\.']), (repeat('long ', 50000), sha256('x'), NULL);
INSERT INTO secrets VALUES ('shop', 'pssst'), ('reporting', 'hush');
DELETE FROM orders WHERE id % 1000 = 0;
SELECT setval('invoice_number', 123456, false) \g /dev/null
CREATE MATERIALIZED VIEW sales AS SELECT date_trunc('month', placed_at) AS month, sum(net) FROM orders GROUP BY 1;

CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN new.placed_at = coalesce(new.placed_at, now()); RETURN new; END$$;
CREATE TRIGGER stamp BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION stamp();
GRANT USAGE ON SCHEMA "odd schema" TO reporting;
GRANT SELECT ON customers, orders, paid TO reporting;
GRANT SELECT (at, what) ON events TO auditors WITH GRANT OPTION;
GRANT USAGE ON SEQUENCE invoice_number TO reporting;
ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO reporting;
SELECT lo_from_bytea(424242, '\xdeadbeef00') \g /dev/null
COMMENT ON TABLE orders IS 'what was ordered';
RESET ROLE;
ANALYZE;

CREATE DATABASE audit OWNER auditors;
\connect audit
CREATE TABLE entries AS SELECT i AS id, md5(i::text) AS what FROM generate_series(1, 500) i;
