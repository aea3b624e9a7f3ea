"""The report of a mutation run, as JSON and as Markdown."""

import math
from collections import Counter, defaultdict

Z = 1.959964  # of the normal distribution, for 95 %


def wilson(k, n):
    """The interval that holds the true part with 95 % confidence (Wilson, 1927)."""
    if n == 0:
        return 0.0, 1.0
    p, a = k / n, Z * Z / n
    half = Z * math.sqrt(p * (1 - p) / n + a / (4 * n))
    return max(0.0, (p + a / 2 - half) / (1 + a)), min(1.0, (p + a / 2 + half) / (1 + a))


def line(found):
    """What became of one mutant, as it happens."""
    told = found.get("by") or found.get("message") or f"{found['before']}  ->  {found['after']}"
    return (f"{found['verdict']:10} {found['seconds']:6.1f} s  {found['key']}  "
            f"{found['file']}:{found['line']}  {told[:90]}")


def summary(results, explained, seed):
    """Counts, score and survivors. An explained survivor counts apart, as equivalent."""
    killed = [r for r in results if r["verdict"] == "killed"]
    survived = [r for r in results if r["verdict"] == "survived"]
    for r in survived:
        r["why"] = explained.get(r["key"], {}).get("why", "")
    open_ones = [r for r in survived if not r["why"]]
    total = len(killed) + len(open_ones)
    files = defaultdict(Counter)
    for r in results:
        word = "explained" if r.get("why") else r["verdict"]
        files[r["file"]][word] += 1
    return {"seed": seed, "killed": len(killed), "total": total,
            "score": len(killed) / total if total else 0.0,
            "interval": wilson(len(killed), total),
            "explained": len(survived) - len(open_ones),
            "raw": [len(killed), len(killed) + len(survived)],
            "raw_interval": wilson(len(killed), len(killed) + len(survived)),
            "same": sum(r["verdict"] == "same" for r in results),
            "broken": sum(r["verdict"] == "broken" for r in results),
            "unspecified": sum(r["verdict"] == "unspecified" for r in results),
            "how": Counter(r.get("how", "-") for r in killed),
            "levels": Counter(r.get("level", "-") for r in killed),
            "kinds": {k: [sum(r["kind"] == k for r in killed),
                          sum(r["kind"] == k for r in killed + open_ones)]
                      for k in sorted({r["kind"] for r in results})},
            "seconds": round(sum(r["seconds"] for r in results), 1),
            "files": {f: dict(c) for f, c in sorted(files.items())},
            "errors": [r for r in results if r["verdict"] == "error"],
            "survivors": sorted(survived, key=lambda r: (bool(r["why"]), r["file"], r["line"]))}


def markdown(found):
    low, high = found["interval"]
    first, last = found["raw_interval"]
    out = [f"# Mutants of the C sources, seed {found['seed']}", "",
           f"**{found['killed']} of {found['total']} killed: {found['score']:.1%}** (95 % interval "
           f"{low:.1%} to {high:.1%}), {found['explained']} more survived and are explained as "
           f"equivalent; with them {found['raw'][0]} of {found['raw'][1]} ({first:.1%} to "
           f"{last:.1%}). Not counted: {found['same']} that compile to the same code, "
           f"{found['broken']} that do not compile.", "",
           "Killed by verdict: " + ", ".join(f"{k} {n}" for k, n in found["how"].items()) +
           ". By level: " + ", ".join(f"{k} {n}" for k, n in found["levels"].items()) + ".", "",
           "| kind | killed | of |", "| --- | ---: | ---: |",
           *(f"| {k} | {a} | {n} |" for k, (a, n) in found["kinds"].items()), "",
           "| file | killed | survived | explained | same code | does not compile |",
           "| --- | ---: | ---: | ---: | ---: | ---: |"]
    for file, c in found["files"].items():
        words = ("killed", "survived", "explained", "same", "broken")
        out.append(f"| {file} | " + " | ".join(str(c.get(w, 0)) for w in words) + " |")
    for title, some in (("Survived", [s for s in found["survivors"] if not s["why"]]),
                        ("Explained", [s for s in found["survivors"] if s["why"]])):
        if some:
            out += ["", f"## {title}"]
        for s in some:
            out += ["", f"`{s['key']}` {s['file']}:{s['line']} ({s['kind']})", "", "```diff",
                    f"- {s['before']}", f"+ {s['after']}", "```"]
            out += ["", s["why"]] if s["why"] else []
    out += ["", *(f"Error: {e['key']} {e['file']}:{e['line']}: {e['message']}"
                  for e in found["errors"])] if found["errors"] else []
    return "\n".join(out) + "\n"
