CREATE ROLE shop_owner LOGIN;
CREATE DATABASE shop OWNER shop_owner TEMPLATE template0;
\connect shop
CREATE TABLE orders (id int PRIMARY KEY, note text);
ALTER TABLE orders OWNER TO shop_owner;
INSERT INTO orders SELECT n, 'order ' || n FROM generate_series(1, 2000) n;
