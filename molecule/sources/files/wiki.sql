CREATE DATABASE wiki CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;
CREATE USER 'wiki_app'@'localhost' IDENTIFIED BY 'wiki-secret-of-the-lab';
GRANT ALL PRIVILEGES ON wiki.* TO 'wiki_app'@'localhost';
USE wiki;
CREATE TABLE page (
  id int AUTO_INCREMENT PRIMARY KEY, title varchar(200) NOT NULL, body mediumtext, picture longblob,
  changed timestamp(6) NULL, price decimal(30,10), marks bit(10), facts json, twice int AS (id * 2) VIRTUAL
);
INSERT INTO page (title, body, picture, changed, price, marks, facts) VALUES
  ('Größe 🚀', 'line\nbreak; \'quoted\' \\ and (x),(y)', 0x00ff0a0d27225c, '2026-03-29 01:30:00.123456', 1.0000000001, b'1010', '{"a": [1]}'),
  ('', NULL, NULL, NULL, NULL, NULL, NULL);
CREATE TABLE word (id int PRIMARY KEY, word text);
INSERT INTO word SELECT seq, CONCAT('word ', seq, REPEAT('x', seq % 50)) FROM seq_1_to_20000;
CREATE TABLE empty_one (id int);
CREATE TABLE `odd ``name` (`select` int PRIMARY KEY, page int, CONSTRAINT odd_page FOREIGN KEY (page) REFERENCES page (id));
INSERT INTO `odd ``name` VALUES (1, 1);
CREATE TABLE audit (id int AUTO_INCREMENT PRIMARY KEY, what text);
CREATE VIEW titles AS SELECT id, title FROM page;
CREATE VIEW longest AS SELECT max(char_length(title)) AS characters FROM titles;
CREATE FUNCTION doubled(n int) RETURNS int DETERMINISTIC RETURN n * 2;
DELIMITER //
CREATE TRIGGER page_added AFTER INSERT ON page FOR EACH ROW
BEGIN
  INSERT INTO audit (what) VALUES (CONCAT('added ', NEW.title));
END//
CREATE PROCEDURE tidy() BEGIN DELETE FROM audit; END//
DELIMITER ;
CREATE EVENT nightly ON SCHEDULE EVERY 1 DAY DISABLE DO DELETE FROM audit;
CREATE SEQUENCE numbers START WITH 40;
SELECT NEXT VALUE FOR numbers;
