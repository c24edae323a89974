#!/bin/sh
# As the user whose wiki it is: a MariaDB, and an application that is told by its variables how to reach it, in containers
# of that user's own. Their root is this host's /usr, so that no image has to be fetched.
# bookstack.sh DATABASE USER PASSWORD ROOT_PASSWORD PAGES
set -eu
root=$(mktemp -d)
mkdir -p "$root/usr" "$root/etc" "$root/var/lib" "$root/run" "$root/root" "$root/proc" "$root/sys" "$root/dev"
for name in bin sbin lib lib64; do ln -s "usr/$name" "$root/$name"; done
cp /etc/passwd /etc/group /etc/ld.so.cache /etc/nsswitch.conf "$root/etc/"
cp -a /etc/alternatives "$root/etc/"
mkdir -m 1777 "$root/tmp" "$root/var/tmp"
chmod 755 "$root"
tar -C "$root" -c . | podman import -q - localhost/box >/dev/null
rm -rf "$root"

umask 077
mkdir -p ~/bookstack/secrets
cat >~/bookstack/db.env <<ENV
MYSQL_DATABASE=$1
MYSQL_USER=$2
MYSQL_PASSWORD=$3
MYSQL_ROOT_PASSWORD=$4
ENV
cat >~/bookstack/app.env <<ENV
DB_HOST=127.0.0.1
DB_DATABASE=$1
DB_USERNAME=$2
DB_PASSWORD=$3
FILE__APP_KEY=/run/secrets/app.key
ENV
echo "base64:$(head -c 32 /dev/urandom | base64)" >~/bookstack/secrets/app.key

podman run -d --name bookstack-db --network none -v /usr:/usr:ro --env-file ~/bookstack/db.env localhost/box sh -c '
mkdir -p /run/mysqld /var/lib/db
mariadb-install-db --no-defaults --datadir=/var/lib/db --user=root --skip-test-db >/dev/null
cat >/tmp/init <<SQL
CREATE DATABASE $MYSQL_DATABASE CHARACTER SET utf8mb4;
CREATE USER $MYSQL_USER IDENTIFIED BY "$MYSQL_PASSWORD";
GRANT ALL ON $MYSQL_DATABASE.* TO $MYSQL_USER;
ALTER USER root@localhost IDENTIFIED VIA unix_socket OR mysql_native_password USING PASSWORD("$MYSQL_ROOT_PASSWORD");
SQL
exec mariadbd --no-defaults --datadir=/var/lib/db --socket=/run/mysqld/mysqld.sock \
  --bind-address=127.0.0.1 --user=root --init-file=/tmp/init' >/dev/null
podman run -d --name bookstack --network container:bookstack-db -v /usr:/usr:ro -v bookstack_uploads:/uploads \
  -v ~/bookstack/secrets:/run/secrets:ro --env-file ~/bookstack/app.env localhost/box \
  sh -c 'trap "exit 0" TERM; while :; do sleep 1 & wait $!; done' >/dev/null

ask="podman exec -i bookstack-db mariadb --no-defaults -uroot --socket=/run/mysqld/mysqld.sock $1"
for _try in $(seq 150); do
  $ask -e 'SELECT 1' >/dev/null 2>&1 && break
  sleep 0.2
done
$ask <<SQL
CREATE TABLE users (id int AUTO_INCREMENT PRIMARY KEY, name varchar(191), email varchar(191) UNIQUE);
CREATE TABLE pages (id int AUTO_INCREMENT PRIMARY KEY, name varchar(191), html longtext, created_by int,
  updated_at timestamp(6) NULL, FOREIGN KEY (created_by) REFERENCES users (id));
CREATE TABLE settings (setting_key varchar(191) PRIMARY KEY, value text);
INSERT INTO users (name, email) SELECT CONCAT('Größe 🚀 ', seq), CONCAT('user', seq, '@example.org') FROM seq_1_to_20;
INSERT INTO pages (name, html, created_by, updated_at)
  SELECT CONCAT('page ', seq), REPEAT(CONCAT('<p>line ', seq, ' ''quoted'' \\\\ ü</p>\n'), seq % 9), 1 + seq % 20,
  '2026-03-29 01:30:00.123456' FROM seq_1_to_$5;
INSERT INTO settings VALUES ('app-name', 'Wiki of $2'), ('empty', NULL);
SQL
podman exec bookstack sh -c "mkdir -p /uploads/images/gallery/2026-11
  for one in \$(seq $5); do head -c \$((one * 7)) /dev/urandom >/uploads/images/gallery/2026-11/\$one.png; done
  chown -R 33:33 /uploads/images; chmod 0750 /uploads/images; ln -s images/gallery /uploads/latest"
