#!/bin/sh
# Makes the passwords of docker-compose.yml, once: each is a file of the volume that only
# the user of its reader may read, so that none is in an environment or on the host.
#
# PostgreSQL runs as user 999, Ferry as 65532. `pgpass` has to be closed to all others,
# else it is not read.
set -eu
umask 077
cd "${1:-/secrets}"

if [ -e postgres_password ] && [ -e pgpass ] && [ -e auth0_client_secret ]; then
  exit 0
fi

# Nobody has read what an interrupted start left here: readers wait for its end.
rm -f -- *.new
password=$(head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n')
printf '%s' "$password" >postgres_password.new
printf 'postgres:5432:*:mover:%s\n' "$password" >pgpass.new
# What the simulator expects; it guards nothing.
printf 'simulated' >auth0_client_secret.new

# The mode first: afterwards the file is another user's.
chmod 0400 ./*.new
chown 999:999 postgres_password.new
chown 65532:65532 pgpass.new auth0_client_secret.new
for name in postgres_password pgpass auth0_client_secret; do
  mv -f "$name.new" "$name"
done
