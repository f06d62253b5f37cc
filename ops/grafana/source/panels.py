"""What a panel and a dashboard consist of, as Grafana writes it."""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Optional

from limits import *


@dataclass(frozen=True)
class Query:
    expr: str
    legend: str = ""
    # No series while nothing of its kind happens: before the first request, without a limit, after a run.
    quiet: bool = False
    # No series before the application that is moved exports its own metrics.
    application: bool = False


@dataclass(frozen=True)
class Panel:
    title: str
    description: str
    queries: list[Query]
    unit: str
    width: int
    height: int = 0
    limits: list[Limit] = field(default_factory=list)
    # The colour below the first limit.
    base: str = GOOD
    decimals: Optional[int] = None
    low: Optional[float] = None
    high: Optional[float] = None

    kind = ""

    def steps(self) -> list[dict[str, Any]]:
        steps: list[dict[str, Any]] = [{"color": self.base, "value": None}]
        for limit in sorted(self.limits, key=lambda limit: limit.value):
            if steps[-1]["value"] != limit.value:
                steps.append({"color": limit.color, "value": limit.value})
        return steps

    def defaults(self) -> dict[str, Any]:
        defaults: dict[str, Any] = {"mappings": [], "thresholds": {"mode": "absolute", "steps": self.steps()}, "unit": self.unit}
        for key, value in ("decimals", self.decimals), ("min", self.low), ("max", self.high):
            if value is not None:
                defaults[key] = value
        return defaults

    def targets(self, instant: bool, form: str = "time_series") -> list[dict[str, Any]]:
        return [{
            "datasource": SOURCE, "editorMode": "code", "expr": query.expr, "format": form, "instant": instant,
            "legendFormat": query.legend or "__auto", "range": not instant, "refId": chr(ord("A") + number),
        } for number, query in enumerate(self.queries)]

    def object(self, targets: list[dict[str, Any]], options: dict[str, Any], config: dict[str, Any],
               overrides: Optional[list[dict[str, Any]]] = None) -> dict[str, Any]:
        return {
            "datasource": SOURCE, "description": self.description,
            "fieldConfig": {"defaults": config, "overrides": overrides or []},
            "options": options, "targets": targets, "title": self.title, "type": self.kind,
        }


def colored(name: str, color: str) -> dict[str, Any]:
    return {"matcher": {"id": "byName", "options": name},
            "properties": [{"id": "color", "value": {"fixedColor": color, "mode": "fixed"}}]}


def matching(expression: str, *properties: tuple[str, Any]) -> dict[str, Any]:
    return {"matcher": {"id": "byRegexp", "options": f"/{expression}/"},
            "properties": [{"id": key, "value": value} for key, value in properties]}


@dataclass(frozen=True)
class Words:
    """Words instead of numbers, so that the colour is not the only sign."""
    by_value: dict[int, tuple[str, str]]
    from_two: Optional[tuple[str, str]] = None

    def mappings(self) -> list[dict[str, Any]]:
        mappings: list[dict[str, Any]] = [{"type": "value", "options": {
            str(value): {"color": color, "index": index, "text": text}
            for index, (value, (text, color)) in enumerate(self.by_value.items())}}]
        if self.from_two:
            text, color = self.from_two
            mappings.append({"type": "range", "options": {
                "from": 2, "result": {"color": color, "index": len(self.by_value), "text": text}, "to": None}})
        return mappings


OPEN = Words({0: ("closed", GOOD), 1: ("open", BAD)})
UP = Words({0: ("down", BAD), 1: ("up", GOOD)})
READY = Words({0: ("not ready", BAD), 1: ("ready", GOOD)})
PRESENT = Words({0: ("none", BAD), 1: ("present", GOOD)}, ("several", WARN))


@dataclass(frozen=True)
class Stat(Panel):
    """One number as it is now. It asks for the present moment, so a series that has gone shows nothing."""
    words: Optional[Words] = None
    nothing: str = "–"
    kind = "stat"

    def build(self) -> dict[str, Any]:
        config = {"color": {"mode": "thresholds"}, **self.defaults(), "noValue": self.nothing}
        if self.words:
            config["mappings"] = self.words.mappings()
        options = {
            "colorMode": "value", "graphMode": "none", "justifyMode": "auto", "orientation": "auto",
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "showPercentChange": False, "textMode": "auto", "wideLayout": True,
        }
        return self.object(self.targets(instant=True), options, config)


@dataclass(frozen=True)
class Bars(Panel):
    """A bar for each series, as it is now."""
    nothing: str = "–"
    kind = "bargauge"

    def build(self) -> dict[str, Any]:
        config = {"color": {"mode": "thresholds"}, **self.defaults(), "noValue": self.nothing}
        options = {
            "displayMode": "basic", "legend": {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": False},
            "maxVizHeight": 60, "minVizHeight": 20, "minVizWidth": 8, "namePlacement": "auto", "orientation": "horizontal",
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "showUnfilled": True, "sizing": "auto", "valueMode": "color",
        }
        return self.object(self.targets(instant=True), options, config)


@dataclass(frozen=True)
class Lines(Panel):
    """Values over time."""
    colors: dict[str, str] = field(default_factory=dict)
    stacked: bool = False
    # Colours by the first word of a series; its last word, p50, p95 or p99, decides between dots, dashes and a line.
    quantiles: bool = False
    # Series whose names begin like this are dashed.
    dashed: str = ""
    kind = "timeseries"

    def overrides(self) -> list[dict[str, Any]]:
        dash = {"dash": [8, 6], "fill": "dash"}
        if self.quantiles:
            return [
                *(matching(f"^{name} ", ("color", {"fixedColor": color, "mode": "fixed"})) for name, color in self.colors.items()),
                matching(" p50$", ("custom.lineStyle", {"dash": [2, 6], "fill": "dot"})),
                matching(" p95$", ("custom.lineStyle", dash)),
            ]
        if self.dashed:
            return [
                *(matching(f" {name}$", ("color", {"fixedColor": color, "mode": "fixed"})) for name, color in self.colors.items()),
                matching(f"^{self.dashed}", ("custom.lineStyle", dash), ("custom.fillOpacity", 0)),
            ]
        return [colored(name, color) for name, color in self.colors.items()]

    def build(self) -> dict[str, Any]:
        config = {
            "color": {"mode": "palette-classic"},
            "custom": {
                "axisPlacement": "auto", "drawStyle": "line", "fillOpacity": 60 if self.stacked else 8, "gradientMode": "none",
                "lineInterpolation": "linear", "lineWidth": 1 if self.stacked else 2, "showPoints": "never", "spanNulls": False,
                "stacking": {"group": "A", "mode": "normal" if self.stacked else "none"},
                "thresholdsStyle": {"mode": "dashed" if self.limits else "off"},
            },
            **self.defaults(),
        }
        options = {
            "legend": {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }
        return self.object(self.targets(instant=False), options, config, self.overrides())


@dataclass(frozen=True)
class Timeline(Panel):
    """States over time, one line for each series."""
    words: Words = READY
    kind = "state-timeline"

    def build(self) -> dict[str, Any]:
        config = {
            "color": {"mode": "thresholds"}, "custom": {"fillOpacity": 80, "lineWidth": 0},
            **self.defaults(), "mappings": self.words.mappings(),
        }
        options = {
            "alignValue": "left", "legend": {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": True},
            "mergeValues": True, "rowHeight": 0.8, "showValue": "auto", "tooltip": {"mode": "single", "sort": "none"},
        }
        return self.object(self.targets(instant=False), options, config)


@dataclass(frozen=True)
class Heatmap(Panel):
    """How often which duration occurred; the scheme is readable with any kind of colour blindness."""
    kind = "heatmap"

    def build(self) -> dict[str, Any]:
        config = {"custom": {"scaleDistribution": {"type": "linear"}}}
        options = {
            "calculate": False, "cellGap": 1, "cellValues": {"unit": "short"},
            "color": {"exponent": 0.5, "fill": "dark-orange", "mode": "scheme", "reverse": False, "scale": "exponential",
                      "scheme": "Cividis", "steps": 64},
            "filterValues": {"le": 1e-9}, "legend": {"show": True}, "rowsFrame": {"layout": "auto"}, "showValue": "never",
            "tooltip": {"mode": "single", "showColorScale": False, "yHistogram": True},
            "yAxis": {"axisPlacement": "left", "reverse": False, "unit": self.unit},
        }
        return self.object(self.targets(instant=False, form="heatmap"), options, config)


@dataclass(frozen=True)
class Text:
    title: str
    content: str
    width: int
    height: int
    queries: tuple[Query, ...] = ()
    kind = "text"
    limits: tuple[Limit, ...] = ()

    def build(self) -> dict[str, Any]:
        return {"description": "What this dashboard needs before it shows anything.", "title": self.title, "type": "text",
                "options": {"content": self.content, "mode": "markdown"}}


@dataclass(frozen=True)
class Section:
    """A row of Grafana with its panels, which fill lines of 24 columns from left to right."""
    title: str
    height: int
    panels: list[Any]


@dataclass(frozen=True)
class Variable:
    name: str
    label: str
    query: str

    def build(self) -> dict[str, Any]:
        return {
            "allValue": ".*", "current": {"selected": True, "text": ["All"], "value": ["$__all"]}, "datasource": SOURCE,
            "definition": self.query, "hide": 0, "includeAll": True, "label": self.label, "multi": True, "name": self.name,
            "options": [], "query": {"qryType": 1, "query": self.query, "refId": "PrometheusVariableQueryEditor-VariableQuery"},
            "refresh": 2, "regex": "", "skipUrlSync": False, "sort": 2, "type": "query",
        }


DATASOURCE = {
    "current": {}, "hide": 0, "includeAll": False, "label": "Data source", "multi": False, "name": "datasource", "options": [],
    "query": "prometheus", "refresh": 1, "regex": "", "skipUrlSync": False, "type": "datasource",
}
RUN = Variable("run", "Run", "label_values(ferry_users_remaining, run)")
QUEUE = Variable("queue", "Queue", "label_values(ferry_queue_jobs, queue)")
FIRING = Query('ALERTS{alertname=~"Ferry.+", alertstate="firing"}', quiet=True)
