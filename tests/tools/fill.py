"""Puts the lines that `ferry migrate --app` printed into a model: LINES FILE...

Groups of lines are divided by an empty line and begin with a comment that says where they belong.
A mark `FERRY In the class of` takes the group whose comment has these words; a mark without one is
left out. Groups that no mark takes are printed: they are for the tool's `told`."""

import re
import sys

lines, *files = sys.argv[1:]
groups = [group.split("\n", 1) for group in open(lines).read().strip().split("\n\n")]
used = set()
for file in files:
    text = []
    for line in open(file):
        mark = re.match(r"(\s*)(?:#|//) FERRY (.+)$", line.rstrip("\n"))
        if mark is None:
            text.append(line)
            continue
        for number, (comment, body) in enumerate(groups):
            if mark[2] in comment:
                used.add(number)
                text.extend(f"{mark[1]}{part}\n" for part in body.split("\n"))
    open(file, "w").writelines(text)
print("\n".join(body for number, (_, body) in enumerate(groups) if number not in used))
