CREATE DATABASE billing CHARACTER SET utf8mb4;
CREATE USER billing_app@localhost IDENTIFIED BY 'billing-secret-of-the-lab';
GRANT ALL PRIVILEGES ON billing.* TO billing_app@localhost;
USE billing;
CREATE TABLE invoice (id int PRIMARY KEY, patient int, total decimal(12,2), what varchar(200));
INSERT INTO invoice SELECT seq, 1 + seq % 5000, seq / 7, CONCAT('prélèvement ', seq) FROM seq_1_to_3000;
CREATE VIEW owed AS SELECT patient, sum(total) AS total FROM invoice GROUP BY patient;
