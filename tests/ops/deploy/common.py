"""What the rules for all areas use."""
import re

faults = []
def fault(text): faults.append(text)
def read(path):
    with open(path, encoding="utf-8") as file: return file.read()

ROLES = {"provision", "verify", "report", "relay"}
def grace():
    return int(re.search(r"^grace_seconds = (\d+)", read("src/settings.default.toml"), re.M)[1])
def pinned(image):
    name, _, tag = image.rpartition(":")
    if "@sha256:" in image: return True
    return bool(name) and "/" not in tag and bool(re.search(r"\d", tag)) and tag != "latest"
def roles_of(words):
    words = [str(word) for word in words]
    return set(words[words.index("--roles") + 1].split(",")) if "--roles" in words else set(ROLES)
def check_roles(found):
    all_roles = set()
    for name, roles in found.items():
        for role in roles - ROLES: fault(f"{name} has the role '{role}', which there is not")
        all_roles |= roles
    for role in ROLES - all_roles: fault(f"no process has the role {role}")
