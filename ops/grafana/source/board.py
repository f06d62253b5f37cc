"""A dashboard as a whole, and words that queries are put together from."""
from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Optional

from limits import *
from panels import *


@dataclass(frozen=True)
class Dashboard:
    uid: str
    title: str
    description: str
    sections: list[Section]
    variables: list[Variable] = field(default_factory=list)
    since: str = "now-3h"

    def panels(self) -> list[dict[str, Any]]:
        built: list[dict[str, Any]] = []
        top = 0
        for section in self.sections:
            built.append({"collapsed": False, "gridPos": {"h": 1, "w": 24, "x": 0, "y": top}, "id": len(built) + 1,
                          "panels": [], "title": section.title, "type": "row"})
            top += 1
            left = tallest = 0
            for panel in section.panels:
                height = panel.height or section.height
                if left + panel.width > 24:
                    top, left, tallest = top + tallest, 0, 0
                built.append({"gridPos": {"h": height, "w": panel.width, "x": left, "y": top}, "id": len(built) + 1, **panel.build()})
                left, tallest = left + panel.width, max(tallest, height)
            top += tallest
        return built

    def build(self) -> dict[str, Any]:
        return {
            "annotations": {"list": [
                {"builtIn": 1, "datasource": {"type": "grafana", "uid": "-- Grafana --"}, "enable": True, "hide": True,
                 "iconColor": SKY, "name": "Annotations & Alerts", "type": "dashboard"},
                {"datasource": SOURCE, "enable": True, "expr": FIRING.expr, "hide": False, "iconColor": RED,
                 "name": "Alerts", "step": "60s", "tagKeys": "severity", "textFormat": "", "titleFormat": "{{alertname}}"},
            ]},
            "description": self.description, "editable": True, "fiscalYearStartMonth": 0, "graphTooltip": 1, "id": None,
            "links": [{"asDropdown": False, "icon": "external link", "includeVars": False, "keepTime": True, "tags": ["ferry"],
                       "targetBlank": False, "title": "", "tooltip": "", "type": "dashboards", "url": ""}],
            "panels": self.panels(), "refresh": "10s",
            # The schema of Grafana 11; 12 and newer migrate it when they load it.
            "schemaVersion": 39,
            "tags": ["ferry"], "templating": {"list": [DATASOURCE, *(variable.build() for variable in self.variables)]},
            "time": {"from": self.since, "to": "now"}, "timepicker": {}, "timezone": "browser",
            "title": self.title, "uid": self.uid, "version": 1, "weekStart": "",
        }

    def text(self) -> str:
        return json.dumps(self.build(), indent=2, ensure_ascii=False, sort_keys=True) + "\n"

    def queries(self) -> list[dict[str, Any]]:
        asked: list[tuple[str, str, bool, Query]] = []
        for section in self.sections:
            for panel in section.panels:
                asked += [(panel.title, chr(ord("A") + number), panel.kind in ("stat", "bargauge"), query)
                          for number, query in enumerate(panel.queries)]
        asked.append(("Alerts (annotation)", "A", False, FIRING))
        return [{
            "dashboard": self.title, "panel": title, "ref": ref, "kind": "instant" if instant else "range",
            "expr": filled_in(query.expr), "empty_when_quiet": query.quiet, "needs_application": query.application,
        } for title, ref, instant, query in asked]


def filled_in(expr: str) -> str:
    for name, value in ("$__rate_interval", "1m"), ("$__range", "1h"), ("$run", ".*"), ("$queue", ".*"):
        expr = expr.replace(name, value)
    return expr


def share(part: str, whole: str) -> str:
    return f"{part} / ({whole} > 0)"


def quantile(of: str, metric: str, by: str, matchers: str = "", window: str = "10m") -> str:
    labels = f"{by}, le" if by else "le"
    return f"histogram_quantile({of}, sum by ({labels}) (rate({metric}_bucket{matchers}[{window}])))"


def quantiles(metric: str, by: str, matchers: str = "", window: str = "10m", *, application: bool = False) -> list[Query]:
    legend = f"{{{{{by}}}}} " if by else ""
    return [Query(quantile(of, metric, by, matchers, window), legend + name, quiet=True, application=application)
            for name, of in (("p50", "0.5"), ("p95", "0.95"), ("p99", "0.99"))]


def of_ferry(expr: str) -> str:
    """Leaves out the processes of others that the same Prometheus scrapes."""
    return f"{expr} and on (job, instance) ferry_build_info"
