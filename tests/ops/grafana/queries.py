"""Queries: the list of ops/grafana/make, and rules for promtool."""
import json, subprocess, sys

from common import fault


def lines_of(option):
    done = subprocess.run([sys.executable, "ops/grafana/make", option], capture_output=True, text=True)
    if done.returncode: fault(f"ops/grafana/make {option} fails: {done.stderr.strip().splitlines()[-1:]}")
    return [json.loads(line) for line in done.stdout.splitlines()]

def same_list(known, queries):
    """The list of queries is the dashboards'."""
    listed = lines_of("--queries")
    if len(listed) != len(queries): fault(f"ops/grafana/make --queries has {len(listed)} queries, the dashboards {len(queries)}")
    for one in listed:
        at = f"ops/grafana/make --queries, {one['dashboard']}, {one['panel']}"
        if "$" in one["expr"]: fault(f"{at}: a variable is not filled in")
        asks = known.check(at, one["expr"])
        if bool(asks & known.application) != one["needs_application"]: fault(f"{at}: needs_application is {one['needs_application']}")

def for_promtool(path, queries):
    filled = {"$__rate_interval": "1m", "$__range": "1h", "$run": ".*", "$queue": ".*"}
    with open(path, "w", encoding="utf-8") as file:
        file.write("groups:\n- name: panels\n  rules:\n")
        for number, (at, ref, expr) in enumerate(queries):
            for name, value in filled.items(): expr = expr.replace(name, value)
            file.write(f"  - record: check:query{number}\n    expr: {json.dumps(expr)}\n")
    with open(path + ".names", "w", encoding="utf-8") as file:
        for number, (at, ref, _) in enumerate(queries): file.write(f"check:query{number}\t{at}, query {ref}\n")
