# shellcheck shell=bash
# Private servers for tests/run and tests/sqlx-prepare: find or install them,
# start them in one temporary folder, and leave nothing behind.
#
# A script that sources this file calls `open_scratch` first: it makes the folder and
# sets the traps. Each server runs as a process group of its own, so Ctrl-C on the
# terminal reaches only the script, which then ends the tests before the servers.
# Ready and failed are read from the server's own files, never by asking the port:
# a port answers for any process that holds it, which need not be the server just started.

scratch=            # the temporary folder, removed at the end
step_pid=           # the step that runs now, leader of its process group
postgres_pid=
redis_pid=
postgres_bin=       # the folder with initdb, postgres and psql
redis_bin=          # redis-server or valkey-server
policy_file=        # what keeps apt-get from starting what it installs
START_SECONDS=30    # a server that is not ready by then is broken
STOP_SECONDS=15     # what is still there by then is killed

say() { printf '%s\n' "$*" >&2; }

# die CODE MESSAGE...: ends the script; 2 means that something has to be installed.
die() {
  local code=$1
  shift
  say "$@"
  exit "$code"
}

open_scratch() {
  scratch=$(mktemp -d "${TMPDIR:-/tmp}/ferry-test.XXXXXX")
  # The PostgreSQL user has to get through to its own folder inside.
  chmod 711 "$scratch"
  trap close_scratch EXIT
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 143' TERM
}

close_scratch() {
  local code=$? pid
  trap '' HUP INT TERM
  trap - EXIT
  end_group "$step_pid" TERM
  # INT is PostgreSQL's fast shutdown: it does not wait for clients.
  end_group "$postgres_pid" INT
  end_group "$redis_pid" TERM
  # What was started so recently that no variable names it yet.
  for pid in $(jobs -p); do end_group "$pid" TERM; done
  if [[ -n $policy_file ]]; then rm -f "$policy_file"; fi
  if [[ -n $scratch ]]; then rm -rf "$scratch"; fi
  exit "$code"
}

# start_group LOG COMMAND...: runs it in a process group of its own; sets group_pid.
# An empty LOG keeps the script's own output.
start_group() {
  local log=$1
  shift
  set -m
  if [[ -n $log ]]; then
    "$@" </dev/null >>"$log" 2>&1 &
  else
    "$@" </dev/null &
  fi
  group_pid=$!
  set +m
}

# end_group PID SIGNAL: the whole group, by force after STOP_SECONDS.
end_group() {
  local pid=$1 signal=$2 left=$((STOP_SECONDS * 10))
  [[ -n $pid ]] || return 0
  kill "-$signal" -- "-$pid" 2>/dev/null || true
  while kill -0 -- "-$pid" 2>/dev/null && ((left > 0)); do
    # A child that has ended stays visible until it is waited for.
    kill -0 "$pid" 2>/dev/null || wait "$pid" 2>/dev/null || true
    left=$((left - 1))
    sleep 0.1
  done
  kill -KILL -- "-$pid" 2>/dev/null || true
  wait "$pid" 2>/dev/null || true
}

# await_ready NAME PID LOG CHECK...: bounded; 1 when the process ended, for instance
# because its port was taken in the meantime.
await_ready() {
  local name=$1 pid=$2 log=$3 left=$((START_SECONDS * 10))
  shift 3
  while ((left > 0)); do
    if "$@"; then return 0; fi
    if ! kill -0 "$pid" 2>/dev/null; then return 1; fi
    left=$((left - 1))
    sleep 0.1
  done
  say "$name is not ready after $START_SECONDS s. The end of its log:"
  tail -n 20 "$log" >&2
  exit 1
}

give_up() {
  local name=$1 log=$2
  say "$name does not start. The end of its log:"
  tail -n 20 "$log" >&2
  exit 1
}

# A port that nobody listens on, below the range that outgoing connections use.
free_port() {
  local port
  while :; do
    port=$((20000 + RANDOM % 12000))
    if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
      printf '%s\n' "$port"
      return
    fi
  done
}

# --- finding and installing -------------------------------------------------

can_install() { ((EUID == 0)) && command -v apt-get >/dev/null; }

# install_packages NAME...: without starting the services that come with them.
install_packages() {
  say "Installing $* with apt-get ..."
  local policy=/usr/sbin/policy-rc.d
  if [[ ! -e $policy ]]; then
    policy_file=$policy
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
  fi
  local log=$scratch/apt.log
  if ! { apt-get -qq update && DEBIAN_FRONTEND=noninteractive \
    apt-get -qq install -y --no-install-recommends "$@"; } </dev/null >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    die 2 "apt-get could not install $*. Install it by hand, then start again."
  fi
  if [[ -n $policy_file ]]; then rm -f "$policy_file"; fi
  policy_file=
}

# find_postgres: sets postgres_bin to the newest of at least version 14.
find_postgres() {
  local folder version best=13
  postgres_bin=
  for folder in "$(dirname "$(readlink -f "$(command -v initdb || echo /none)")")" \
    /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /opt/homebrew/opt/postgresql*/bin; do
    [[ -x $folder/initdb && -x $folder/postgres && -x $folder/psql ]] || continue
    version=$("$folder/postgres" --version | sed -E 's/^[^0-9]*([0-9]+).*/\1/')
    if ((version > best)); then
      best=$version
      postgres_bin=$folder
    fi
  done
  [[ -n $postgres_bin ]]
}

# find_redis: sets redis_bin; Redis from version 7, any Valkey.
find_redis() {
  local name version
  for name in redis-server valkey-server; do
    redis_bin=$(command -v "$name") || continue
    version=$("$redis_bin" --version | sed -E 's/.*v=([0-9]+).*/\1/')
    if ((version >= 7)); then return 0; fi
  done
  redis_bin=
  return 1
}

need_postgres() {
  if find_postgres; then return; fi
  if can_install; then install_packages postgresql; fi
  find_postgres || die 2 "PostgreSQL 14 or newer is not installed (initdb, postgres and psql in PATH or /usr/lib/postgresql).
  Debian, Ubuntu: apt-get install postgresql    Fedora: dnf install postgresql-server    macOS: brew install postgresql
  Or set TEST_DATABASE_URL to a database that tests may fill and empty."
}

need_redis() {
  if find_redis; then return; fi
  if can_install; then install_packages redis-server; fi
  find_redis || die 2 "Redis 7 or newer, or Valkey, is not installed (redis-server or valkey-server in PATH).
  Debian, Ubuntu: apt-get install redis-server    Fedora: dnf install valkey    macOS: brew install redis
  Or set TEST_REDIS_URL to a server that tests may fill and empty."
}

# --- PostgreSQL -------------------------------------------------------------

# PostgreSQL refuses to run as root, so root runs it as a user with fewer rights.
as_postgres_user() {
  local user=nobody
  if ((EUID != 0)); then
    "$@"
    return
  fi
  if id postgres >/dev/null 2>&1; then user=postgres; fi
  if command -v setpriv >/dev/null; then
    setpriv --reuid="$user" --regid="$(id -g "$user")" --clear-groups -- "$@"
  else
    runuser -u "$user" -- "$@"
  fi
}

# The server's own word: the eighth line of its pid file.
postgres_is_ready() {
  [[ $(sed -n 8p "$scratch/postgres/data/postmaster.pid" 2>/dev/null) == ready* ]]
}

# start_postgres [SETTING...]: sets postgres_url, a database `ferry_test` with a superuser `ferry`.
# Loopback only and no unix socket: long names of temporary folders break sockets.
# Without settings (`name=value`) it does not wait for the disk.
start_postgres() {
  local folder=$scratch/postgres log=$scratch/postgres.log port tries setting settings=()
  if (($# == 0)); then set -- fsync=off synchronous_commit=off full_page_writes=off; fi
  for setting in "$@"; do settings+=(-c "$setting"); done
  need_postgres
  mkdir "$folder"
  : >"$log"
  if ((EUID == 0)); then
    chown "$(as_postgres_user id -u):$(as_postgres_user id -g)" "$folder"
  fi
  as_postgres_user test -w "$folder" ||
    die 2 "The user for PostgreSQL can't write to $folder. Set TMPDIR to a folder that every user may enter."
  # From a folder that this user may enter, else initdb complains.
  (cd "$folder" && as_postgres_user "$postgres_bin/initdb" --pgdata=data --username=ferry \
    --auth=trust --encoding=UTF8 --locale=C --no-sync --no-instructions) </dev/null >>"$log" 2>&1 ||
    give_up "PostgreSQL (initdb)" "$log"
  for tries in 1 2 3 4 5; do
    port=$(free_port)
    start_group "$log" as_postgres_user "$postgres_bin/postgres" -D "$folder/data" -p "$port" \
      -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c max_connections=200 \
      "${settings[@]}"
    postgres_pid=$group_pid
    if await_ready PostgreSQL "$postgres_pid" "$log" postgres_is_ready; then break; fi
    end_group "$postgres_pid" INT
    postgres_pid=
    if ((tries == 5)); then give_up PostgreSQL "$log"; fi
  done
  postgres_url=postgres://ferry@127.0.0.1:$port/ferry_test
  "$postgres_bin/psql" -qX "${postgres_url%/*}/postgres" -c 'CREATE DATABASE ferry_test' \
    </dev/null >>"$log" 2>&1 || give_up "PostgreSQL (create database)" "$log"
}

# --- Redis ------------------------------------------------------------------

redis_is_ready() { grep -q 'Ready to accept connections' "$scratch/redis.log"; }

need_sqlite() {
  if command -v sqlite3 >/dev/null; then return; fi
  if can_install; then install_packages sqlite3; fi
  command -v sqlite3 >/dev/null || die 2 "sqlite3 is not installed (Debian, Ubuntu: apt-get install sqlite3)."
}

# start_redis [OPTION...]: sets redis_url. The working folder is ours; without options nothing is saved.
start_redis() {
  if (($# == 0)); then set -- --appendonly no; fi
  local log=$scratch/redis.log port tries
  need_redis
  mkdir "$scratch/redis"
  for tries in 1 2 3 4 5; do
    port=$(free_port)
    : >"$log"
    start_group "$log" "$redis_bin" --port "$port" --bind 127.0.0.1 --daemonize no \
      --save '' "$@" --dir "$scratch/redis"
    redis_pid=$group_pid
    if await_ready Redis "$redis_pid" "$log" redis_is_ready; then break; fi
    end_group "$redis_pid" TERM
    redis_pid=
    if ((tries == 5)); then give_up Redis "$log"; fi
  done
  # shellcheck disable=SC2034 # read by tests/run
  redis_url=redis://127.0.0.1:$port
}
