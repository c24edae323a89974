cd /srv/shop
find uploads -type f -exec sha256sum {} + | sort
find uploads settings -printf '%y %U %G %m %p\n' | grep -v settings.db- | sort
python3 -c "import sqlite3; print(*sqlite3.connect('/srv/shop/settings/settings.db').iterdump(), sep='\n')"
cd /
for query in 'SELECT * FROM book ORDER BY id' '\d book' '\dx' '\l shop'; do
  runuser -u postgres -- psql -X -q -A -t -d shop -c "$query"
done
