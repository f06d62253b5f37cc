"""Panels: their keys, their words and where they ask."""
import re

from common import fault, look, painted, source, unit, words
from lists import PANELS, SCHEMES
from metrics import query


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
