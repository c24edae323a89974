# Everything that has to come back, a line each, with the source that it is of.
cd /
each() { sed "s/^/$1: /"; }
tree() { find "$@" -printf '%y %U %G %m %T@ %l %p\n' && find "$@" -type f -exec sha256sum {} +; }
for query in 'SELECT * FROM scan ORDER BY id' '\d scan' '\dx' "SELECT pg_get_userbyid(datdba), unnest(datacl) FROM pg_database WHERE datname = 'nightscan' ORDER BY 2::text"; do
  runuser -u postgres -- psql -XqAtd nightscan -c "$query" 2>&1 | each db
done
redis-cli EVAL "local found = {} for _, key in ipairs(redis.call('KEYS', '*')) do
  found[#found + 1] = key .. ' ' .. redis.call('PEXPIRETIME', key) .. ' ' .. redis.sha1hex(redis.call('DUMP', key)) end return found" 0 2>&1 | each redis
tree /srv/nightscan/data 2>&1 | each data
tree /etc/nginx/sites-available /etc/nginx/sites-enabled /etc/nightscan /etc/systemd/system/nightscan.service \
  /etc/logrotate.d/nightscan /var/spool/cron/crontabs/www-data 2>&1 | each files
find /srv/nightscan/app \( -name node_modules -o -name __pycache__ \) -prune -o -type f -exec sha256sum {} + | each code
