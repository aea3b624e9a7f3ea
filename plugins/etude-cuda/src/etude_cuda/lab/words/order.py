"""Words about order between threads: races, barriers, shuffles, deadlock."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from math import prod

from etude_cuda.lab.case import READS, WRITES, Case, Said, Site, many, spot
from etude_cuda.lab.events import Place, Thread

WAITING = 6  # groups of waiting threads that a report lists
UPDATE = re.compile(r"(?:[-+*/%&|^]|<<|>>)=(?!=)|\+\+|--")
FUNCTION = re.compile(r"__global__|__device__")
BARRIER = re.compile(r"__sync(?:threads|warp)\w*\s*\(|\bsync\s*\(")
AROUND = re.compile(r"\b(?:for|while|do)\b")
LOOP = re.compile(r"\bfor\s*\([^;]*;[^;]*;(?:[^()]|\([^()]*\))*\)")


def race(c: Case) -> Said:
    """Two threads, one cell, at least one write, and nothing that orders them."""
    one, two = c.first, c.second
    if two is None:
        return Said(f"a race on {c.cell}", f"{one.who.capitalize()} {one.does} while another "
                    f"thread uses it, with nothing between them that orders the two.",
                    ["Put a barrier between the two uses, or use an atomic."])
    ordered = (f"{one.who.capitalize()} {one.does} ({spot(one)}) and {two.who} {two.does} "
               f"({spot(two)}), with nothing between them that says which comes first.")
    volatile = any(p.volatile for p in c.found.places)
    atomics = [p.atomic for p in c.found.places]
    advice = _mend(c, one, two)
    if volatile:
        ordered += (" volatile makes the compiler load and store each time; it orders no threads. "
                    "Warp-synchronous code relied on lanes in lockstep, which cards since Volta do "
                    "not promise.")
        advice.append("Put __syncwarp() between the steps, or use __shfl_down_sync().")
    if c.detail.get("fence"):
        advice.insert(0, "The writer needs a __threadfence() between its data and the flag or the "
                         "counter that tells of it: without one the flag may be seen first.")
    if any(atomics) and not all(atomics):
        ordered += " One side is atomic, the other is not: an atomic orders only atomics."
        advice.insert(0, "Make the plain access atomic as well, or put the barrier between them.")
    scope = {"warp": "within a warp", "grid": "between blocks", "block": "within a block",
             "streams": "between streams"}.get(
        c.found.scope, "")
    name = "warp-synchronous volatile code: a race" if volatile and c.found.scope == "warp" \
        else "a race"
    return Said(" ".join(filter(None, (name, "on", c.cell, scope))), ordered, advice,
                _marked(c, one, two))


def _marked(c: Case, one: Site, two: Site) -> Site:
    """A reader who comes too early is what one looks at; else the second of the two."""
    return one if not two.line or (one.role in READS and two.role in WRITES) else two


def _mend(c: Case, one: Site, two: Site) -> list[str]:
    """Which barrier is missing, and between which lines."""
    if c.found.scope == "streams" or c.text("barrier") == "stream":
        return ["The two launches are in different streams, which run in any order: make the "
                "second wait (cudaStreamWaitEvent, cudaStreamSynchronize), or use one stream."]
    updates = c.detail.get("read_modify_write") and c.text("barrier") == "atomic"
    if one.line == two.line and (_lone_update(one.quoted) or updates):
        return [f"The missing atomic: x += y reads, adds and writes, and another thread comes "
                f"between. Write atomicAdd(&{c.name or 'x'}[...], y)."]
    writes = one.role in WRITES and two.role in WRITES
    if c.found.scope == "grid":
        same = one.line == two.line and one.file == two.file
        if writes and same:
            return ["Two blocks write one cell: does the index contain blockIdx? Give each block a "
                    "cell of its own, or combine with an atomic."]
        return ["Blocks cannot wait for each other inside a kernel: end the kernel here and launch "
                "a second one, for launches in one stream run one after the other.",
                "Or combine the results of the blocks with an atomic (with __threadfence() where "
                "data goes with it), or launch cooperatively and call grid.sync()."]
    warp = c.found.scope == "warp" and not _many_warps(c)
    barrier = "__syncwarp()" if warp else "__syncthreads()"
    if writes and one.line == two.line:
        return [f"Two threads write one cell. Let one of them do it, as in if (threadIdx.x == 0), "
                f"give each a cell of its own, or put {barrier} between the rounds."]
    if one.file != two.file or not one.line or not two.line:
        return [f"{barrier} is missing between the two lines."]
    if one.line == two.line:
        inside = [f"{barrier} is missing between the read and the write of line {one.line}: read "
                  f"into a variable, wait, then write, as in float v = ...; {barrier}; "
                  f"{c.name or 's'}[...] = v;",
                  f"In a loop, wait at the end of each round as well: {barrier}."]
        if _loop_without_barrier(c, one):
            return [f"{barrier} is missing at the end of each round of the loop, where every "
                    f"thread comes to it: not inside an if.", *inside[:1]]
        return inside
    return [f"{barrier} is missing {_between(c, one, two)}."]


def _many_warps(c: Case) -> bool:
    """Whether the cells are those of a block with more than one warp: then it is the block that
    has to wait, whichever two threads were seen.
    """
    thing, launch = c.found.object, c.launch
    volatile = any(p.volatile for p in c.found.places)
    return thing is not None and thing.space == "shared" and launch is not None \
        and prod(launch.block) > 32 and not volatile


def _between(c: Case, one: Site, two: Site) -> str:
    """Where the barrier would go. Between the two lines, or, where one stands there already or the
    runtime saw the later line first, at the end of the loop around them.
    """
    low, high = sorted((one.line, two.line))
    lines = c.quotes.lines(one.file)
    start = max((n for n in range(1, low + 1) if FUNCTION.search(lines[n - 1])), default=1) \
        if low <= len(lines) else low
    stands = any(BARRIER.search(text) for text in lines[low:high - 1])
    loop = any(AROUND.search(text) for text in lines[start - 1:low])
    if loop and (stands or _first_line(c, one, two) == high):
        return (f"at the end of the loop: after line {high}, before the next round comes to line "
                f"{low}")
    if stands:
        return (f"between line {low} and line {high} on the way that these threads took; the one "
                f"that stands there is not on it")
    return f"after line {low} and before line {high}"


def _loop_without_barrier(c: Case, one: Site) -> bool:
    """Whether the innermost loop around a line has no barrier in it. Loops end where their braces
    say.
    """
    lines = c.quotes.lines(one.file)
    for first in range(min(one.line, len(lines)), 0, -1):
        loop = AROUND.search(lines[first - 1])
        if loop:
            text = "\n".join([lines[first - 1][loop.start():], *lines[first:]])
            body = text[:_end(text)]
            if first + body.count("\n") >= one.line:
                return not BARRIER.search(body)
        if FUNCTION.search(lines[first - 1]):
            break
    return False


def _end(text: str) -> int:
    """Where the statement ends that a text begins with: at its last brace or semicolon."""
    depth = 0
    for at, letter in enumerate(text):
        depth += (letter in "({") - (letter in ")}")
        if depth == 0 and letter in ";}":
            return at
    return len(text)


def _first_line(c: Case, one: Site, two: Site) -> int:
    """The line that a thread comes to first, as the runtime saw it; else that of the first side."""
    return two.line if c.text("first") == hex(c.found.places[1].pc) else one.line


def _lone_update(line: str) -> bool:
    """hist[b]++ and sum += x, where the cell stands on the left alone; s[i] += s[i + k] is not."""
    line = LOOP.sub("", line)
    found = UPDATE.search(line)
    if not found:
        return False
    left, right = line[:found.start()], line[found.end():]
    target = re.search(r"([A-Za-z_]\w*)\s*(?:\[.*\])?\s*$", left) \
        or re.search(r"([A-Za-z_]\w*)", right)
    if target is None:
        return False
    return not left.strip() or not re.search(rf"\b{target[1]}\s*\[", right)


def same_value_race(c: Case) -> Said:
    """Several threads write the same value to one cell."""
    one, two = c.first, c.second
    other = f" and {two.who}" if two else ""
    return Said(f"several threads write the same value to {c.cell}",
                f"{one.who.capitalize()}{other} write {c.cell} at {spot(one)} without an order. "
                f"All write the same value, so the result is right on every card that writes a "
                f"word whole; the language calls it a race all the same.",
                ["If it is meant, say so in a comment; else let one thread write it, as in "
                 "if (threadIdx.x == 0)."])


def barrier_divergence(c: Case) -> Said:
    """Threads of a block wait at different barriers, or some never come."""
    table, groups = _waiting(c)
    ended = c.number("finished")
    gone = f" {many(ended, 'thread')} returned; those count as arrived." if ended else ""
    barrier = c.text("function", "__syncthreads()")
    return Said(f"not all threads of the block reach the same {barrier}",
                f"All threads of a block have to come to the same barrier. {table}{gone}",
                ["Take the barrier out of the branch: compute in the branch, wait after it, so "
                 "that every thread passes it.",
                 "In a loop, every thread has to make the same number of rounds: guard the work "
                 "inside, not the loop."], groups[0] if groups else None, tuple(groups))


def barrier_in_branch(c: Case) -> Said:
    """Some threads wait at a barrier, and the others return without it."""
    site = c.first
    waiting, returned = c.number("waiting_threads"), c.number("returned")
    numbers = f" Here {waiting} waited and {returned} had returned." if waiting else ""
    return Said("a barrier in a branch, which the other threads pass by",
                f"Some threads of the block wait at {spot(site)}, in a branch, and the others "
                f"return without coming there.{numbers} Threads that returned count as arrived, so "
                f"a card lets the others go on; as soon as a barrier follows the branch, it no "
                f"longer does.",
                ["Take the barrier out of the branch: compute in the branch, wait after it, so "
                 "that every thread passes it."])


def deadlock(c: Case) -> Said:
    """Nothing can run any more."""
    table, groups = _waiting(c)
    spins = c.text("what") or c.text("why")
    return Said("deadlock: every thread waits, and nobody can go on",
                f"{table}{' ' + spins.capitalize().rstrip('.') + '.' if spins else ''}",
                ["A thread that spins on a flag waits for ever if the block that sets it is not "
                 "resident: a card runs as many blocks at once as fit, and starts the others only "
                 "when these end.",
                 "Within a warp, a lock taken by one lane needs the others to get out of its way: "
                 "let one lane of the block take it."],
                groups[0] if groups else None, tuple(groups))


def _waiting(c: Case) -> tuple[str, list[Site]]:
    """Who waits where, as sentences: from the details, or from the places."""
    groups: list[Site] = []
    said: list[str] = []
    for w in c.detail.get("waiting") or ():
        site = c.at((int(w["pc"], 16),)) if w.get("pc") else None
        thread: Thread | None = tuple(w["thread"]) if w.get("thread") else None
        n = w.get("count", 1)
        who = c.who(thread) if thread else "a thread"
        more = f" and {many(n - 1, 'other')}" if n > 1 else ""
        verb = "wait" if n > 1 else "waits"
        barrier = w.get("what") or "a barrier"
        where = f" at {spot(site)} ({site.quoted})" if site else ""
        said.append(f"{who.capitalize()}{more} {verb} in {barrier}{where}.")
        if site:
            does = f"waits in {barrier}"
            groups.append(replace(site, role="wait", who=who, does=does, thread=thread))
    if not said:
        for (who_line, n) in Counter(_place_line(c, p) for p in c.found.places).items():
            said.append(who_line + (f" ({many(n, 'thread')})." if n > 1 else "."))
    left = f" And {len(said) - WAITING} more groups." if len(said) > WAITING else ""
    return " ".join(said[:WAITING]) + left or "Who waits where is not known.", groups


def _place_line(c: Case, place: Place) -> str:
    site = c.site(place)
    does = site.does or "waits"
    return f"{site.who.capitalize()} {does} at {spot(site)} ({site.quoted})"


def shuffle_inactive(c: Case) -> Said:
    """A shuffle that reads from a lane which is not there."""
    site, lane, source = c.first, c.number("lane"), c.number("source")
    function = c.text("function", "the shuffle")
    from_lane = f" from lane {source}" if source is not None else ""
    me = f", lane {lane}" if lane is not None else ""
    return Said(f"{function} reads from a lane that takes no part",
                f"{site.who.capitalize()}{me} asks{from_lane} at {spot(site)}, but that lane is "
                f"not at this call: it has returned, or it is in another branch. What it gets is "
                f"undefined. Mask {c.text('mask', 'unknown')}, lanes at the call "
                f"{c.text('active', 'unknown')}.",
                ["No lane may return before a shuffle that the others take part in: guard the data "
                 "(v = i < n ? x[i] : 0), not the shuffle.",
                 "Or compute the mask of the lanes that come: __ballot_sync() before the branch."])


def shuffle_mask(c: Case) -> Said:
    """A mask that does not name the lanes that call."""
    site = c.first
    function = c.text("function", "the warp function")
    return Said(f"the mask of {function} does not fit the lanes that call it",
                f"At {spot(site)} the mask says {c.text('mask', 'unknown')}, and the lanes that "
                f"come are {c.text('active', 'unknown')}. Every lane in the mask has to come, and "
                f"every lane that comes has to be in the mask: {site.who} breaks that.",
                ["With the whole warp there the mask is 0xffffffff; in a branch it is what "
                 "__ballot_sync(0xffffffff, condition) gave before the branch.",
                 "__activemask() is no cure: it says who is there, not who has to come."])


def never_ends(c: Case) -> Said:
    """A kernel that runs on and on."""
    seconds = c.detail.get("seconds")
    after = f" It was stopped after {seconds:.0f} s." if isinstance(seconds, (int, float)) else ""
    site = c.first
    where = f" {site.who.capitalize()} was at {spot(site)}." if site.line else ""
    return Said("the kernel does not end", f"The kernel was still running.{after}{where}",
                ["Does the loop's condition change in every round, and in every thread?",
                 "A loop that waits for another thread needs volatile or an atomic, and that "
                 "thread has to be able to run.",
                 "If it is only slow under the lab, launch it smaller: fewer blocks, less data."])
