"""Structure: each dashboard as a whole, its variables and where its panels are."""
import glob, json, os, re

from common import fault, look, read, source, words
from metrics import query
from panels import panel


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

def variables_of(at, templating, known):
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

def dashboards(known):
    """Looks at every dashboard; how many there are, and their queries."""
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
        variables = variables_of(name, board["templating"], known)
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
    return len(paths), queries
