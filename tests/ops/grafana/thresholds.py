"""Thresholds: each is that of its alert."""
import re

from common import fault, read
from queries import lines_of


def alerts_of_thresholds():
    alerts = {part.split("\n", 1)[0].strip(): part for part in re.split(r"^\s*- alert: ", read("ops/prometheus/alerts.yml"), flags=re.M)[1:]}
    for limit in lines_of("--limits"):
        at = f"ops/grafana/make, {limit['dashboard']}, {limit['panel']}"
        text = alerts.get(limit["alert"])
        if text is None: fault(f"{at}: there is no alert {limit['alert']}")
        else:
            expr = text.split("annotations:")[0]
            if not re.search(rf"(?<![\w.]){re.escape(limit['written'])}(?![\w.])", expr):
                fault(f"{at}: '{limit['written']}' is not in the expression of {limit['alert']}")
