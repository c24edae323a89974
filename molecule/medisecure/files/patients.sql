CREATE ROLE medisecure LOGIN;
CREATE DATABASE medisecure OWNER medisecure TEMPLATE template0;
\connect medisecure
SET ROLE medisecure;
CREATE TABLE patient (id int PRIMARY KEY, name text NOT NULL, born date, facts jsonb);
INSERT INTO patient SELECT n, 'Noël Łukasz ' || n, date '1930-02-28' + n, jsonb_build_object('allergic', n % 3 = 0) FROM generate_series(1, 5000) n;
CREATE TABLE visit (id bigint PRIMARY KEY, patient int NOT NULL REFERENCES patient, at timestamptz, note text);
INSERT INTO visit SELECT n, 1 + n % 5000, timestamptz '2026-01-01 00:00Z' + n * interval '1 minute', repeat('noted ', n % 20) FROM generate_series(1, 20000) n;
CREATE INDEX ON visit (patient);
