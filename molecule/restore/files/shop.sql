CREATE ROLE shop_owner LOGIN;
CREATE DATABASE shop OWNER shop_owner TEMPLATE template0;
\connect shop
CREATE TABLE orders (id int PRIMARY KEY, note text);
ALTER TABLE orders OWNER TO shop_owner;
INSERT INTO orders SELECT n, 'order ' || n FROM generate_series(1, 2000) n;

CREATE DATABASE ledger OWNER shop_owner TEMPLATE template0;
\connect ledger
CREATE TABLE entry (id int PRIMARY KEY, amount numeric);
ALTER TABLE entry OWNER TO shop_owner;
INSERT INTO entry SELECT n, n * 1.5 FROM generate_series(1, 1500) n;
