CREATE ROLE shop LOGIN;
CREATE DATABASE shop OWNER shop;
\connect shop
CREATE TABLE orders (id bigint PRIMARY KEY, note text, at timestamptz DEFAULT now());
INSERT INTO orders (id, note) SELECT n, 'order ' || n FROM generate_series(1, 5000) AS n;
CREATE VIEW recent AS SELECT * FROM orders WHERE id > 4990;
