#!/bin/sh
# An application in containers of podman: a MariaDB, reached by its own variables, and a volume that a
# container uses. Their root is this host's /usr, so that no image has to be fetched.
set -eu
root=$(mktemp -d)
mkdir -p "$root/usr" "$root/etc" "$root/var/lib" "$root/run" "$root/root" "$root/proc" "$root/sys" "$root/dev"
for name in bin sbin lib lib64; do ln -s "usr/$name" "$root/$name"; done
cp /etc/passwd /etc/group /etc/ld.so.cache /etc/nsswitch.conf "$root/etc/"
cp -a /etc/alternatives "$root/etc/"
mkdir -m 1777 "$root/tmp" "$root/var/tmp"
tar -C "$root" -c . | podman import -q - localhost/box
rm -rf "$root"

cat >/srv/box.env <<'ENV'
DB_USERNAME=forum
DB_PASSWORD=forum-secret-of-the-lab
DB_DATABASE=forum
ADMIN_PASSWORD=admin-secret-of-the-lab
ENV
chmod 600 /srv/box.env
podman run -d --name forum-db --network none -v /usr:/usr:ro --env-file /srv/box.env localhost/box sh -c '
mkdir -p /run/mysqld /var/lib/db
mariadb-install-db --no-defaults --datadir=/var/lib/db --user=root --skip-test-db >/dev/null
cat >/tmp/init <<SQL
CREATE DATABASE forum;
CREATE USER forum@localhost IDENTIFIED BY "$DB_PASSWORD";
GRANT ALL ON forum.* TO forum@localhost;
CREATE USER admin@localhost IDENTIFIED BY "$ADMIN_PASSWORD";
GRANT ALL ON *.* TO admin@localhost WITH GRANT OPTION;
SQL
exec mariadbd --no-defaults --datadir=/var/lib/db --socket=/run/mysqld/mysqld.sock \
  --bind-address=127.0.0.1 --user=root --init-file=/tmp/init'
podman volume create --label project=forum forum_files
podman run -d --name forum-app --network none -v /usr:/usr:ro -v forum_files:/data localhost/box \
  sh -c 'trap "exit 0" TERM; while :; do sleep 1 & wait $!; done'
podman exec forum-app sh -c 'mkdir /data/up; for one in $(seq 30); do echo "upload $one" >"/data/up/$one"; done
  chown -R 33:33 /data/up; chmod 0750 /data/up; ln -s up/1 /data/first'
for _try in $(seq 100); do
  podman exec forum-db mariadb --no-defaults -uroot --socket=/run/mysqld/mysqld.sock -e 'SELECT 1' forum 2>/dev/null && break
  sleep 0.2
done
podman exec -i forum-db mariadb --no-defaults -uroot --socket=/run/mysqld/mysqld.sock forum <<'SQL'
CREATE TABLE post (id int PRIMARY KEY, said text CHARACTER SET utf8mb4);
INSERT INTO post SELECT seq, CONCAT('post ', seq) FROM seq_1_to_500;
SQL
