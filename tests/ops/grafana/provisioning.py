"""Provisioning: few and simple lines, so no library is needed to read them."""
import re

from common import fault, read

PROVISIONED = {
    "datasources": "apiVersion datasources name uid type access url isDefault editable jsonData httpMethod timeInterval",
    "dashboards": "apiVersion providers name type folder folderUid disableDeletion allowUiUpdates updateIntervalSeconds options path",
}
DEMANDED = {
    "datasources": {"type": "prometheus", "url": "http://prometheus:9090", "apiVersion": "1"},
    "dashboards": {"type": "file", "path": "/var/lib/grafana/dashboards", "apiVersion": "1"},
}

def provisioning():
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
