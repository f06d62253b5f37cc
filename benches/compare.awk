# Turns the figures of benches/compare into Markdown and one line of JSON. A line is:
#   round leg users seconds cpu_seconds peak_kib postgres_cpu redis_cpu simulator_cpu plan_cpu own_rate
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
function middle(leg, figure,    r, list) {
  for (r = 1; r <= rounds; r++) list[r] = at[r, leg, figure]
  return median(list, rounds)
}

# The median over all rounds of a figure of a leg divided by the loop's.
function ratio(leg, figure,    r, list) {
  for (r = 1; r <= rounds; r++) list[r] = at[r, leg, figure] / (at[r, "loop", figure] > 0 ? at[r, "loop", figure] : 0.01)
  return median(list, rounds)
}

function row(label, leg, r,    i, line) {
  line = "| " label " | " title[leg] " |"
  for (i = 1; i <= figures; i++)
    line = line " " sprintf(form[i], r ? at[r, leg, name[i]] : middle(leg, name[i])) " |"
  print line
}

function json_leg(leg,    i, text) {
  for (i = 1; i <= figures; i++) text = text (i > 1 ? "," : "") "\"" name[i] "\":" sprintf("%.3f", middle(leg, name[i]))
  return "{" text "}"
}

function promise(text, value, kept) { print "- " text ": " value (kept ? ", kept" : ", **missed**") }

BEGIN {
  figures = split("users seconds users_per_second cpu_seconds peak_mib postgres_cpu_seconds redis_cpu_seconds simulator_cpu_seconds plan_cpu_seconds reported_users_per_second", name, " ")
  split("%d|%.2f|%.0f|%.2f|%.1f|%.2f|%.2f|%.2f|%.2f|%.0f", form, "|")
  legs = split("loop create all", leg_of, " ")
  title["loop"] = "bare loop"
  title["create"] = "Ferry, creation only"
  title["all"] = "Ferry, all roles, until sealed"
}

{
  rounds = $1 > rounds ? $1 : rounds
  seen[++lines] = $1 " " $2
  at[$1, $2, "users"] = $3
  at[$1, $2, "seconds"] = $4
  at[$1, $2, "users_per_second"] = $4 > 0 ? $3 / $4 : 0
  at[$1, $2, "cpu_seconds"] = $5
  at[$1, $2, "peak_mib"] = $6 / 1024
  at[$1, $2, "postgres_cpu_seconds"] = $7
  at[$1, $2, "redis_cpu_seconds"] = $8
  at[$1, $2, "simulator_cpu_seconds"] = $9
  at[$1, $2, "plan_cpu_seconds"] = $10
  at[$1, $2, "reported_users_per_second"] = $11
}

END {
  print "# Ferry and a bare loop"
  print ""
  printf "%d users in the example application, %d under way at once, %d ms latency. ", users, at_once, latency
  printf "%d cores, shared by all: the simulator and PostgreSQL take theirs from both sides.\n", cores
  print ""
  print "| round | what | users | s | users/s | CPU s | peak MiB | PostgreSQL CPU s | Redis CPU s | simulator CPU s | plan CPU s | own users/s |"
  print "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
  for (l = 1; l <= lines; l++) {
    split(seen[l], key, " ")
    row(key[1], key[2], key[1])
  }
  for (l = 1; l <= legs; l++) row("**median**", leg_of[l], 0)
  print ""
  print "| against the loop | users/s | CPU s | PostgreSQL CPU s |"
  print "|---|---:|---:|---:|"
  for (l = 2; l <= legs; l++)
    printf "| %s | %.2f | %.2f | %.2f |\n", title[leg_of[l]], ratio(leg_of[l], "users_per_second"), ratio(leg_of[l], "cpu_seconds"), ratio(leg_of[l], "postgres_cpu_seconds")
  print ""
  speed = ratio("create", "users_per_second")
  cpu = ratio("create", "cpu_seconds")
  # A worker as it is started by default has all roles.
  peak = middle("all", "peak_mib")
  promise("users/s at least 0.95 of the loop's", sprintf("%.3f", speed), speed >= 0.95)
  promise("CPU seconds at most 1.10 of the loop's", sprintf("%.3f", cpu), cpu <= 1.10)
  promise("peak memory with all roles at most 25 MiB", sprintf("%.1f", peak), peak <= 25)
  print ""
  printf "{\"users\":%d,\"at_once\":%d,\"latency_ms\":%d,\"rounds\":%d,\"cores\":%d", users, at_once, latency, rounds, cores
  for (l = 1; l <= legs; l++) printf ",\"%s\":%s", leg_of[l], json_leg(leg_of[l])
  printf ",\"users_per_second_ratio\":%.3f,\"cpu_ratio\":%.3f,\"peak_mib\":%.1f", speed, cpu, peak
  printf ",\"all_users_per_second_ratio\":%.3f,\"all_cpu_ratio\":%.3f}\n", ratio("all", "users_per_second"), ratio("all", "cpu_seconds")
}
