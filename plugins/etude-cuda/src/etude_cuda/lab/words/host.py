"""Words about host and device: pointers, copies, launches, errors that nobody asked for."""

from __future__ import annotations

from etude_cuda.lab.case import Case, Said, Site, dims, many, spot


def null_pointer(c: Case) -> Said:
    """A pointer that was never given an address."""
    site = c.first
    return Said("a null pointer is followed",
                f"{site.who.capitalize()} follows a pointer that holds "
                f"{c.text('address', 'no address')} at {spot(site)}: it was never given memory, or "
                f"the allocation failed.",
                ["Look at what cudaMalloc returned: it leaves the pointer alone when it fails.",
                 "Pass the pointer itself to cudaMalloc: cudaMalloc(&d_x, bytes). A function that "
                 "gets the pointer by value fills a copy of it."])


def host_pointer(c: Case) -> Said:
    """A kernel that follows a pointer into host memory."""
    site = c.first
    name = f" {c.name}" if c.name else ""
    where = f", {c.text('memory')}" if c.text("memory") else ""
    return Said("a host pointer in a kernel",
                f"{site.who.capitalize()} follows a pointer to host memory{name} (address "
                f"{c.text('address', 'unknown')}{where}). The device cannot see what malloc, new, "
                f"a vector or a local array of main() holds.",
                ["Allocate on the device with cudaMalloc, copy with cudaMemcpy(d, h, bytes, "
                 "cudaMemcpyHostToDevice), and pass the device pointer to the kernel.",
                 "Passing h_x where d_x was meant is the usual slip; so is a struct whose members "
                 "are still host pointers."])


def device_pointer(c: Case) -> Said:
    """The host follows a pointer into device memory."""
    site = c.first
    return Said("a device pointer dereferenced on the host",
                f"The host {site.does or 'follows a pointer'} at {spot(site)}, but this is "
                f"{c.memory}: it lives on the device. With a card this is a segmentation fault.",
                ["Copy back first: cudaMemcpy(h, d, bytes, cudaMemcpyDeviceToHost), then read h.",
                 "cudaMallocManaged gives memory that both sides see; synchronise before the host "
                 "reads it."])


def bytes_for_elements(c: Case) -> Said:
    """A size that was counted in elements where bytes are asked for."""
    if c.detail.get("rest_is_read"):
        return _short_copy(c)
    site = c.first
    asked, have, element = c.number("asked"), c.number("have"), c.number("element") or c.element
    function = c.text("function", "the call")
    sizes = ""
    if asked is not None and element:
        sizes = (f" It asks for {many(asked, 'byte')}: that is "
                 f"{many(asked // element, 'element')} of {element} bytes.")
    if have is not None:
        sizes += f" The memory has {many(have, 'byte')}."
    return Said("bytes for elements: a size counted in the wrong unit",
                f"{function} at {spot(site)} takes its size in bytes.{sizes}",
                ["Multiply by the size of an element: n * sizeof(float)."])


def _short_copy(c: Case) -> Said:
    """A copy to the host that was carried out, and brought the first part of an array."""
    site, asked, have = c.first, c.number("asked") or 0, c.number("have") or 0
    element = c.number("element") or 1
    return Said("bytes for elements: a copy brings the first part of an array",
                f"The copy at {spot(site)} takes {many(asked, 'byte')} of {c.memory}, which has "
                f"{many(have // element, 'element')} of {element} bytes. Kernels wrote all of it, "
                f"and the host goes on to read its own array there, although the other "
                f"{many(have - asked, 'byte')} did not come.",
                ["cudaMemcpy takes its size in bytes: n * sizeof(float)."])


def unread_output(c: Case) -> Said:
    """What kernels wrote, and nobody ever took from the card."""
    name = c.name or "memory"
    kernel = c.launch.kernel if c.launch else "A kernel"
    return Said(f"what {kernel} writes to {name} is never read",
                f"{kernel}, launched at {spot(c.first)}, writes {c.memory}. After that no kernel "
                f"reads it, and no copy brings it to the host: the program ends, or frees it, as "
                f"if the kernel had not run.",
                [f"Copy it back before the host uses the result: cudaMemcpy(h, {name}, bytes, "
                 f"cudaMemcpyDeviceToHost).",
                 "If nobody needs the result, as where a launch is only timed, nothing is wrong."],
                more=(c.allocated,) if c.allocated else ())


def host_crash(c: Case) -> Said:
    """The program crashed outside of its kernels."""
    site = c.first
    within = "" if site.line else ", in no line that has debug information"
    return Said("the host crashed",
                f"The host crashed at {spot(site)}{within}.",
                ["A null pointer, an index beyond an array of the host, or a pointer of the card "
                 "that the host follows: print the pointer and the index before this line.",
                 "Look at what malloc and fopen returned, and whether argv has the argument."])


def copy_direction(c: Case) -> Said:
    """The fourth argument of cudaMemcpy says the opposite of what the pointers say."""
    site = c.first
    function, said = _function(c, "cudaMemcpy"), c.text("direction", "one direction")
    really = c.text("really")
    truth = f", while the pointers go {really}" if really else ", and the pointers are others"
    return Said(f"the wrong direction for {function}",
                f"{function} at {spot(site)} says {said}{truth}.",
                ["The order is cudaMemcpy(to, from, bytes, direction), as with memcpy: the "
                 "destination comes first.",
                 "cudaMemcpyDefault takes the direction from the pointers."])


def _function(c: Case, otherwise: str) -> str:
    """The function of the API that a finding is about, or "the launch of k"."""
    word, _, rest = c.found.words.partition(" ")
    if word == "kernel":
        return f"the launch of {rest.partition(' (')[0]}"
    return c.text("function") or (word if word.startswith("cuda") else otherwise)


def copy_range(c: Case) -> Said:
    """A copy or a fill that goes past the end of an allocation."""
    site = c.first
    asked, have = c.number("asked"), c.number("have")
    thing = c.found.object
    have = thing.bytes - max(thing.offset, 0) if have is None and thing else have
    sizes = f" {many(asked, 'byte')} were asked for" if asked is not None else ""
    sizes += f", {many(have, 'byte')} are there." if sizes and have is not None else \
        "." if sizes else ""
    return Said(f"{_function(c, 'a copy')} goes past the end of an allocation",
                f"{c.text('function', 'The copy')} at {spot(site)} leaves {c.memory}.{sizes}",
                ["Use one size for the allocation and for the copy: size_t bytes = n * "
                 "sizeof(float).",
                 "Both ends of the copy need that many bytes, the host's as well."])


def unsynchronized_read(c: Case) -> Said:
    """The host looks before the device is done."""
    sites = [c.site(p) for p in c.found.places]
    host = next((s for s, p in zip(reversed(sites), reversed(c.found.places)) if p.thread is None),
                c.first)
    other = next((s for s in sites if s != host), None)
    device = f" ({other.who} {other.does} at {spot(other)})" if other and other.line else ""
    return Said("the host reads before the device is done",
                f"The host uses {c.name or 'memory'} at {spot(host)}, and nothing since the launch "
                f"or the asynchronous copy{device} has waited for the device. A launch returns at "
                f"once.",
                ["Call cudaDeviceSynchronize() (or cudaStreamSynchronize(stream)) before the host "
                 "looks.", "cudaMemcpy waits by itself; cudaMemcpyAsync and managed memory do "
                 "not."], host)


def error_ignored(c: Case) -> Said:
    """A call failed, and nobody asked."""
    site = c.first
    function = _function(c, "a call")
    launch = c.launch
    if not site.line and launch:
        site = Site("", "the host", "", launch.file, launch.line, "",
                    c.quotes.line(launch.file, launch.line))
    return Said(f"an error of {function} that was never asked for",
                f"{function} at {spot(site)} failed with {c.text('status', 'an error')}"
                f"{' (' + c.text('text') + ')' if c.text('text') else ''}, and the program went "
                f"on. A kernel that did not start leaves its output as it was, and nothing tells.",
                ["Look at what every call returns; after a launch, at cudaGetLastError().",
                 "A macro does it: #define CHECK(call) ... if (e != cudaSuccess) print "
                 "cudaGetErrorString(e), __FILE__, __LINE__ and exit."],
                site if site.line else None)


def launch_failed(c: Case) -> Said:
    """A launch that no card would start."""
    asked, limit, why = c.detail.get("asked"), c.detail.get("limit"), c.text("why")
    launch = c.launch
    numbers = f" {asked} were asked for, the limit is {limit}." if asked and limit else ""
    reason = {"threads": "a block has more threads than a card can run",
              "block": "a block has more threads than a card can run, or none",
              "shared": "the block asks for more shared memory than a multiprocessor has for it",
              "grid": "the grid is empty or too large in one dimension"}.get(
                  why, why or "the configuration is not one that a card can run")
    advice = {"threads": "Use at most 1024 threads a block (32 x 32, 256), and more blocks.",
              "block": "Use between 1 and 1024 threads a block, and more blocks.",
              "shared": "Up to 48 KB need nothing; beyond that call cudaFuncSetAttribute(kernel, "
                        "cudaFuncAttributeMaxDynamicSharedMemorySize, bytes), or use less.",
              "grid": "Compute the grid as (n + block - 1) / block: n / block is 0 for a small n."}
    config = f"<<<{dims(launch.grid)}, {dims(launch.block)}>>>" if launch else ""
    name = launch.kernel if launch else c.found.kernel or "the kernel"
    if not why and " was not launched: " in c.found.words:
        reason = c.found.words.partition(" was not launched: ")[2].rstrip(".")
        why = next((w for w in ("shared", "threads", "grid") if w in reason), "")
    return Said(f"the launch of {name} fails: {reason}",
                f"{name}{config} does not start: {reason}.{numbers}",
                [advice.get(why, "Check grid and block before the launch."),
                 "Ask cudaGetLastError() after a launch: nothing else reports this."])


def shared_size(c: Case) -> Said:
    """Dynamic shared memory that the launch made too small."""
    site = c.first
    have = c.number("dynamic")
    have = have if have is not None else c.launch.dynamic_shared if c.launch else 0
    needed = c.number("needed")
    thing = c.found.object
    if needed is None and thing:
        needed = thing.offset + c.element
    at = c.launch
    where = f" at {at.file}:{at.line}" if at else ""
    more = f", at least {needed:,} are needed" if needed else ""
    return Said(f"dynamic shared memory is too small: {many(have, 'byte')}",
                f"{site.who.capitalize()} {site.does} at {spot(site)}, but the launch{where} asks "
                f"for {many(have, 'byte')} of dynamic shared memory{more}.",
                ["The third argument of <<<grid, block, bytes>>> is the size of extern __shared__ "
                 "arrays, in bytes: threads * sizeof(float).",
                 "Leaving it out makes it 0."])


def assertion(c: Case) -> Said:
    """assert() in a kernel."""
    site = c.first
    said = c.text("expression") or site.quoted
    return Said(f"an assertion failed: {said}",
                f"{site.who.capitalize()} found {said} false at {spot(site)}. The kernel stops "
                f"there, and every later call of the program returns cudaErrorAssert.",
                ["Print what the expression is made of, in this thread."])


def unsupported(c: Case) -> Said:
    """Something the lab cannot run."""
    what = c.text("what") or c.text("text") or "something"
    instead = c.text("instead")
    return Said(f"the lab does not know {what}",
                f"The program uses {what}, which the lab does not model.",
                [instead or "Run this program on a card, or leave the part out to try the rest."])
