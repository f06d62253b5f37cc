"""Rules for the dashboards. Called in the root of the tree: rules.py FILE; the queries go to that
file, as recording rules for promtool."""
import sys

from common import faults
from metrics import Known
from provisioning import provisioning
from queries import for_promtool, same_list
from structure import dashboards
from thresholds import alerts_of_thresholds

known = Known()
number, queries = dashboards(known)
provisioning()
alerts_of_thresholds()
same_list(known, queries)
for_promtool(sys.argv[1], queries)

print("\n".join(dict.fromkeys(faults)), end="\n" if faults else "")
print(f"{number} dashboards, {len(queries)} queries.", file=sys.stderr)
sys.exit(1 if faults else 0)
