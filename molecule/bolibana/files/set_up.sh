# The application as it has run for a while; and an external disk, for which a file system in memory stands.
set -euo pipefail
useradd --system --home-dir /var/lib/bolibana --create-home bolibana
install -d -o bolibana -g bolibana /var/lib/bolibana/queue /var/lib/bolibana/control /var/lib/bolibana/results
install -d -o bolibana -g bolibana -m 0755 /srv/bolibana/media
install -d -m 0750 -g bolibana /etc/bolibana
printf 'BOLIBANA_SECRET_KEY=%s\n' "$(head -c 32 /dev/urandom | base64)" >/etc/bolibana/environment
runuser -u postgres -- createuser bolibana
runuser -u postgres -- createdb --owner bolibana bolibana
cd /srv/bolibana
./manage.py makemigrations --verbosity 0 archive
runuser -u bolibana -- ./manage.py migrate --verbosity 0
runuser -u bolibana -- ./manage.py fill 4000
systemctl daemon-reload
systemctl enable --now bolibana-web.service bolibana-worker.service
mkdir /srv/the-disk
mount -t tmpfs -o size=200M the-disk /srv/the-disk
echo '/srv/the-disk /mnt/external none bind,nofail 0 0' >>/etc/fstab
