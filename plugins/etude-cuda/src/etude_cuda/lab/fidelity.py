"""What a report of the lab may be trusted for: every report carries it, the terminal in short."""

EXACT = (
    "The values computed, thread by thread, in IEEE arithmetic without fused multiply-adds.",
    "Which thread touched which bytes: bounds, lifetimes, alignment, bytes never written.",
    "Races by happens-before: two accesses that no barrier, atomic or launch orders are reported "
    "for the inputs and the way through the code that were run, whatever the order of that run.",
    "Sectors of 32 bytes per request, bank conflicts, lanes per basic block: counted, not sampled.",
)
MODELLED = (
    "A request is what the lanes of one warp do at one instruction in the same round; a card "
    "groups the lanes that are there together.",
    "Bytes that come from the host's memory count as written; a struct does if any byte of it was. "
    "Local arrays are checked for their bounds only.",
    "Occupancy, by the rules of the named card; registers from nvcc's report where nvcc is, else "
    "assumed.",
    "FLOPs, from the instructions that g++ made for the CPU; nvcc may fold or fuse some.",
    "The roofline: every sector counted goes to memory, as if there were no cache.",
)
NOT_MODELLED = (
    "Caches, latency, schedulers, clocks, power: nothing here is a time on a card.",
    "Registers and spills, instruction issue, tensor cores, asynchronous copies in parallel.",
    "Rounding of the card's fast functions (__expf and its kin); the lab computes them exactly.",
    "Ways through the code that this run did not take.",
)
SHORT = (
    ("exact", "values without fused multiply-adds, which thread touched which bytes, races on the "
              "way that this run took, sectors, bank conflicts, lanes."),
    ("modelled", "warps as rounds of their lanes, occupancy and roofline of the named card, FLOPs "
                 "of the CPU's code."),
    ("not modelled", "caches, latency, schedulers, spills, tensor cores, the rounding of fast "
                     "functions: nothing here is a time on a card."),
)
SECTIONS = (("exact", EXACT), ("modelled", MODELLED), ("not modelled", NOT_MODELLED))

FAST = (
    ("exact", ("The values computed, as in inspect mode. Calls of the runtime, launches, barriers "
               "and shuffles are checked.",)),
    ("modelled", ("Occupancy, by the rules of the named card.",)),
    ("not modelled", ("Fast mode watches no access: races, bounds, bytes never written and every "
                      "counter need inspect mode.", *NOT_MODELLED)),
)


def sections(mode: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """What is exact, modelled and not modelled in a mode, with all lines."""
    return FAST if mode == "fast" else SECTIONS


def short(mode: str) -> tuple[tuple[str, str], ...]:
    """The same in a line each."""
    return tuple((name, lines[0]) for name, lines in FAST) if mode == "fast" else SHORT
