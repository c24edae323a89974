CREATE SEQUENCE ticket START WITH 5 INCREMENT BY 3;
DO NEXTVAL(ticket);
CREATE TABLE hidden (id int, `a (b` int INVISIBLE DEFAULT 3, u uuid, ip inet6) ENGINE = Aria;
INSERT INTO hidden (id, `a (b`) VALUES (1, 2), (2, 3);
CREATE TABLE past (id int, until int) WITH SYSTEM VERSIONING;
INSERT INTO past VALUES (1, 1), (2, 2);
DELETE FROM past WHERE id = 1;
