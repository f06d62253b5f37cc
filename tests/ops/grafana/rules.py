"""Rules for the dashboards. Called in the root of the tree: rules.py FILE; the queries go to that
file, as recording rules for promtool."""
import glob, json, os, re, subprocess, sys

from lists import KEYS, PANELS, SCHEMES, UNITS, WORDS

faults = []
def fault(text): faults.append(text)
def read(path):
    with open(path, encoding="utf-8") as file: return file.read()


def look(at, kind, thing):
    """Compares the keys and words of an object with the lists; whether one can go on with it."""
    if not isinstance(thing, dict):
        fault(f"{at}: {kind} is no object")
        return False
    allowed = {key.rstrip("!") for key in KEYS[kind]}
    needed = {key[:-1] for key in KEYS[kind] if key.endswith("!")}
    for key in sorted(set(thing) - allowed): fault(f"{at}: {kind} has the key '{key}', which Grafana or this check does not know")
    for key in sorted(needed - set(thing)): fault(f"{at}: {kind} has no '{key}'")
    for key in thing:
        words = WORDS.get(f"{kind} {key}")
        if words and thing[key] not in words: fault(f"{at}: {kind} has {key} '{thing[key]}', not one of {', '.join(sorted(words))}")
    return needed <= set(thing)

def source(at, thing):
    if look(at, "datasource", thing) and thing != {"type": "prometheus", "uid": "${datasource}"}:
        fault(f"{at}: the data source is {thing['uid']} and not the variable ${{datasource}}")

def unit(at, value):
    if value not in UNITS: fault(f"{at}: Grafana has no unit '{value}'")

def painted(at, color):
    if not re.fullmatch(r"#[0-9A-F]{6}", str(color)): fault(f"{at}: '{color}' is no colour like #56B4E9")

# --- metrics: those of the document, of the rules, of the application and of Prometheus

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

# --- panels

def thresholds(at, config):
    if not look(at, "thresholds", config): return
    values = [step["value"] for step in config["steps"] if look(at, "step", step)]
    for step in config["steps"]: painted(at, step.get("color"))
    if not values or values[0] is not None: fault(f"{at}: the first threshold has a value; Grafana wants null")
    elif None in values[1:] or values[1:] != sorted(set(values[1:])): fault(f"{at}: thresholds are not in order: {values}")

def mappings(at, mapping):
    if not look(at, "mapping", mapping): return
    if mapping["type"] == "range":
        if look(at, "range mapping", mapping["options"]): results = [mapping["options"]["result"]]
        else: return
    else: results = list(mapping["options"].values())
    for result in results:
        if look(at, "mapped", result): painted(at, result["color"])

def settings(at, kind, config):
    if not look(at, "fieldConfig", config): return
    defaults = config["defaults"]
    if kind == "heatmap":
        if look(at, "heatmap defaults", defaults) and look(at, "heatmap custom", defaults["custom"]):
            look(at, "scale", defaults["custom"]["scaleDistribution"])
    elif look(at, "defaults", defaults):
        unit(at, defaults["unit"])
        look(at, "color", defaults["color"])
        thresholds(at, defaults["thresholds"])
        for mapping in defaults["mappings"]: mappings(at, mapping)
        if kind in ("timeseries", "state-timeline"):
            custom = defaults.get("custom")
            if look(at, f"{kind} custom", custom) and kind == "timeseries":
                look(at, "stacking", custom["stacking"])
                look(at, "thresholds style", custom["thresholdsStyle"])
        elif "custom" in defaults: fault(f"{at}: {kind} takes no 'custom'")
        if "min" in defaults and "max" in defaults and defaults["min"] >= defaults["max"]: fault(f"{at}: min is not below max")
    for override in config["overrides"]:
        if not look(at, "override", override): continue
        if look(at, "matcher", override["matcher"]) and override["matcher"]["id"] == "byRegexp":
            form = re.fullmatch(r"/(.+)/", override["matcher"]["options"])
            if not form: fault(f"{at}: '{override['matcher']['options']}' is no /expression/")
        for one in override["properties"]:
            if not look(at, "property", one): continue
            if one["id"] == "color":
                if look(at, "color", one["value"]): painted(at, one["value"].get("fixedColor"))
            elif one["id"] == "custom.lineStyle": look(at, "line style", one["value"])

def options(at, kind, thing):
    if not look(at, f"{kind} options", thing): return
    if kind == "heatmap":
        look(at, "heatmap legend", thing["legend"])
        look(at, "heatmap tooltip", thing["tooltip"])
        if look(at, "heatmap color", thing["color"]) and thing["color"]["scheme"] not in SCHEMES:
            fault(f"{at}: the colour scheme '{thing['color']['scheme']}' is unknown or hard to read for some")
        if look(at, "cellValues", thing["cellValues"]): unit(at, thing["cellValues"]["unit"])
        look(at, "filterValues", thing["filterValues"])
        look(at, "rowsFrame", thing["rowsFrame"])
        if look(at, "yAxis", thing["yAxis"]): unit(at, thing["yAxis"]["unit"])
        return
    if "legend" in thing: look(at, "legend", thing["legend"])
    if "tooltip" in thing: look(at, "tooltip", thing["tooltip"])
    if "reduceOptions" in thing and look(at, "reduceOptions", thing["reduceOptions"]):
        if thing["reduceOptions"]["calcs"] != ["lastNotNull"]: fault(f"{at}: calcs is not lastNotNull")

def words(at, text):
    if not re.fullmatch(r"\S.*\.", text or ""): fault(f"{at}: the description is missing or does not end with a full stop")
    elif len(text) > 200: fault(f"{at}: the description is longer than 200 characters")

def panel(at, one, variables, known, queries):
    kind = one.get("type")
    if kind not in PANELS: return fault(f"{at}: '{kind}' is no type of panel known here")
    if not look(at, {"row": "row", "text": "text panel"}.get(kind, "panel"), one): return
    if not one["title"].strip(): fault(f"{at}: the title is empty")
    if kind == "row":
        if one["panels"] or one["collapsed"]: fault(f"{at}: the row is collapsed, its panels are not looked at")
        return
    words(at, one["description"])
    options(at, kind, one["options"])
    if kind == "text": return
    source(at, one["datasource"])
    settings(at, kind, one["fieldConfig"])
    if not one["targets"]: fault(f"{at}: no query")
    seen = set()
    for target in one["targets"]:
        if not look(at, "target", target): continue
        source(at, target["datasource"])
        if target["refId"] in seen: fault(f"{at}: refId {target['refId']} is there twice")
        seen.add(target["refId"])
        if target["range"] == target["instant"]: fault(f"{at}: a query is either instant or over a range")
        if target["instant"] != (kind in ("stat", "bargauge")): fault(f"{at}: {kind} with instant {target['instant']}")
        if (target["format"] == "heatmap") != (kind == "heatmap"): fault(f"{at}: {kind} with the format {target['format']}")
        query(at, target["expr"], variables, known)
        queries.append((at, target["refId"], target["expr"]))

def places(at, panels):
    taken = {}
    for one in panels:
        place = one.get("gridPos")
        name = f"{at}, {one.get('title')}"
        if not look(name, "gridPos", place): continue
        x, y, w, h = (place[key] for key in "xywh")
        if min(x, y) < 0 or w < 4 or h < 1 or x + w > 24: fault(f"{name}: it is not inside the 24 columns, or narrower than 4")
        for cell in ((column, line) for column in range(x, x + w) for line in range(y, y + h)):
            if cell in taken:
                fault(f"{name}: it overlaps '{taken[cell]}'")
                break
            taken[cell] = one.get("title")

def variables_of(at, templating):
    names = set()
    if not look(at, "templating", templating): return names
    for variable in templating["list"]:
        kind = variable.get("type")
        if kind not in ("datasource", "query"):
            fault(f"{at}: no variable of type '{kind}' is known here")
            continue
        if not look(at, f"{kind} variable", variable): continue
        if variable["name"] in names: fault(f"{at}: the variable {variable['name']} is there twice")
        names.add(variable["name"])
        look(at, "current", variable["current"])
        if kind == "datasource":
            if (variable["name"], variable["query"]) != ("datasource", "prometheus"): fault(f"{at}: the variable datasource is not of type prometheus")
        else:
            source(at, variable["datasource"])
            if look(at, "variable query", variable["query"]):
                asked = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]["query"])
                if not asked: fault(f"{at}: the variable {variable['name']} does not ask for label_values(metric, label)")
                else:
                    known.check(f"{at}, variable {variable['name']}", f'{asked[1]}{{{asked[2]}="x"}}')
                if variable["definition"] != variable["query"]["query"]: fault(f"{at}: the definition of {variable['name']} is another query")
    if "datasource" not in names: fault(f"{at}: the variable datasource is missing")
    return names

# --- dashboards

known = Known()
queries, uids, titles = [], {}, {}
paths = sorted(glob.glob("ops/grafana/dashboards/*.json"))
if not paths: fault("ops/grafana/dashboards has no dashboard")
for path in paths:
    name = os.path.basename(path)
    try: board = json.loads(read(path), object_pairs_hook=lambda pairs: pairs if len({key for key, _ in pairs}) < len(pairs) else dict(pairs))
    except ValueError as error:
        fault(f"{name}: no JSON: {error}")
        continue
    if not look(name, "dashboard", board): continue
    for what, of in (board["uid"], uids), (board["title"], titles):
        if what in of: fault(f"{name}: '{what}' is also that of {of[what]}")
        of[what] = name
    if not re.fullmatch(r"[a-z0-9-]{1,40}", board["uid"]) or f"{board['uid']}.json" != name: fault(f"{name}: the uid '{board['uid']}' is not the file's name")
    if board["id"] is not None: fault(f"{name}: id is not null, which belongs to one Grafana")
    if not isinstance(board["schemaVersion"], int) or board["schemaVersion"] < 39: fault(f"{name}: schemaVersion {board['schemaVersion']} is older than 39")
    if board["refresh"] != "10s": fault(f"{name}: refresh is not 10s")
    if board["tags"] != ["ferry"]: fault(f"{name}: the tag is not ferry")
    look(name, "time", board["time"]); look(name, "timepicker", board["timepicker"])
    if not re.fullmatch(r"now-\d+[mhd]", board["time"].get("from", "")) or board["time"].get("to") != "now": fault(f"{name}: the time range is not up to now")
    words(name, board["description"])
    links = [link for link in board["links"] if look(name, "link", link)]
    if not any(link["type"] == "dashboards" and link["tags"] == ["ferry"] for link in links): fault(f"{name}: no link to the dashboards with the tag ferry")
    variables = variables_of(name, board["templating"])
    if look(name, "annotations", board["annotations"]):
        for note in board["annotations"]["list"]:
            if not look(name, "built-in annotation" if "builtIn" in note else "annotation", note) or "builtIn" in note: continue
            source(f"{name}, annotation", note["datasource"])
            query(f"{name}, annotation", note["expr"], variables, known)
            queries.append((f"{name}, annotation {note['name']}", "A", note["expr"]))
    ids, heads, used = set(), set(), set()
    for one in board["panels"]:
        at = f"{name}, {one.get('title')}"
        if one.get("id") in ids or not isinstance(one.get("id"), int): fault(f"{at}: the id {one.get('id')} is there twice, or no number")
        ids.add(one.get("id"))
        if one.get("type") != "row":
            if one.get("title") in heads: fault(f"{at}: the title is there twice")
            heads.add(one.get("title"))
        panel(at, one, variables, known, queries)
    for at, _, expr in queries:
        if at.startswith(f"{name},"): used.update(re.findall(r"\$\{?(\w+)", expr))
    for variable in sorted(variables - used - {"datasource"}): fault(f"{name}: no panel uses the variable {variable}")
    places(name, board["panels"])

# --- provisioning: few and simple lines, so no library is needed to read them

PROVISIONED = {
    "datasources": "apiVersion datasources name uid type access url isDefault editable jsonData httpMethod timeInterval",
    "dashboards": "apiVersion providers name type folder folderUid disableDeletion allowUiUpdates updateIntervalSeconds options path",
}
DEMANDED = {
    "datasources": {"type": "prometheus", "url": "http://prometheus:9090", "apiVersion": "1"},
    "dashboards": {"type": "file", "path": "/var/lib/grafana/dashboards", "apiVersion": "1"},
}
for kind, keys in PROVISIONED.items():
    path = f"ops/grafana/provisioning/{kind}/ferry.yml"
    values = {}
    for line in read(path).splitlines():
        if not line.strip() or line.lstrip().startswith("#"): continue
        form = re.fullmatch(r"\s*(?:- )?(\w+):(?: (\S+))?", line)
        if not form: fault(f"{path}: '{line.strip()}' is no line of the form key: value")
        elif form[1] not in keys.split(): fault(f"{path}: Grafana or this check does not know the key '{form[1]}'")
        else: values[form[1]] = form[2]
    for key, value in DEMANDED[kind].items():
        if values.get(key) != value: fault(f"{path}: {key} is {values.get(key)} and not {value}")
    if kind == "datasources":
        scrape = re.search(r"^  scrape_interval: (\S+)$", read("ops/prometheus/prometheus.yml"), re.M)
        if not scrape or values.get("timeInterval") != scrape[1]: fault(f"{path}: timeInterval is not the scrape_interval of ops/prometheus/prometheus.yml")

# --- thresholds and their alerts

def lines_of(option):
    done = subprocess.run([sys.executable, "ops/grafana/make", option], capture_output=True, text=True)
    if done.returncode: fault(f"ops/grafana/make {option} fails: {done.stderr.strip().splitlines()[-1:]}")
    return [json.loads(line) for line in done.stdout.splitlines()]

alerts = {part.split("\n", 1)[0].strip(): part for part in re.split(r"^\s*- alert: ", read("ops/prometheus/alerts.yml"), flags=re.M)[1:]}
for limit in lines_of("--limits"):
    at = f"ops/grafana/make, {limit['dashboard']}, {limit['panel']}"
    text = alerts.get(limit["alert"])
    if text is None: fault(f"{at}: there is no alert {limit['alert']}")
    else:
        expr = text.split("annotations:")[0]
        if not re.search(rf"(?<![\w.]){re.escape(limit['written'])}(?![\w.])", expr):
            fault(f"{at}: '{limit['written']}' is not in the expression of {limit['alert']}")

# --- the list of queries is the dashboards'

listed = lines_of("--queries")
if len(listed) != len(queries): fault(f"ops/grafana/make --queries has {len(listed)} queries, the dashboards {len(queries)}")
for one in listed:
    at = f"ops/grafana/make --queries, {one['dashboard']}, {one['panel']}"
    if "$" in one["expr"]: fault(f"{at}: a variable is not filled in")
    asks = known.check(at, one["expr"])
    if bool(asks & known.application) != one["needs_application"]: fault(f"{at}: needs_application is {one['needs_application']}")

# --- rules for promtool

filled = {"$__rate_interval": "1m", "$__range": "1h", "$run": ".*", "$queue": ".*"}
with open(sys.argv[1], "w", encoding="utf-8") as file:
    file.write("groups:\n- name: panels\n  rules:\n")
    for number, (at, ref, expr) in enumerate(queries):
        for name, value in filled.items(): expr = expr.replace(name, value)
        file.write(f"  - record: check:query{number}\n    expr: {json.dumps(expr)}\n")
with open(sys.argv[1] + ".names", "w", encoding="utf-8") as file:
    for number, (at, ref, _) in enumerate(queries): file.write(f"check:query{number}\t{at}, query {ref}\n")

print("\n".join(dict.fromkeys(faults)), end="\n" if faults else "")
print(f"{len(paths)} dashboards, {len(queries)} queries.", file=sys.stderr)
sys.exit(1 if faults else 0)
