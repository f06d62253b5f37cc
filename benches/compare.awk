# Turns the figures of benches/compare into Markdown and lines of JSON. A line is:
#   size round leg users seconds cpu_seconds peak_kib postgres_cpu redis_cpu simulator_cpu plan_cpu plan_seconds own_rate
# A ratio is taken within its round, where both sides met the same machine; then the
# median of the ratios, which one disturbed round does not move.

function median(values, count,    i, j, value) {
  for (i = 2; i <= count; i++) {
    value = values[i]
    for (j = i - 1; j > 0 && values[j] > value; j--) values[j + 1] = values[j]
    values[j + 1] = value
  }
  return count % 2 ? values[(count + 1) / 2] : (values[count / 2] + values[count / 2 + 1]) / 2
}

# The median over all rounds of one figure of a leg.
function middle(size, leg, figure,    r, list) {
  for (r = 1; r <= rounds; r++) list[r] = at[size, r, leg, figure]
  return median(list, rounds)
}

# Ratios to the leg `base` in all rounds: sets low, high, and returns the median.
function ratio(size, leg, figure,    r, list, under) {
  for (r = 1; r <= rounds; r++) {
    under = at[size, r, base, figure]
    list[r] = at[size, r, leg, figure] / (under > 0 ? under : 0.01)
  }
  r = median(list, rounds)
  low = list[1]
  high = list[rounds]
  return r
}

function spread(value) { return sprintf("%.2f (%.2f to %.2f)", value, low, high) }

function row(label, size, leg, r,    i, line) {
  line = "| " label " | " title[leg] " |"
  for (i = 1; i <= figures; i++)
    line = line " " sprintf(form[i], r ? at[size, r, leg, name[i]] : middle(size, leg, name[i])) " |"
  print line
}

function json_leg(size, leg,    i, text) {
  for (i = 1; i <= figures; i++)
    text = text (i > 1 ? "," : "") "\"" name[i] "\":" sprintf("%.3f", middle(size, leg, name[i]))
  return "{" text "}"
}

function table(size,    r, l, q) {
  printf "\n## %d users\n\n", size
  print "| round | what | users | s | users/s | CPU µs/user | peak MiB | PostgreSQL CPU µs/user | Redis CPU s | simulator CPU s | plan CPU s | plan s | own users/s |"
  print "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
  for (r = 1; r <= rounds; r++) for (l = 1; l <= many; l++) row(r, size, leg_of[l], r)
  for (l = 1; l <= many; l++) row("**median**", size, leg_of[l], 0)
  print ""
  print "| against " title[base] ": median (lowest to highest) | users/s | CPU | PostgreSQL CPU |"
  print "|---|---:|---:|---:|"
  for (l = 1; l <= many; l++) if (leg_of[l] != base) {
    printf "| %s", title[leg_of[l]]
    for (q = 1; q <= 3; q++) printf " | %s", spread(ratio(size, leg_of[l], compared[q]))
    print " |"
  }
}

function growth(    l, s) {
  if (sizes < 2) return
  printf "\n## Growth: users/s against %d users, medians\n\n| what |", size_of[1]
  for (s = 2; s <= sizes; s++) printf " %d |", size_of[s]
  printf "\n|---|"
  for (s = 2; s <= sizes; s++) printf "---:|"
  print ""
  for (l = 1; l <= many; l++) {
    printf "| %s |", title[leg_of[l]]
    for (s = 2; s <= sizes; s++)
      printf " %.2f |", middle(size_of[s], leg_of[l], "users_per_second") / middle(size_of[1], leg_of[l], "users_per_second")
    print ""
  }
}

BEGIN {
  figures = split("users seconds users_per_second cpu_us peak_mib postgres_cpu_us redis_cpu_seconds simulator_cpu_seconds plan_cpu_seconds plan_seconds reported_users_per_second", name, " ")
  split("%d|%.2f|%.0f|%.1f|%.1f|%.1f|%.2f|%.2f|%.2f|%.2f|%.0f", form, "|")
  split("users_per_second cpu_us postgres_cpu_us", compared, " ")
  many = split(legs, leg_of, " ")
  title["loop"] = "loop, user by user"
  title["grouped"] = "loop, in groups"
  title["create"] = "Ferry, creation only"
  title["metrics"] = "the same, metrics read each second"
  title["traces"] = "the same, traces, of 1 % of the users"
  title["traces_of_all"] = "the same, traces, of all users"
  title["all"] = "Ferry, all roles, until sealed"
}

{
  if (!(($1) in known)) { known[$1] = 1; size_of[++sizes] = $1 }
  rounds = $2 > rounds ? $2 : rounds
  at[$1, $2, $3, "users"] = $4
  at[$1, $2, $3, "seconds"] = $5
  at[$1, $2, $3, "users_per_second"] = $5 > 0 ? $4 / $5 : 0
  at[$1, $2, $3, "cpu_us"] = $6 / $4 * 1e6
  at[$1, $2, $3, "peak_mib"] = $7 / 1024
  at[$1, $2, $3, "postgres_cpu_us"] = $8 / $4 * 1e6
  at[$1, $2, $3, "redis_cpu_seconds"] = $9
  at[$1, $2, $3, "simulator_cpu_seconds"] = $10
  at[$1, $2, $3, "plan_cpu_seconds"] = $11
  at[$1, $2, $3, "plan_seconds"] = $12
  at[$1, $2, $3, "reported_users_per_second"] = $13
}

END {
  print "# Ferry and a bare loop"
  print ""
  printf "%d under way at once, %d ms latency, %d rounds. ", at_once, latency, rounds
  printf "%d cores, shared by all: the simulator and %s take theirs from both sides.\n", cores, database
  for (s = 1; s <= sizes; s++) table(size_of[s])
  growth()
  print ""
  for (s = 1; s <= sizes; s++) {
    printf "{\"database\":\"%s\",\"users\":%d,\"at_once\":%d,\"latency_ms\":%d,\"rounds\":%d,\"cores\":%d", database, size_of[s], at_once, latency, rounds, cores
    for (l = 1; l <= many; l++) printf ",\"%s\":%s", leg_of[l], json_leg(size_of[s], leg_of[l])
    for (l = 1; l <= many; l++) if (leg_of[l] != base)
      printf ",\"%s_ratio\":%.3f", leg_of[l], ratio(size_of[s], leg_of[l], "users_per_second")
    print "}"
  }
}
