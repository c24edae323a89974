# As root on the server: what nightscan's own deployment makes, and a while of work with it.
set -euo pipefail
umask 022
cd /srv/nightscan/app
mkdir -p node_modules/left __pycache__ /etc/nightscan /srv/nightscan/data
echo 'module.exports = 1' >node_modules/left/index.js
echo compiled >__pycache__/server.pyc
printf 'node_modules\n__pycache__\n' >.gitignore
export GIT_AUTHOR_NAME=dev GIT_AUTHOR_EMAIL=dev@lab.example GIT_COMMITTER_NAME=dev GIT_COMMITTER_EMAIL=dev@lab.example
git init -q -b main
git add .
git commit -q -m 'First version'
git clone -q --bare . /var/tmp/nightscan.git
git -C /var/tmp/nightscan.git update-server-info
tar -cf /var/tmp/nightscan.git.tar -C /var/tmp nightscan.git

runuser -u postgres -- psql -XqAt -v ON_ERROR_STOP=1 <<'SQL'
CREATE ROLE "www-data" LOGIN;
CREATE DATABASE nightscan OWNER "www-data" TEMPLATE template0;
\connect nightscan
CREATE EXTENSION pg_trgm;
CREATE TABLE scan (id int PRIMARY KEY, host text NOT NULL, found jsonb);
ALTER TABLE scan OWNER TO "www-data";
CREATE INDEX ON scan USING gin (host gin_trgm_ops);
INSERT INTO scan SELECT n, 'host ' || n || ' größe', jsonb_build_object('open', n % 65536) FROM generate_series(1, 20000) n;
SQL
redis-cli EVAL "for i = 1, 400 do redis.call('RPUSH', 'queue:' .. i, i, i * 2) end; redis.call('SET', 'session', 'x', 'EX', 86400)" 0
for number in $(seq 60); do
  mkdir -p "/srv/nightscan/data/reports/$((number % 7))"
  head -c $((3000 + number)) /dev/urandom >"/srv/nightscan/data/reports/$((number % 7))/report $number, ü.pdf"
done
chown -R www-data:www-data /srv/nightscan

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=nightscan \
  -keyout /etc/nightscan/key.pem -out /etc/nightscan/cert.pem 2>/dev/null
cat >/etc/nginx/sites-available/nightscan <<'NGINX'
server {
  listen 443 ssl;
  ssl_certificate /etc/nightscan/cert.pem;
  ssl_certificate_key /etc/nightscan/key.pem;
  location / { proxy_pass http://127.0.0.1:8000; }
}
NGINX
ln -s ../sites-available/nightscan /etc/nginx/sites-enabled/nightscan
cat >/etc/systemd/system/nightscan.service <<'UNIT'
[Service]
User=www-data
ExecStart=/usr/bin/python3 /srv/nightscan/app/server.py
[Install]
WantedBy=multi-user.target
UNIT
printf '/var/log/nightscan.log {\n  weekly\n}\n' >/etc/logrotate.d/nightscan
echo '7 * * * * true' | crontab -u www-data -
systemctl daemon-reload
systemctl enable -q --now nightscan
systemctl restart nginx
