# shellcheck shell=bash
# One tool on one database, for tests/tools/schema-tools, which sets what is in capitals here and
# `tools`, `scratch`, `ferry`, `table`, `key`, `column`, and ends where a `cd` fails.
# shellcheck disable=SC2034,SC2153,SC2154,SC2164

# in_database COMMAND: see database.py.
in_database() { python "$tools/database.py" "$URL" "$1" "$table" "$column"; }

psql_admin() { "$postgres_bin/psql" -qX "${postgres_url%/*}/postgres" -c "$1" >/dev/null; }

# The application's user is not called ferry: that one would find the ledger's schema first.
url_of() {
  if [[ $DB == sqlite ]]; then echo sqlite:app.db; else echo "${postgres_url/ferry@/app@}_$1"; fi
}

# ferry_there COMMAND...: with the ledger where this try has it.
ferry_there() {
  if [[ $LEDGER == beside ]]; then local -x FERRY_LEDGER_URL=$URL; fi
  DATABASE_URL=$URL "$ferry" "$@"
}

# step NAME COMMAND...: its output goes to the log of that name; the exit code is its own.
step() {
  local name=$1
  shift
  "$@" >"$log/$name.log" 2>&1
}

# What became worse between two looks, in words.
lost_between() {
  python - "$1" "$2" <<'PY'
import json, sys
before, after = map(json.loads, sys.argv[1:])
lost = []
if not after["column"]: lost.append("column with all ids")
elif after["ids"] < before["ids"]: lost.append(f"{before['ids'] - after['ids']} ids")
if after["index"] == "gone": lost.append("index")
elif after["index"] != before["index"]: lost.append("the index's WHERE")
if after["ledger"] < before["ledger"]: lost.append(f"{before['ledger'] - after['ledger']} of {before['ledger']} of the ledger's tables")
if after["people"] < before["people"]: lost.append("people")
print(", ".join(lost) or "nothing")
PY
}

# The tool's table with people in it, Ferry's column with ids.
begin() {
  cp -r "$tools/$tool" "$work"
  ln -s "$packages/node_modules" "$work/node_modules"
  cd "$work"
  grep -rlE '@(TABLE|KEY)@' --include='*.py' --include='*.ts' --include='*.js' . |
    xargs sed -i "s/@TABLE@/$table/; s/@KEY@/$key/"
  printf '[source]\ntable = "%s"\nemail_verified = "never"\n[source.columns]\nkey = "%s"\nemail = "email"\nauth0_user_id = "%s"\n' \
    "$table" "$key" "$column" >ferry.toml
  if [[ $DB == postgres ]]; then psql_admin "CREATE DATABASE ferry_test_$id OWNER app"; fi
  URL=$(url_of "$id")
  step 1-init ./drive init
  in_database people
  ferry_there migrate --app --yes >"$log/2-lines.txt" 2>"$log/2-migrate.log"
  grep -q 'its table .* is here' "$log/2-migrate.log" || die 1 "$name was not recognised: see $log."
  in_database ids
  before=$(in_database look)
}

# What the tool destroys while its model knows nothing, and whether Ferry says and mends it. In a copy.
without_lines() {
  local destroyed
  cp -r "$work" "$work-copy"
  cd "$work-copy"
  if [[ $DB == postgres ]]; then
    psql_admin "CREATE DATABASE ferry_test_${id}_copy TEMPLATE ferry_test_$id OWNER app"
    URL=$(url_of "${id}_copy")
  fi
  if [[ $tool != sequelize ]]; then step 3-difference-before ./drive diff; fi
  # What compares with the database has to see the column now, or its "no difference" says nothing.
  if [[ $tool != sequelize && $tool != django ]] && ./drive none <"$log/3-difference-before.log"; then
    die 1 "$name sees no difference where there is one: see $log."
  fi
  step 4-destroy ./drive destroy || ran+=", which then fails"
  destroyed=$(in_database look)
  lost=$(lost_between "$before" "$destroyed")
  step 5-check ferry_there check || true # Auth0 is not set up here
  if [[ $lost == *column* ]] && ! tr -s ' \n' ' ' <"$log/5-check.log" | grep -q 'run ferry migrate --app'; then
    die 1 "check does not say that the column is gone: see $log."
  fi
  mended=no
  if step 6-mend ferry_there migrate --app --yes &&
    [[ $(in_database look) == *'"column": true, "ids": '*'"index": "partial"'* ]]; then
    mended=yes
  fi
  cd "$work"
  URL=$(url_of "$id")
}

# no_difference NAME: whether the tool finds nothing to do.
no_difference() { step "$1" ./drive diff && ./drive none <"$log/$1.log"; }

# The lines are put in; then the tool does what destroyed before.
with_lines() {
  # shellcheck disable=SC2046 # names without spaces
  python "$tools/fill.py" "$log/2-lines.txt" $(./drive files) >"$log/7-then.txt"
  step 8-told ./drive told <"$log/7-then.txt" || told=no
  no_difference 9-difference || told=no
  step 10-destroy ./drive destroy || told=no
  kept=$(lost_between "$before" "$(in_database look)")
}

# A new database by the tool, whose model knows the lines: Ferry takes what is there.
made_anew() {
  cp -r "$work" "$work-anew"
  cd "$work-anew"
  rm -f app.*db*
  if [[ $DB == postgres ]]; then
    psql_admin "CREATE DATABASE ferry_test_${id}_anew OWNER app"
    URL=$(url_of "${id}_anew")
  fi
  anew=no
  if step 11-anew ./drive anew && step 12-migrate ferry_there migrate --app --yes; then
    if grep -q 'was there already' "$log/12-migrate.log"; then anew="taken as it is"; fi
    if grep -q ' added\.' "$log/12-migrate.log"; then anew="added by Ferry"; fi
    no_difference 13-difference || anew="no: a difference"
  fi
  cd "$work"
  URL=$(url_of "$id")
}

# An object that the application read before Ferry wrote its id, and saves after.
saved_later() {
  stale=–
  if ! grep -q 'stale' drive; then return; fi
  TABLE=$table COLUMN=$column step 14-stale ./drive stale || die 1 "$name could not save: see $log."
  stale=$(in_database saved)
}

# try TOOL: in a folder of its own, with DB and LEDGER set; adds a row to `results`.
try() {
  local tool=$1 where=$DB id work name ran before lost mended kept anew stale told=yes
  if [[ $LEDGER == beside ]]; then where="$DB, ledger in the same file"; fi
  work=$scratch/$tool-$DB-$LEDGER id=${tool//-/_}
  log=${logs:-$scratch/logs}/$tool-$DB-$LEDGER
  rm -rf "$log"
  mkdir -p "$log"
  IFS='|' read -r name ran < <("$tools/$tool/drive" what)
  say "== $name on $where"
  begin
  without_lines
  with_lines
  made_anew
  saved_later
  if [[ $told == no || $kept != nothing || $mended == no || $anew == no* ]]; then failed=1; fi
  results+=("| $name | $where | $ran | $lost | $mended | $told | $kept | $anew | $stale |")
  cd "$root"
}
