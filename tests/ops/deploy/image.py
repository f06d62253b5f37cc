"""Dockerfile and .dockerignore."""
import os, re, shlex

from common import fault, pinned, read


def instructions():
    text = re.sub(r"^\s*#.*\n", "", read("Dockerfile"), flags=re.M).replace("\\\n", " ")
    for line in text.splitlines():
        if line.strip():
            word, _, rest = line.strip().partition(" ")
            yield word.upper(), rest.strip()

def ignored(path):
    """By .dockerignore; the last pattern that fits decides, as for docker."""
    out = False
    for line in read(".dockerignore").splitlines():
        line = line.strip()
        if not line or line.startswith("#"): continue
        keep, pattern = line.startswith("!"), line.lstrip("!").strip("/")
        regex = re.escape(pattern).replace(r"\*\*/", "(.*/)?").replace(r"\*", "[^/]*")
        if re.match(rf"{regex}(/.*)?$", path): out = not keep
    return out

def copied():
    for word, rest in instructions():
        if word == "COPY" and "--from" not in rest:
            yield from [source.strip("/") for source in shlex.split(rest)[:-1] if not source.startswith("--")]

def context():
    """Files that COPY finds in the context, one a line."""
    for source in copied():
        if os.path.isfile(source): print(source)
        for folder, _, names in os.walk(source):
            for name in names:
                path = os.path.join(folder, name)
                if not ignored(path): print(path)

def dockerfile():
    stages, last, channel = set(), None, re.search(r'channel = "(.+)"', read("rust-toolchain.toml"))[1]
    version = re.search(r'^version = "(.+)"', read("Cargo.toml"), re.M)[1]
    words = {}
    for word, rest in instructions():
        if word == "FROM":
            parts, words = rest.split(), {}
            image, last = parts[0], parts[0]
            if image not in stages and image != "scratch" and not pinned(image):
                fault(f"Dockerfile: FROM {image} is not pinned to a version")
            if image.startswith("rust:") and image[5:].split("-")[0] != channel:
                fault(f"Dockerfile: FROM {image}, and rust-toolchain.toml has {channel}")
            if len(parts) == 3: stages.add(parts[2])
        elif word == "ADD": fault(f"Dockerfile: ADD {rest}; use COPY")
        elif word == "RUN" and re.search(r"cargo (build|install)", rest) and "--locked" not in rest:
            fault("Dockerfile: cargo without --locked")
        elif word == "ARG" and rest.startswith("VERSION=") and rest[8:] != version:
            fault(f"Dockerfile: ARG {rest}, and Cargo.toml has {version}")
        elif word == "COPY":
            stage = re.search(r"--from=(\S+)", rest)
            if stage and stage[1] not in stages: fault(f"Dockerfile: COPY --from={stage[1]}, and there is no such stage")
        words[word] = rest
    if last != "scratch" and "distroless" not in last: fault(f"Dockerfile: the last stage is {last}, which has a shell")
    if not re.fullmatch(r"[1-9]\d*(:[1-9]\d*)?", words.get("USER", "")):
        fault("Dockerfile: the last stage has no USER by number, or it is root")
    for word in "ENTRYPOINT", "CMD":
        if not words.get(word, "").startswith("["): fault(f"Dockerfile: {word} needs the form of a list, there is no shell")
    if "CMD [" not in words.get("HEALTHCHECK", ""): fault("Dockerfile: no HEALTHCHECK, or one that needs a shell")
    for source in copied():
        if not os.path.exists(source): fault(f"Dockerfile: COPY {source}, which is not there")
        elif ignored(source): fault(f"Dockerfile: COPY {source}, which .dockerignore leaves out")
    # cargo metadata passes without them, cargo build does not.
    for kind, name in re.findall(r'^\[\[(bench|test|example)\]\]\nname = "(.+)"\n(?!path)', read("Cargo.toml"), re.M):
        folder = {"bench": "benches", "test": "tests", "example": "examples"}[kind]
        if not any(source.split("/")[0] == folder for source in copied()):
            fault(f"Dockerfile: Cargo.toml names {name}, and {folder} is not copied")
    for path in ".env", ".git/config", "target/release/ferry", "crates/x/.env", "crates/x/target/debug/x", "ferry.toml", "users.csv":
        if not ignored(path): fault(f".dockerignore: {path} would be in the context")
