"""Words about memory: out of bounds, freed, misaligned, never written, never given back."""

from __future__ import annotations

import re

from etude_cuda.lab.case import DOES, Case, Said, Site, many, spot
from etude_cuda.lab.events import Place, Thing


def out_of_bounds(c: Case) -> Said:
    """An access beside the memory it is meant for."""
    place, site, thing, index = _sides(c)
    verb = DOES.get(place.role, "touches") if place else "touches"
    if c.text("array"):
        return _beside_array(c, site)
    if thing is None or index is None:
        return Said(f"{site.who} {verb} outside of every allocation",
                    f"{site.who.capitalize()} {verb} at address {c.text('address', 'unknown')}, "
                    f"which belongs to no memory that the program asked for.",
                    ["Print the index in this thread, and compare it with the size of the array.",
                     "A pointer that was never set, or an index of wild value, looks like this."])
    side = "before the first" if index < 0 else "past the last"
    what = (f"{site.who.capitalize()} {verb} {c.cell}, {side} element of {c.memory}.")
    advice = []
    mine = c.global_x(place.thread if place else None)
    line = site.quoted
    made = c.allocated
    if made and thing.space == "global" and _no_sizeof(made.quoted):
        what += (f" The allocation has {thing.bytes:,} bytes: {spot(made)} counts in elements, and "
                 f"cudaMalloc takes bytes.")
        advice.append("Bytes for elements: write n * sizeof(float) where the size is asked for.")
    if thing.space == "global" and mine is not None and mine == index >= c.length:
        what += (f" The index is the thread's own number, blockIdx.x * blockDim.x + threadIdx.x: "
                 f"{c.across:,} threads were launched for {c.length:,} elements.")
        advice.append(f"The guard is missing or too wide: the last threads must do nothing, as in "
                      f"if (i < n) with n = {c.length}.")
    elif index < 0:
        advice.append("An index such as i - 1 needs a guard for the first element, as in if (i > "
                      "0).")
    elif index == c.length and not advice:
        advice.append("Off by one: the last index of n elements is n - 1, so compare with <, "
                      "not with <=.")
    if thing.space == "shared" and not advice:
        advice.append(f"Shared memory has room for {many(c.length, 'element')} here. Declare it as "
                      f"large as the largest index asks for, or guard the access.")
    if place and place.size > 8:
        advice.append(f"The access takes {place.size} bytes at once: a vector load needs a tail "
                      f"loop where the length is no multiple of {place.size // 4}.")
    if "y" in line and c.launch and c.launch.block[1] > 1:
        advice.append("In two dimensions both need a guard: if (x < width && y < height).")
    return Said(f"{c.cell} is outside of {c.name or 'the array'}"
                f"[{c.length}]" if c.length else f"{c.cell} is outside of its memory", what,
                advice or ["Compare the index with the size before the access."])


def _beside_array(c: Case, site: Site) -> Said:
    """An index that leaves an array whose size is in its declaration: shared, local, a member."""
    array, index = c.text("array").strip("'"), c.number("index") or 0
    one = array.partition("[")[0].strip()
    length = re.search(r"\[(\d+)\]", array)
    told = f"index {index} is outside of an array of type {array}"
    what = f"{site.who.capitalize()} takes element {index} of an array that is declared as {array}"
    if not length:
        return Said(told, f"{what}.", ["Compare the index with the size before the access."])
    size = int(length[1])
    inner = "".join(re.findall(r"\[\d+\]", array)[1:])
    advice = ["Declare the array as large as the largest index asks for, or guard the access."]
    if index == size:
        advice.insert(0, "Off by one: the last index of n elements is n - 1, so compare with <, "
                         "not with <=.")
    elif index < 0 or index > 2**31:
        advice.insert(0, "An index such as i - 1 needs a guard for the first element, as in if (i "
                         "> 0); threadIdx.x is unsigned, and below 0 it becomes a huge number.")
    each = f", each a {one}{inner}" if inner else ""
    return Said(told, f"{what}. It has {many(size, 'element')}{each}: the indices go from 0 to "
                f"{size - 1}.", advice)


def _sides(c: Case) -> tuple[Place | None, Site, Thing | None, int | None]:
    place = c.found.places[0] if c.found.places else None
    return place, c.first, c.found.object, c.index


def _no_sizeof(line: str) -> bool:
    found = re.search(r"cudaMalloc\w*\s*\([^,]*,(.*)\)", line)
    return found is not None and not re.search(r"sizeof|[Bb]ytes|[Ss]ize|\d{3,}", found[1])


def use_after_free(c: Case) -> Said:
    """An access to memory that has been given back."""
    site, thing = c.first, c.found.object
    freed = c.at(thing.freed) if thing and thing.freed else c.second
    when = f" It was freed at {spot(freed)}: {freed.quoted}" if freed and freed.line else ""
    return Said(f"{c.name or 'memory'} is used after it was freed",
                f"{site.who.capitalize()} {site.does} of {c.memory}, which has been freed.{when}",
                ["Free memory after the last use; a kernel that is still running counts as a use "
                 "(cudaDeviceSynchronize() before cudaFree).",
                 "Set the pointer to nullptr once it is freed, so that a second use stands out."])


def misaligned(c: Case) -> Said:
    """A vector access at an address that is no multiple of its size."""
    place, site, thing, _ = _sides(c)
    size = c.number("alignment") or (place.size if place else 0)
    offset = f" (byte {thing.offset} of {c.memory})" if thing else ""
    vector = {8: "float2", 16: "float4"}.get(size, f"{size}-byte")
    return Said(f"a {vector} access at an address that is no multiple of {size}",
                f"{site.who.capitalize()} takes {size} bytes at once{offset}, and the address is "
                f"no multiple of {size}. A card refuses that; a CPU would not.",
                [f"Start at an element whose number is a multiple of {max(size // 4, 1)}, or take "
                 f"single elements up to the first such one.",
                 "A pointer from cudaMalloc is aligned to 256 bytes; p + 1 no longer is."])


def uninitialized(c: Case) -> Said:
    """A read of memory that nobody has written."""
    site, thing = c.first, c.found.object
    shared = thing is not None and thing.space == "shared"
    what = (f"{site.who.capitalize()} reads {c.cell} of {c.memory}, which nothing has written "
            f"before. On a card that is whatever an earlier kernel left there.")
    advice = (["Write every element of shared memory that is read: set it to zero first, with a "
               "__syncthreads() after it.",
               "Where threads beyond n load nothing, let them store 0 instead of returning."]
              if shared else
              ["cudaMalloc gives memory with arbitrary content: use cudaMemset, or copy the input "
               "with cudaMemcpy before the launch.",
               "An output that is added to (+=, atomicAdd) has to start from zero."])
    return Said(f"{c.cell} is read before anything wrote it", what, advice)


def leak(c: Case) -> Said:
    """Memory that is still allocated at the end."""
    thing, made = c.found.object, c.allocated
    size = thing.bytes if thing else c.number("bytes") or 0
    at = made or (c.first if c.found.places else None)
    where = f" asked for at {spot(at)}" if at and at.line else ""
    times = f", {c.found.count} times" if c.found.count > 1 else ""
    pinned = at is not None and re.search(r"cudaMallocHost|cudaHostAlloc", at.quoted)
    free = "cudaFreeHost" if pinned else "cudaFree"
    early = c.number("ended_early")
    if early is not None:
        return Said(f"{c.name or 'memory'} is not freed before the program ends early "
                    f"({size:,} bytes)",
                    f"{size:,} bytes{where} are still allocated where the program ends with status "
                    f"{early}{times}.",
                    [f"Mend what made the program end with status {early}. If it comes to its "
                     f"{free} on the other way, nothing is wrong here: the memory goes with the "
                     f"process."], at)
    return Said(f"{c.name or 'memory'} is never freed ({size:,} bytes)",
                f"{size:,} bytes{where} are still allocated at the end of the program{times}.",
                [f"Call {free}({c.name or 'pointer'}) after the last kernel that uses it."],
                at)


def invalid_free(c: Case) -> Said:
    """cudaFree of what is no allocation."""
    site = c.first
    why = c.text("why", "the pointer is not one that cudaMalloc gave, or it was freed before")
    return Said("cudaFree of a pointer that is no allocation",
                f"{site.who.capitalize()} frees a pointer, but {why}.",
                ["Pass exactly the pointer that cudaMalloc gave: not p + 1, and once only.",
                 "cudaMalloc goes with cudaFree, malloc with free, cudaMallocHost with "
                 "cudaFreeHost."])
