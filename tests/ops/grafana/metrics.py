"""Metrics: those of the document, of the rules, of the application and of Prometheus."""
import re

from common import fault, read


class Known:
    def __init__(self):
        self.labels, self.histograms = {}, set()
        for name, kind, labels in re.findall(r"^\| `(\w+)` \| (gauge|counter|histogram) \|([^|]*)\|", read("docs/TELEMETRY.md"), re.M):
            self.labels[name] = set(re.findall(r"`(\w+)`", labels))
            if kind == "histogram": self.histograms.add(name)
        if len(self.labels) < 40: fault(f"docs/TELEMETRY.md: only {len(self.labels)} metrics are found in its tables")
        # Rules: their labels are not known here, other than that they exist.
        self.rules = set(re.findall(r"^\s*- record: (\S+)$", read("ops/prometheus/recording.yml"), re.M))
        if not self.rules: fault("ops/prometheus/recording.yml has no rules")
        self.labels["auth_attempts_total"] = {"result"}
        self.labels["jwt_validation_seconds"] = set()
        self.histograms.add("jwt_validation_seconds")
        self.labels["ALERTS"] = {"alertname", "alertstate", "severity"}
        self.application = {"auth_attempts_total", "jwt_validation_seconds"}
        self.any_label = {"le", "job", "instance"}.union(*self.labels.values())

    def base(self, name):
        plain = re.sub(r"_(bucket|count|sum)$", "", name)
        return plain if plain in self.histograms and plain != name else name

    def check(self, at, expr):
        """The metrics of an expression. Finds unknown ones and unknown labels."""
        plain = re.sub(r'"(?:[^"\\]|\\.)*"', '""', expr)
        for label in re.findall(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)", plain):
            for word in filter(None, (word.strip() for word in label.split(","))):
                if word not in self.any_label: fault(f"{at}: no metric has the label '{word}'")
        found, unknown = set(), False
        bare = re.sub(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", " ", plain)
        bare = re.sub(r"\[[^\]]*\]", " ", bare)
        for match in re.finditer(r"([a-zA-Z_:][\w:]*)\s*(\{[^}]*\})?(\s*\()?", bare):
            name, matchers, call = match[1], match[2], match[3]
            if call or name in ("and", "or", "unless", "bool", "offset", "Inf", "NaN"): continue
            if re.match(r"\d", bare[match.start() - 1:match.start()] or " "): continue
            metric = self.base(name)
            if metric in self.histograms and metric == name: fault(f"{at}: {name} is a histogram; ask for _bucket, _count or _sum")
            if metric not in self.labels and metric not in self.rules:
                fault(f"{at}: no such metric: {name}")
                unknown = True
                continue
            found.add(metric)
            allowed = self.labels[metric] | {"le", "job", "instance"} if metric in self.labels else self.any_label
            for label in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers or ""):
                if label not in allowed: fault(f"{at}: {name} has no label '{label}'")
        if not found and not unknown: fault(f"{at}: the query asks for no metric")
        return found

# The ledger's figures come from one process that can change: the raw series is not for panels.
STORE_WIDE = {"ferry_queue_jobs", "ferry_queue_oldest_ready_age_seconds", "ferry_users", "ferry_users_remaining", "ferry_run_paused_seconds"}

def query(at, expr, variables, known):
    if not isinstance(expr, str) or not expr.strip():
        fault(f"{at}: the query is empty")
        return
    for name in re.findall(r"\$\{?(\w+)", expr):
        if name not in variables | {"__rate_interval", "__range"}: fault(f"{at}: the variable ${name} is not defined")
    for metric in known.check(at, expr) & STORE_WIDE:
        if not re.search(rf"max by \([^)]*\) \({metric}\b", expr): fault(f"{at}: {metric} without 'max by'")
    for window in re.findall(r"\[(\d+)s\]", expr):
        if int(window) < 60: fault(f"{at}: the window {window} s is shorter than four scrapes")
