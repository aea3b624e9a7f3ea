"""Words about what costs time: scattered addresses, bank conflicts, divergent branches."""

from __future__ import annotations

from etude_cuda.lab.case import Case, Said, many, spot


def uncoalesced(c: Case) -> Said:
    """A warp that touches many sectors for few bytes."""
    site, d = c.first, c.detail
    per, ideal = d["sectors"] / d["requests"], d["ideal"] / d["requests"]
    what = {"load": "load", "store": "store"}.get(d["op"], "atomic")
    stride = d.get("stride")
    how = (f" Neighbouring lanes are {many(stride, 'byte')} apart." if stride
           else " The lanes' addresses are scattered.")
    return Said(f"an uncoalesced {what}: {per:.1f} sectors a request, {ideal:.1f} would do",
                f"At {spot(site)} a warp's {what} touches {per:.1f} sectors of 32 bytes on average "
                f"({d['sectors']:,} in {d['requests']:,} requests); packed side by side its bytes "
                f"would lie in {ideal:.1f}.{how} The card moves whole sectors, so "
                f"{1 - ideal / per:.0%} of the traffic is thrown away.",
                ["Let neighbouring threads (threadIdx.x) touch neighbouring elements: x is the "
                 "last index, as in a[row * width + x].",
                 "Where the pattern is needed, go through a tile in shared memory: read it row by "
                 "row, use it column by column. An array of structs becomes a struct of arrays."])


def bank_conflict(c: Case) -> Said:
    """A warp whose lanes meet in the same banks."""
    site, d = c.first, c.detail
    ways = 1 + d["conflicts"] / d["requests"]
    if d["op"] == "atomic":
        return Said(f"bank conflicts: an atomic takes {ways:.1f} passes instead of 1",
                    f"At {spot(site)} lanes of a warp update the same word of shared memory, or "
                    f"different words of one bank. Such updates go one after the other: "
                    f"{ways:.1f} passes on average ({d['conflicts']:,} extra passes in "
                    f"{d['requests']:,} requests).",
                    ["Give each warp a copy of the table, and add the copies up at the end.",
                     "Add up in a register, or within the warp by shuffles, and let one lane "
                     "update."])
    return Said(f"bank conflicts: a {d['op']} takes {ways:.1f} passes instead of 1",
                f"At {spot(site)} the lanes of a warp want different words of the same bank of "
                f"shared memory, so one access takes {ways:.1f} passes on average "
                f"({d['conflicts']:,} extra passes in {d['requests']:,} requests). There are 32 "
                f"banks, and word i is in bank i % 32.",
                ["Pad the row by one element: float tile[32][33] instead of tile[32][32]; then a "
                 "column lies in 32 different banks.",
                 "In a reduction, let the active threads be neighbours (s[i] += s[i + k], with k "
                 "falling) instead of every second, fourth, eighth one."])


def branch_divergence(c: Case) -> Said:
    """Lines that a warp runs with a part of its lanes."""
    site, d = c.first, c.detail
    return Said(f"a divergent branch: {d['lanes'] / d['warps']:.1f} of 32 lanes on average",
                f"The code at {spot(site)} was run {d['warps']:,} times by a warp, "
                f"{d['split']:,} times with a part of its lanes, on average with "
                f"{d['lanes'] / d['warps']:.1f} of 32. The other lanes wait meanwhile, so both "
                f"sides of such a branch take their time one after the other.",
                ["Let whole warps take the same way: decide by threadIdx.x / 32 or by block, not "
                 "by threadIdx.x % 2.",
                 "In a reduction, keep the active threads together: if (tid < k), with k falling."])
