"""Units and the file of their environment."""
import glob, os, re

from common import fault, grace, read


def systemd():
    paths = glob.glob("ops/systemd/*.service")
    units = {os.path.basename(path): read(path) for path in paths}
    for name in "ferry-worker@.service", "ferry-migrate.service":
        if name not in units: fault(f"{name} is not there")
    for name, text in units.items():
        value = lambda key: (re.findall(rf"^{key}=(.*)$", text, re.M) or [None])[-1]
        if not (value("ExecStart") or "").startswith("/usr/local/bin/ferry "): fault(f"{name}: ExecStart is not /usr/local/bin/ferry")
        if not value("User") or value("User") in ("root", "0"): fault(f"{name}: User is missing, or root")
        if value("NoNewPrivileges") != "yes": fault(f"{name}: NoNewPrivileges is not yes")
        for line in re.findall(r"^Environment=.*$", text, re.M):
            if re.search(r"(PASSWORD|_URL|_SECRET)=", line): fault(f"{name}: {line} is readable by everybody")
        if "@" in name:
            # systemd has no ready message from Ferry to wait for.
            if value("Type") != "exec": fault(f"{name}: Type is not exec")
            if value("Restart") not in ("on-failure", "always"): fault(f"{name}: Restart is not on-failure or always")
            if not value("RestartSec"): fault(f"{name}: RestartSec is missing")
            stop = re.fullmatch(r"(\d+)s?", value("TimeoutStopSec") or "")
            if not stop or int(stop[1]) <= grace():
                fault(f"{name}: TimeoutStopSec is not a number of seconds over worker.grace_seconds, {grace()} s")
            if "%i" not in (value("ExecStart") or ""): fault(f"{name}: ExecStart does not take the role from the instance")
    known = set(re.findall(r"^#?([A-Z][A-Z0-9_]+)=", read(".env.sample"), re.M)) | {"FERRY_LOG"}
    for line in read("ops/systemd/ferry.env.sample").splitlines():
        if line.startswith("#") or not line.strip(): continue
        name = line.partition("=")[0]
        if not re.fullmatch(r"[A-Z][A-Z0-9_]*", name): fault(f"ferry.env.sample: '{line}' is no NAME=value")
        elif name not in known and not re.fullmatch(r"FERRY_[A-Z]+__[A-Z_]+", name): fault(f"ferry.env.sample: {name} is not in .env.sample")
