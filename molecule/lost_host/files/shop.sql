CREATE ROLE shop_owner LOGIN PASSWORD 'owner-secret';
CREATE DATABASE shop OWNER shop_owner TEMPLATE template0;
\connect shop
CREATE EXTENSION pg_trgm;
CREATE TABLE book (id int PRIMARY KEY, title text);
ALTER TABLE book OWNER TO shop_owner;
CREATE INDEX ON book USING gin (title gin_trgm_ops);
INSERT INTO book SELECT n, 'book ' || n FROM generate_series(1, 20000) n;
