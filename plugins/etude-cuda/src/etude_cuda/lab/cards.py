"""The cards that the lab can speak about: public figures, each with its source. No card is asked.

Sources:
 [T4]    NVIDIA, "Turing GPU Architecture" white paper (WP-09183-001), appendix on TU104, Tesla T4.
 [A100]  NVIDIA, "A100 Tensor Core GPU Architecture" white paper (2020), table of the A100 (SXM4,
         40 GB) against V100.
 [H100]  NVIDIA, "H100 Tensor Core GPU Architecture" white paper (v1.04), table of the H100 SXM5;
         1980 MHz is its boost clock for FP32.
 [guide] NVIDIA, "CUDA C++ Programming Guide", table "Technical Specifications per Compute
         Capability": what fits on a multiprocessor, and the largest block.
 [units] NVIDIA, CUDA occupancy calculator: registers are given to a warp in pieces of 256, shared
         memory to a block in pieces of 128 bytes (256 for 7.5); from 8.0 on the system keeps 1 KB
         of shared memory for each block ([guide], section on shared memory of 8.x and 9.0).
"""

from __future__ import annotations

from dataclasses import dataclass

from etude.core.errors import BackendError, did_you_mean

KB = 1024


@dataclass(frozen=True)
class Card:
    """One model. Bandwidth in bytes a second, peak in FLOP a second, memory in bytes."""

    name: str
    capability: str
    sms: int
    clock: float  # Hz, the boost clock
    fp32_lanes: int  # FP32 units of one multiprocessor; each does two FLOPs (an FMA) a clock
    bandwidth: float
    threads_per_sm: int
    blocks_per_sm: int
    shared_per_sm: int
    shared_per_block: int  # with cudaFuncSetAttribute; 48 KB without
    shared_unit: int
    shared_reserved: int  # of each block, by the system
    source: str
    registers_per_sm: int = 65536
    registers_per_thread: int = 255
    register_unit: int = 256  # per warp
    threads_per_block: int = 1024
    warp: int = 32

    @property
    def peak(self) -> float:
        """FP32 peak in FLOP a second: every lane of every multiprocessor an FMA each clock."""
        return 2.0 * self.fp32_lanes * self.sms * self.clock

    @property
    def warps_per_sm(self) -> int:
        """The most warps that are resident on one multiprocessor."""
        return self.threads_per_sm // self.warp

    @property
    def ridge(self) -> float:
        """FLOPs a byte at which a kernel goes from memory-bound to compute-bound."""
        return self.peak / self.bandwidth

    @property
    def arch(self) -> str:
        """As nvcc takes it: sm_80."""
        return "sm_" + self.capability.replace(".", "")


CARDS = {card.name: card for card in (
    Card("T4", "7.5", 40, 1590e6, 64, 320e9, 1024, 16, 64 * KB, 64 * KB, 256, 0,
         "Turing white paper (TU104, Tesla T4); CUDA C++ Programming Guide"),
    Card("A100", "8.0", 108, 1410e6, 64, 1555e9, 2048, 32, 164 * KB, 163 * KB, 128, KB,
         "A100 white paper (SXM4, 40 GB); CUDA C++ Programming Guide"),
    Card("H100", "9.0", 132, 1980e6, 128, 3352e9, 2048, 32, 228 * KB, 227 * KB, 128, KB,
         "H100 white paper (SXM5); CUDA C++ Programming Guide"),
)}

DEFAULT = "A100"


def card(name: str | Card) -> Card:
    """The card of that name, in any case. Raises BackendError for one that is not in the table."""
    if isinstance(name, Card):
        return name
    if name.upper() not in CARDS:
        raise BackendError(f"The lab has no figures for a card {name!r}"
                           f"{did_you_mean(name.upper(), CARDS)} It knows {', '.join(CARDS)}")
    return CARDS[name.upper()]
