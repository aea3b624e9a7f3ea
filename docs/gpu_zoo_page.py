"""Writes the table of the page "The zoo of GPU mistakes" from the published score.

The score is that of the last whole run (``etude zoo run --gpu --json``), and lies beside the
programs. Nothing here runs them, and the plugin need not be installed.
"""

import json
import sys
from collections import defaultdict
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "plugins/etude-cuda/src"))

from etude_cuda.zoo import PUBLISHED, animals


def table():
    """Rates, a row for each kind of finding, and the programs that were judged wrongly."""
    score = json.loads(PUBLISHED.read_text(encoding="ascii"))
    known = animals()
    by = defaultdict(list)
    for fate in score["fates"]:
        by[" and ".join(known[fate["name"]].kinds) or "nothing: these only look wrong"].append(fate)
    out = [f"**{score['sentence']}.** Seed {score['seed']}, {score['date']}.", "",
           "| to be found | programs | lines | found | right ones accused |",
           "| --- | ---: | ---: | ---: | ---: |"]
    for kinds, fates in sorted(by.items()):
        wrong = [f for f in fates if f["variant"] == "wrong"]
        lines = sum(f["expected"] for f in wrong)
        found = lines - sum(len(f["missing"]) for f in wrong)
        accused = sum(f["outcome"] == "alarm" for f in fates)
        out.append(f"| {kinds} | {len(wrong) or len(fates)} | {lines or ''} | "
                   f"{found if lines else ''} | {accused} |")
    bad = [f for f in score["fates"] if f["outcome"] not in ("found", "clean")]
    out += ["", "Judged wrongly:", ""] if bad else []
    out += [f"- `{f['name']}` ({f['variant']}): {f['outcome']}. {'; '.join(f['missing'])}"
            for f in bad]
    return "\n".join(out) + "\n"
