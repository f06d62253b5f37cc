#!/bin/sh
# The first service of the profile `test`: it refuses to go on where the shell or the
# file .env names servers. docker-compose.yml hands over the word "set", never a value.
#
# The services of that profile don't read these variables, and their network leads
# nowhere else. But who has them set is about to work on something real, and the next
# command may be one that reads them.
set -eu
found=
for name in AUTH0_DOMAIN AUTH0_BASE_URL AUTH0_CLIENT_ID AUTH0_CLIENT_SECRET \
  AUTH0_CLIENT_SECRET_FILE DATABASE_URL DATABASE_URL_FILE FERRY_LEDGER_URL REDIS_URL REDIS_URL_FILE; do
  eval "value=\${$name:-}"
  if [ -n "$value" ]; then found="$found $name"; fi
done
if [ -n "$found" ]; then
  printf 'Refused: the profile test takes no servers, and these variables are set:%s\n' "$found" >&2
  printf 'Unset them in this shell. Where they come from the file .env: docker compose --env-file /dev/null ...\n' >&2
  exit 1
fi
