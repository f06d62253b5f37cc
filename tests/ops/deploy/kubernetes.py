"""Manifests: what objects say of each other."""
import glob, os, re

import yaml

from common import check_roles, fault, grace, pinned, read, roles_of


ENUMERATIONS = {
    "protocol": {"TCP", "UDP", "SCTP"}, "policyTypes": {"Ingress", "Egress"},
    "restartPolicy": {"Always", "OnFailure", "Never"}, "imagePullPolicy": {"Always", "IfNotPresent", "Never"},
    "whenUnsatisfiable": {"DoNotSchedule", "ScheduleAnyway"}, "operator": {"In", "NotIn", "Exists", "DoesNotExist"},
    "unhealthyPodEvictionPolicy": {"IfHealthyBudget", "AlwaysAllow"}, "scheme": {"HTTP", "HTTPS"},
}
def walk(value, where=()):
    yield where, value
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items: yield from walk(item, (*where, key))

def fits(selector, labels):
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()): return False
    for term in selector.get("matchExpressions") or []:
        there = labels.get(term["key"])
        fine = {"In": there in term.get("values", []), "NotIn": there not in term.get("values", []),
                "Exists": there is not None, "DoesNotExist": there is None}.get(term["operator"], False)
        if not fine: return False
    return True

def kubernetes():
    for folder, _, names in os.walk("ops/kubernetes"):
        yamls = {name for name in names if name.endswith((".yaml", ".yml"))}
        if not yamls: continue
        if "kustomization.yaml" not in yamls: fault(f"{folder}: no kustomization.yaml"); continue
        made = yaml.safe_load(read(f"{folder}/kustomization.yaml"))
        named = [*made.get("resources", []), *(patch["path"] for patch in made.get("patches", []) if "path" in patch)]
        for name in named:
            if not os.path.exists(f"{folder}/{name}"): fault(f"{folder}/kustomization.yaml names {name}, which is not there")
        for name in yamls - {"kustomization.yaml"} - set(named):
            fault(f"{folder}/kustomization.yaml does not name {name}")
    objects(glob.glob("ops/kubernetes/base/*.yaml"))
    for path in glob.glob("ops/kubernetes/overlays/**/*.yaml", recursive=True):
        for one in yaml.safe_load_all(read(path)): single(one or {}, path)

def objects(paths):
    """A whole installation: what its objects say of each other."""
    found = [(path, one) for path in sorted(paths) for one in yaml.safe_load_all(read(path))
             if one and one["kind"] != "Kustomization"]
    at = lambda kind: [one for _, one in found if one["kind"] == kind]
    pods = {f"{one['kind']}/{one['metadata']['name']}": one["spec"]["template"] for _, one in found if one["kind"] in ("Deployment", "Job")}
    labels = [pod["metadata"].get("labels", {}) for pod in pods.values()]
    for path, one in found:
        name, spec = f"{one['kind']}/{one['metadata']['name']}", one.get("spec") or {}
        single(one, path)
        if one["kind"] == "Deployment" and not fits(spec["selector"], spec["template"]["metadata"]["labels"]):
            fault(f"{name}: the selector does not select the labels of its pods")
        if one["kind"] == "PodDisruptionBudget":
            if sum(fits(spec["selector"], label) for label in labels) != 1: fault(f"{name}: selects none or several of the deployments")
        if one["kind"] == "NetworkPolicy" and spec.get("podSelector"):
            if not any(fits(spec["podSelector"], label) for label in labels): fault(f"{name}: selects no pod")
        if one["kind"] == "HorizontalPodAutoscaler":
            target = f"{spec['scaleTargetRef']['kind']}/{spec['scaleTargetRef']['name']}"
            if target not in pods: fault(f"{name}: scales {target}, which there is not")
            if any(other["kind"] == "Deployment" and f"Deployment/{other['metadata']['name']}" == target and "replicas" in other["spec"]
                   for _, other in found): fault(f"{target}: has replicas and an autoscaler, which undo each other")
    if not any(one["spec"].get("podSelector") == {} and set(one["spec"].get("policyTypes", [])) == {"Ingress", "Egress"}
               and not one["spec"].get("ingress") and not one["spec"].get("egress") for one in at("NetworkPolicy")):
        fault("no NetworkPolicy that denies everything by default")
    accounts = {one["metadata"]["name"]: one for one in at("ServiceAccount")}
    settings = {one["metadata"]["name"] for one in at("ConfigMap")}
    for name, pod in pods.items(): check_pod(name, pod, accounts, settings)
    check_roles({name: roles_of(pod["spec"]["containers"][0]["args"]) for name, pod in pods.items() if name.startswith("Deployment/")})
    budgets = [one["spec"]["selector"] for one in at("PodDisruptionBudget")]
    for name, pod in pods.items():
        if name.startswith("Deployment/") and not any(fits(one, pod["metadata"]["labels"]) for one in budgets):
            fault(f"{name}: no PodDisruptionBudget")

def single(one, path):
    name, spec = f"{one.get('kind')}/{(one.get('metadata') or {}).get('name')}", one.get("spec") or {}
    if one.get("kind") == "Secret": fault(f"{path}: holds a Secret; refer to one that somebody else makes")
    for where, value in walk(one):
        key = where[-1] if where and isinstance(where[-1], str) else where[-2] if len(where) > 1 else None
        if key in ENUMERATIONS and isinstance(value, str) and value not in ENUMERATIONS[key]:
            fault(f"{name}: {key} '{value}' is none of {sorted(ENUMERATIONS[key])}")
        if key in ("containerPort", "port", "hostPort", "targetPort", "nodePort", "endPort") and isinstance(value, int) and not 0 < value < 65536:
            fault(f"{name}: there is no port {value}")
    if one.get("kind") == "PodDisruptionBudget" and ("minAvailable" in spec) == ("maxUnavailable" in spec):
        fault(f"{name}: needs one of minAvailable and maxUnavailable, and not both")
    if one.get("kind") == "HorizontalPodAutoscaler":
        if spec.get("minReplicas", 1) > spec["maxReplicas"]: fault(f"{name}: minReplicas is over maxReplicas")
        for metric in spec.get("metrics", []):
            kind = metric.get("type")
            part = {"External": "external", "Resource": "resource", "Pods": "pods", "Object": "object"}.get(kind)
            if part not in metric: fault(f"{name}: metric of type '{kind}' without its part"); continue
            goal = metric[part]["target"]
            field = {"Value": "value", "AverageValue": "averageValue", "Utilization": "averageUtilization"}.get(goal.get("type"))
            if field not in goal: fault(f"{name}: target of type '{goal.get('type')}' without its value")
        for way in (spec.get("behavior") or {}).values():
            for policy in way.get("policies", []):
                if policy["type"] not in ("Pods", "Percent"): fault(f"{name}: policy of type '{policy['type']}'")

def check_pod(name, pod, accounts, settings):
    spec = pod["spec"]
    account = accounts.get(spec.get("serviceAccountName"))
    if account is None: fault(f"{name}: no such ServiceAccount: {spec.get('serviceAccountName')}")
    elif account.get("automountServiceAccountToken") is not False: fault(f"its ServiceAccount hands out a token")
    if spec.get("automountServiceAccountToken") is not False: fault(f"{name}: automountServiceAccountToken is not false")
    secure = spec.get("securityContext") or {}
    if secure.get("runAsNonRoot") is not True: fault(f"{name}: runAsNonRoot is not true")
    if (secure.get("seccompProfile") or {}).get("type") != "RuntimeDefault": fault(f"{name}: seccompProfile is not RuntimeDefault")
    worker = name.startswith("Deployment/")
    if worker and spec.get("terminationGracePeriodSeconds", 30) <= grace():
        fault(f"{name}: terminationGracePeriodSeconds is not longer than worker.grace_seconds, {grace()} s")
    for spread in spec.get("topologySpreadConstraints", []):
        if not fits(spread["labelSelector"], pod["metadata"]["labels"]): fault(f"{name}: topologySpreadConstraints select other pods")
    volumes = {volume["name"] for volume in spec.get("volumes", [])}
    for one in spec["containers"]:
        if not pinned(one["image"]): fault(f"{name}: image '{one['image']}' is not pinned to a version")
        secure = one.get("securityContext") or {}
        if secure.get("allowPrivilegeEscalation") is not False: fault(f"{name}: allowPrivilegeEscalation is not false")
        if secure.get("readOnlyRootFilesystem") is not True: fault(f"{name}: readOnlyRootFilesystem is not true")
        if (secure.get("capabilities") or {}).get("drop") != ["ALL"]: fault(f"{name}: capabilities are not all dropped")
        resources = one.get("resources") or {}
        if "memory" not in resources.get("limits", {}) or not {"cpu", "memory"} <= set(resources.get("requests", {})):
            fault(f"{name}: resources need requests for cpu and memory, and a limit for memory")
        ports = {port.get("name") for port in one.get("ports", [])} | {port["containerPort"] for port in one.get("ports", [])}
        if worker and not {9464} <= ports: fault(f"{name}: port 9464 is not named")
        for probe, path in ("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz"):
            if not worker: continue
            asked = (one.get(probe) or {}).get("httpGet") or {}
            if asked.get("path") != path: fault(f"{name}: {probe} does not ask {path}")
            elif asked["port"] not in ports: fault(f"{name}: {probe} asks port '{asked['port']}', which is not named")
        for mount in one.get("volumeMounts", []):
            if mount["name"] not in volumes: fault(f"{name}: volume '{mount['name']}' is not defined")
        for source in one.get("envFrom", []):
            if "configMapRef" in source and source["configMapRef"]["name"] not in settings:
                fault(f"{name}: no such ConfigMap: {source['configMapRef']['name']}")
        for variable in one.get("env", []):
            if "value" in variable and re.search(r"(_URL|SECRET|PASSWORD|CLIENT_ID)$", variable["name"]):
                fault(f"{name}: {variable['name']} has its value here; take it from a Secret")
