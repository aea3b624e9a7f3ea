"""Loads the backends: "cuda" on a card, "gpu-lab" on the CPU. Or says all that is missing."""

from __future__ import annotations

import ctypes
import os
from functools import cache
from pathlib import Path
from typing import Any

from etude.core.columns import Column
from etude.core.errors import BackendError
from etude_cuda.device import Device
from etude_cuda.places import built, compiled

LAB, CUDA = "gpu-lab", "cuda"
LIBRARIES = {LAB: "libetude_gpu_lab.so", CUDA: "libetude_cuda.so"}
OLDEST = (7, 5)  # the least compute capability that nvcc 13 compiles for


def load_lab() -> Column:
    """The backend "gpu-lab". Raises BackendError with the reason if it cannot run here."""
    made = device(LAB)
    return made.column(LAB, made.path, "lab", lab_threads())


def load_cuda() -> Column:
    """The backend "cuda". Raises BackendError that names everything that is missing."""
    if lacking := missing():
        raise BackendError("; ".join(lacking))
    made = device(CUDA)
    facts = made.facts()
    return made.column(CUDA, made.path, f"sm_{facts.major}{facts.minor}")


@cache
def device(name: str) -> Device:
    """The device of that name, started. Raises BackendError if it cannot be."""
    library = compiled(LIBRARIES[name])
    if library is None:
        raise BackendError(_not_built(name))
    made = Device(name, library)
    made.start()
    return made


def lab_threads() -> int:
    """How many of the CPU's cores run blocks: ETUDE_NUM_THREADS, else all there are."""
    wanted = os.environ.get("ETUDE_NUM_THREADS", "").strip()
    if wanted.isdigit() and int(wanted) >= 1:
        return int(wanted)
    return len(os.sched_getaffinity(0))


def _not_built(name: str) -> str:
    """Why a library is not there, and how to get it."""
    why = built().get(name, {}).get("why") or "this copy of etude-cuda was never built"
    return f"library: {LIBRARIES[name]} is not there, because {why}"


# ------------------------------------------------------------------ what a card needs


def missing() -> list[str]:
    """Everything that keeps "cuda" from running here, each a sentence that begins with what it is:
    driver, card, architecture, library. Empty if nothing does. Asks the driver alone.
    """
    lacking, capability = _driver_and_card()
    library = compiled(LIBRARIES[CUDA])
    if library is None:
        lacking.append(_not_built(CUDA))
    elif capability is not None and (wrong := _unfit(capability, built().get(CUDA, {}))):
        lacking.append(wrong)
    return lacking


def _driver_and_card() -> tuple[list[str], tuple[int, int] | None]:
    """What is missing of them, and the compute capability of the card if there is one."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return [f"driver: libcuda.so.1 cannot be opened, so NVIDIA's driver is not installed here"
                f"{_card_without_driver()}"], None
    status = driver.cuInit(0)
    if status == 100:  # CUDA_ERROR_NO_DEVICE
        return ["card: the driver is there and finds no card; in a container, was it started with "
                "--gpus all?"], None
    if status:
        return [f"driver: it does not start: {_words(driver, status)}"], None
    count, number = ctypes.c_int(), ctypes.c_int()
    driver.cuDeviceGetCount(ctypes.byref(count))
    if not count.value:
        return ["card: the driver sees none (does CUDA_VISIBLE_DEVICES hide it?)"], None
    capability = []
    for attribute in (75, 76):  # COMPUTE_CAPABILITY_MAJOR, _MINOR
        driver.cuDeviceGetAttribute(ctypes.byref(number), attribute, 0)
        capability.append(number.value)
    lacking = []
    driver.cuDriverGetVersion(ctypes.byref(number))
    wanted = int(built().get(CUDA, {}).get("toolkit", 0))
    if number.value // 1000 < wanted // 1000:
        lacking.append(f"driver: it knows CUDA up to {_version(number.value)}, and the library was "
                       f"built with {_version(wanted)}; install a newer driver")
    return lacking, (capability[0], capability[1])


def _card_without_driver() -> str:
    """Whether the machine has a card all the same, as far as the system says."""
    for path in Path("/sys/bus/pci/devices").glob("*/vendor"):
        try:
            kind = (path.parent / "class").read_text()
            if path.read_text().strip() == "0x10de" and kind.startswith("0x03"):
                return ". A card of NVIDIA's is there: install the driver"
        except OSError:
            continue
    return "; card: none of NVIDIA's is in this machine"


def _unfit(capability: tuple[int, int], made: dict[str, Any]) -> str:
    """A sentence if the library has no code for a card, or ""."""
    name = f"sm_{capability[0]}{capability[1]}"
    if capability < OLDEST:
        return (f"architecture: the card is {name}, and kernels are built for "
                f"sm_{OLDEST[0]}{OLDEST[1]} and newer")
    known = [int(a) for a in made.get("architectures", [])]
    if known and capability[0] * 10 + capability[1] < min(known):
        return (f"architecture: the card is {name}, and the library is for sm_{min(known)} and "
                f"newer; install again with ETUDE_CUDA_ARCHITECTURES={name[3:]}")
    return ""


def _version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"


def _words(driver: Any, status: int) -> str:
    text = ctypes.c_char_p()
    driver.cuGetErrorString(status, ctypes.byref(text))
    return f"{(text.value or b'an unknown error').decode()} ({status})"
