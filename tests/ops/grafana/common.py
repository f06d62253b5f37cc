"""What the rules for all subjects use."""
import re

from lists import KEYS, UNITS, WORDS

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

def words(at, text):
    if not re.fullmatch(r"\S.*\.", text or ""): fault(f"{at}: the description is missing or does not end with a full stop")
    elif len(text) > 200: fault(f"{at}: the description is longer than 200 characters")
