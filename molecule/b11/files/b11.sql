CREATE ROLE b11_app LOGIN;
CREATE DATABASE b11 OWNER b11_app TEMPLATE template0;
\connect b11
SET ROLE b11_app;
CREATE TABLE customer (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL, since timestamptz NOT NULL);
CREATE TABLE invoice (
  id int PRIMARY KEY, customer int NOT NULL REFERENCES customer, total numeric(10, 2), lines jsonb, seal bytea);
CREATE INDEX ON invoice (customer);
CREATE VIEW owed AS SELECT customer, sum(total) AS total FROM invoice GROUP BY customer;
INSERT INTO customer (name, since) SELECT 'Müller & Söhne ' || n, timestamptz '2020-02-29 12:00Z' + n * interval '1 hour'
  FROM generate_series(1, 500) n;
INSERT INTO invoice SELECT n, 1 + n % 500, n * 0.37, jsonb_build_object('n', n, 'text', repeat('zeile ', n % 7)), sha256(n::text::bytea)
  FROM generate_series(1, 5000) n;
