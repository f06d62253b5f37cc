"""Rules that no schema knows. Called in the root of the tree: rules.py AREA [FILE...]."""
import sys

from common import faults
from compose import compose
from image import context, dockerfile
from kubernetes import kubernetes, objects
from systemd import systemd

AREAS = {"compose": compose, "context": context, "dockerfile": dockerfile, "kubernetes": kubernetes, "systemd": systemd}

if sys.argv[1] == "built": objects(sys.argv[2:])
else: AREAS[sys.argv[1]]()
print("\n".join(faults), end="\n" if faults else "")
sys.exit(1 if faults else 0)
