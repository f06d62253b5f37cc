"""docker-compose.yml: what it refers to, and its profile test."""
import os, re

import yaml

from common import check_roles, fault, grace, pinned, read, roles_of


VARIABLE = re.compile(r"\$(?:\$|(\w+)|\{(\w+)(?:(:?[-+?])((?:[^${}]|\$\{[^}]*\})*))?\})")
def interpolate(value, given, seen):
    if isinstance(value, dict): return {key: interpolate(item, given, seen) for key, item in value.items()}
    if isinstance(value, list): return [interpolate(item, given, seen) for item in value]
    if not isinstance(value, str): return value
    def one(match):
        if match[0] == "$$": return "$"
        name, how, other = match[1] or match[2], match[3] or "", match[4] or ""
        seen.add(name)
        there = given.get(name) if how.startswith(":") else (given.get(name) is not None)
        if how.endswith("-"): return given[name] if there else other
        if how.endswith("+"): return other if there else ""
        if how.endswith("?") and not there: fault(f"{name} has to be set")
        return given.get(name, "")
    return VARIABLE.sub(one, value)

DURATION = re.compile(r"(\d+(\.\d+)?(us|ms|s|m|h))+")
SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}
def seconds(text): return sum(float(n) * SECONDS[u] for n, u in re.findall(r"([\d.]+)(us|ms|s|m|h)", text))

def compose():
    raw = yaml.safe_load(read("docker-compose.yml"))
    whole = interpolate(raw, {}, set())
    services = whole["services"]
    used = {"networks": set(), "volumes": set(), "secrets": set(), "configs": set()}
    def defined(kind, name, where):
        used[kind].add(name)
        if name not in (whole.get(kind) or {}): fault(f"{where}: {kind[:-1]} '{name}' is not defined")
    for name, service in services.items():
        profiles = set(service.get("profiles", []))
        image = service.get("image", "")
        if not pinned(image): fault(f"{name}: image '{image}' is not pinned to a version")
        if not service.get("read_only"): fault(f"{name}: read_only is not set")
        if service.get("cap_drop") != ["ALL"]: fault(f"{name}: cap_drop is not [ALL]")
        if "no-new-privileges:true" not in service.get("security_opt", []): fault(f"{name}: no-new-privileges is not set")
        if "build" not in service and not re.match(r"\d+:\d+$", str(service.get("user", ""))):
            fault(f"{name}: user is not given by number")
        if "restart" not in service: fault(f"{name}: restart is not set")
        for other, how in service.get("depends_on", {}).items():
            target = services.get(other)
            if target is None: fault(f"{name}: depends_on '{other}', which is not defined"); continue
            needs = set(target.get("profiles", []))
            if needs and not (profiles and profiles <= needs):
                fault(f"{name}: depends_on '{other}', which only the profiles {sorted(needs)} start")
            health = target.get("healthcheck", {})
            if how["condition"] == "service_healthy" and (not health.get("test") or health.get("disable")):
                fault(f"{name}: waits for the health of '{other}', which has no healthcheck")
            if how["condition"] == "service_completed_successfully" and target.get("restart") in ("always", "unless-stopped"):
                fault(f"{name}: waits for the end of '{other}', which is started again")
        for network in service.get("networks", []): defined("networks", network, name)
        if not service.get("networks") and service.get("network_mode") != "none":
            fault(f"{name}: no network is named, so it would be on one with everything else")
        mounts = []
        for mount in service.get("volumes", []):
            source, target, *_ = mount.split(":")
            if source.startswith((".", "/")):
                mounts.append((source, target))
                if not os.path.exists(source): fault(f"{name}: {source} is mounted and is not there")
            else: defined("volumes", source, name)
        for kind in "secrets", "configs":
            for item in service.get(kind, []): defined(kind, item if isinstance(item, str) else item["source"], name)
        # A file that a program is told to read has to be in what is mounted.
        for word in [*service.get("command", []), *service.get("entrypoint", [])]:
            path = str(word).partition("=")[2] or str(word)
            for source, target in mounts:
                if path.startswith(target + "/") and not os.path.exists(source + path[len(target):]):
                    fault(f"{name}: {word}, and {source + path[len(target):]} is not there")
        for port in service.get("ports", []):
            match = re.fullmatch(r"(?:([\d.]+):)?(\d+):(\d+)(/tcp|/udp)?", str(port))
            if not match: fault(f"{name}: port '{port}' is not of the form ADDRESS:PORT:PORT"); continue
            if match[1] != "127.0.0.1": fault(f"{name}: port '{port}' is open to other machines")
            for number in match[2], match[3]:
                if not 0 < int(number) < 65536: fault(f"{name}: there is no port {number}")
            if all((whole["networks"].get(network) or {}).get("internal") for network in service.get("networks", [])):
                fault(f"{name}: port '{port}' is published, and it is on internal networks only")
        durations = {"stop_grace_period": service.get("stop_grace_period")}
        health = service.get("healthcheck", {})
        durations |= {key: health.get(key) for key in ("interval", "timeout", "start_period", "start_interval")}
        for key, text in durations.items():
            if text is not None and not DURATION.fullmatch(str(text)): fault(f"{name}: {key} '{text}' is no duration, as 5s or 1m30s")
        command = [str(word) for word in service.get("command", [])]
        if command[:1] == ["worker"] and seconds(service.get("stop_grace_period", "10s")) <= grace():
            fault(f"{name}: stop_grace_period is not longer than worker.grace_seconds, {grace()} s")
    for kind, names in used.items():
        for name in set(whole.get(kind) or {}) - names: fault(f"{kind[:-1]} '{name}' is used by nobody")
    workers = {name: roles_of(service["command"]) for name, service in services.items()
               if service.get("command", [])[:1] == ["worker"] and not service.get("profiles")}
    check_roles(workers)
    redis = [str(word) for word in services["redis"]["command"]]
    for words in ["--appendonly", "yes"], ["--maxmemory-policy", "noeviction"]:
        if not any(redis[at:at + 2] == words for at in range(len(redis))): fault(f"redis: {' '.join(words)} is missing")
    scraped(workers)
    profile_test(raw, whole)

def scraped(workers):
    path = "ops/prometheus/prometheus.yml"
    if not os.path.exists(path): return
    targets = {target for job in yaml.safe_load(read(path)).get("scrape_configs", [])
               for group in job.get("static_configs", []) for target in group["targets"] if target.endswith(":9464")}
    for name in set(workers) - {target.split(":")[0] for target in targets}: fault(f"{name} is no target in {path}")
    for target in targets:
        if target.split(":")[0] not in workers: fault(f"{path} has the target {target}, which is no worker here")

def profile_test(raw, whole):
    """A network of its own, nothing that lasts, no value from outside, and the guard first."""
    services = whole["services"]
    test = {name for name, service in services.items() if "test" in service.get("profiles", [])}
    def guarded(name, path=()):
        return name == "test-guard" or any(guarded(other, (*path, name)) for other in services[name].get("depends_on", {})
                                           if other in services and other not in path)
    for name in test:
        service = services[name]
        for network in service.get("networks", []):
            if not (whole["networks"].get(network) or {}).get("internal"): fault(f"{name}: network {network} is not internal")
            sharers = {other for other in services if network in services[other].get("networks", [])} - test
            if sharers: fault(f"{name}: network {network} is shared with {sorted(sharers)}")
        if service.get("ports"): fault(f"{name}: publishes ports")
        if any(not mount.startswith(".") for mount in service.get("volumes", [])): fault(f"{name}: keeps data in a volume")
        if service.get("env_file"): fault(f"{name}: reads an env_file")
        if not guarded(name): fault(f"{name}: starts without test-guard")
        seen = set()
        interpolate(raw["services"][name].get("environment", {}), {}, seen)
        if name != "test-guard" and seen: fault(f"{name}: takes {sorted(seen)} from outside")
    for name, service in services.items():
        if name in test: continue
        seen = set()
        interpolate(raw["services"][name].get("environment", {}), {}, seen)
        if seen - {"USER"}: fault(f"{name}: takes {sorted(seen)} from outside")
    guard = raw["services"]["test-guard"]["environment"]
    names = re.findall(r"\b(?:AUTH0|DATABASE|FERRY|REDIS)_\w+", read("ops/compose/refuse-production.sh"))
    for name in set(names) - set(guard): fault(f"test-guard is not told of {name}")
    for name in guard:
        value = interpolate(guard, {name: "a-value"}, set())[name]
        if value != "set" or interpolate(guard, {}, set())[name] != "":
            fault(f"test-guard gets '{value}' of {name}; it should get the word 'set', or nothing")
