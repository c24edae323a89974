CREATE DATABASE trial TEMPLATE template0;
\connect trial
CREATE TABLE orders (id int PRIMARY KEY, note text);
INSERT INTO orders SELECT n, 'order ' || n FROM generate_series(1, 2000) n;
