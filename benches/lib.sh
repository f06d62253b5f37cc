# shellcheck shell=bash
# What measurements share. Sourced after tests/lib.sh; `open_world` comes before the rest.

# open_world: the temporary folder, and nothing of what an operator has set for his own servers: that
# must not be measured, nor filled.
open_world() {
  local name
  for name in $(compgen -e); do
    case $name in
      DATABASE_URL | DATABASE_URL_FILE | REDIS_URL | REDIS_URL_FILE | AUTH0_* | FERRY_* | OTEL_* | BARE_LOOP_*) unset "$name" ;;
    esac
  done
  open_scratch
  mkdir "$scratch/empty"
  : >"$scratch/talk.log"
  : >"$scratch/worker.log"
  export AUTH0_CLIENT_ID=ferry AUTH0_CLIENT_SECRET=simulated AUTH0_PLAN=off
}

# build_ferry [OPTION...]: in release, with what else cargo is asked for; sets ferry.
build_ferry() {
  command -v cargo >/dev/null ||
    die 2 "cargo is not in PATH. Install Rust with rustup (https://rustup.rs), then start again."
  cargo build --release --locked --bin ferry "$@" --message-format=json-render-diagnostics \
    </dev/null >"$scratch/build.json"
  ferry=$(built ferry)
}

# built NAME: where cargo put a program of the last build.
built() {
  local program
  program=$(grep -F "\"name\":\"$1\"" "$scratch/build.json" |
    sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)
  [[ -x $program ]] || die 1 "cargo did not say where it put $1."
  printf '%s\n' "$program"
}

# sql STATEMENT: rows without decoration, from the database that is measured.
sql() { "$postgres_bin/psql" -qAtX -v ON_ERROR_STOP=1 "${DATABASE_URL:-${postgres_url%/*}/postgres}" -c "$1" </dev/null; }

# ours ARGUMENTS...: Ferry, in a folder without a settings file; what it says on the way goes to the log.
ours() {
  (cd "$scratch/empty" && "$ferry" "$@") </dev/null 2>>"$scratch/talk.log" ||
    give_up "ferry $1" "$scratch/talk.log"
}

simulator_is_ready() { grep -q 'ready at' "$scratch/simulator.log"; }

# start_simulator LATENCY: without limits; sets simulator_pid and AUTH0_BASE_URL.
start_simulator() {
  : >"$scratch/simulator.log"
  cd "$scratch/empty"
  start_group "$scratch/simulator.log" "$ferry" simulate --listen 127.0.0.1:0 --limits off \
    --latency "$1" --client-id ferry --client-secret simulated
  cd "$root"
  simulator_pid=$group_pid
  await_ready "The simulator" "$simulator_pid" "$scratch/simulator.log" simulator_is_ready ||
    give_up "The simulator" "$scratch/simulator.log"
  AUTH0_BASE_URL=$(sed -n 's/.*ready at \(http[^ ]*\).*/\1/p' "$scratch/simulator.log")
  export AUTH0_BASE_URL
}

# start_run [OPTION...]: of all users of the example application.
start_run() { ours run start "$DATABASE_URL" --preset medlogistics --email-verified assume --yes "$@"; }
