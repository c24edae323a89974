CREATE TABLE book (
  id int AUTO_INCREMENT PRIMARY KEY, k int DEFAULT 1, title varchar(200) NOT NULL, small tinyint unsigned,
  big bigint, price decimal(30,10), f float, d double, b bit(10), raw varbinary(50), fixed binary(4),
  at timestamp(6) NULL, day date, hour time(3), moment datetime(6), y year, e enum('a','b\'c'), s set('x','y'),
  j json, g geometry, body mediumtext CHARACTER SET utf8mb3, old varchar(50) CHARACTER SET latin1, blob_ longblob,
  twice int GENERATED ALWAYS AS (k * 2) VIRTUAL, next int GENERATED ALWAYS AS (k + 1) STORED,
  CONSTRAINT positive CHECK (k > 0), KEY (title), FULLTEXT KEY (title)
) COMMENT = 'it''s; a "comment"
-- of `two` lines';
INSERT INTO book (title, small, big, price, f, d, b, raw, fixed, at, day, hour, moment, y, e, s, j, g, body, old, blob_)
VALUES ('a),(b''\\', 255, -9223372036854775808, 12345678901234567890.0123456789, 1.5, 1e300, b'1010000001',
    0x00ff0a0d27225c, 0x00010200, '2026-03-29 02:30:00.123456', '0001-01-01', '-838:59:59', '9999-12-31 23:59:59.999999',
    1901, 'b\'c', 'x,y', '{"a": [1, "),("]}', ST_GeomFromText('POINT(1 2)'), 'Größe', 'é', REPEAT(0x00, 3000)),
  ('line\nbreak (\r\n\t;\n(x\0\Z%', 0, 0, 0, 0, 0, b'0', '', '', NULL, NULL, NULL, NULL, NULL, 'a', '', NULL, NULL, '', '', ''),
  ('😀 \\'' ` " 漢字', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]',
    ST_GeomFromText('POLYGON((0 0,1 0,1 1,0 0))'), NULL, NULL, 0xf09f);
CREATE TABLE empty_one (id int);
CREATE TABLE `or``der ('s) "q"; é` (`col,('` int, `select` text, `x``y` int) ;
INSERT INTO `or``der ('s) "q"; é` VALUES (1, ';\n', 2), (3, '''', 4);
CREATE TABLE many (id int PRIMARY KEY, word text);
INSERT INTO many SELECT a.n * 100 + b.n * 10 + c.n, CONCAT('),(', REPEAT('x\'', c.n)) FROM
  (SELECT 0 n UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5 UNION SELECT 6 UNION SELECT 7) a,
  (SELECT 0 n UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5 UNION SELECT 6 UNION SELECT 7) b,
  (SELECT 0 n UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5 UNION SELECT 6 UNION SELECT 7) c;
CREATE TABLE loan (id int PRIMARY KEY, book int, FOREIGN KEY (book) REFERENCES book (id) ON DELETE CASCADE);
INSERT INTO loan VALUES (1, 1), (2, NULL);
CREATE TABLE boss (id int PRIMARY KEY, worker int);
CREATE TABLE worker (id int PRIMARY KEY, boss int, peer int,
  CONSTRAINT of_boss FOREIGN KEY (boss) REFERENCES boss (id), FOREIGN KEY (peer) REFERENCES worker (id));
ALTER TABLE boss ADD FOREIGN KEY (worker) REFERENCES worker (id);
INSERT INTO boss VALUES (1, NULL);
INSERT INTO worker VALUES (1, 1, NULL), (2, 1, 1);
UPDATE boss SET worker = 2;
CREATE TABLE parts (id int, at date) PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN MAXVALUE);
INSERT INTO parts VALUES (1, NULL), (11, NULL);
CREATE TABLE myisam_one (id int) ENGINE = MyISAM;
INSERT INTO myisam_one VALUES (1);
CREATE TABLE audit (id int AUTO_INCREMENT PRIMARY KEY, what text);
DELIMITER //
CREATE FUNCTION shelf(a int) RETURNS int DETERMINISTIC
BEGIN
  IF a > 1 THEN RETURN a * 2; END IF;
  RETURN a;
END//
CREATE PROCEDURE tidy(IN n int) MODIFIES SQL DATA COMMENT 'it''s'
BEGIN
  /* INSERT INTO `book`
DELIMITER ;
  */
  INSERT INTO `audit` (what)
VALUES
('a'),
('b;');
END//
CREATE TRIGGER `SHOP`.`book added` AFTER INSERT ON `SHOP`.book FOR EACH ROW
BEGIN
  INSERT INTO audit (what) VALUES (CONCAT('added ', NEW.title));
END//
CREATE TRIGGER book_first BEFORE INSERT ON book FOR EACH ROW SET NEW.k = COALESCE(NEW.k, 1)//
CREATE TRIGGER book_gone AFTER DELETE ON book FOR EACH ROW INSERT INTO audit (what) VALUES ('gone')//
CREATE EVENT nightly ON SCHEDULE EVERY 1 DAY STARTS '2030-01-01 00:00:00' COMMENT 'x' DO DELETE FROM audit WHERE id < 0//
CREATE EVENT off ON SCHEDULE EVERY 1 HOUR STARTS '2030-01-01 00:00:00' DISABLE DO BEGIN DELETE FROM audit WHERE id < 0; END//
DELIMITER ;
CREATE VIEW a_later AS SELECT id, title, 1 AS n FROM book;
CREATE VIEW z_first AS SELECT a_later.id, shelf(a_later.n) AS s FROM a_later WHERE title <> 'a''`;';
CREATE ALGORITHM = MERGE SQL SECURITY INVOKER VIEW a_a AS SELECT * FROM z_first WHERE id > 0;
