"""`etude backends` says of each device whether it works, and else everything that is missing."""

import json
import shutil
import subprocess
import sys

import pytest

pytest.importorskip("etude_cuda", reason="NOT RUN: etude-cuda is not installed")

#: A driver whose answers are in the environment: what cuInit returns, how many cards, which sm.
DRIVER = """
#include <stdlib.h>
static int said(const char *name) { const char *text = getenv(name); return text ? atoi(text) : 0; }
int cuInit(unsigned flags) { (void)flags; return said("FAKE_INIT"); }
int cuDriverGetVersion(int *version) { *version = said("FAKE_VERSION"); return 0; }
int cuDeviceGetCount(int *count) { *count = said("FAKE_CARDS"); return 0; }
int cuDeviceGetAttribute(int *value, int attribute, int device)
{
    (void)device;
    *value = attribute == 75 ? said("FAKE_SM") / 10 : said("FAKE_SM") % 10;
    return 0;
}
int cuGetErrorString(int status, const char **text)
{
    (void)status;
    *text = "system has unsupported display driver";
    return 0;
}
"""

ASK = """
import sys
from pathlib import Path
import etude_cuda.backend as backend
backend.compiled = lambda name: Path(name) if {library} else None
backend.built = lambda: {built}
print("; ".join(backend.missing()))
"""


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    """A folder with a libcuda.so.1 that is told what to answer."""
    if shutil.which("gcc") is None:
        pytest.skip("NOT RUN: needs gcc")
    folder = tmp_path_factory.mktemp("driver")
    (folder / "driver.c").write_text(DRIVER)
    subprocess.run(["gcc", "-shared", "-fPIC", "driver.c", "-o", "libcuda.so.1"], cwd=folder,
                   check=True)
    return folder


def missing(fresh, driver, library=True, built=None, **says):
    done = fresh(ASK.format(library=library, built=built or {}), LD_LIBRARY_PATH=str(driver),
                 **{f"FAKE_{k}": str(v) for k, v in says.items()})
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


BUILT = {"cuda": {"why": "nvcc was not found", "toolkit": 13000, "architectures": [75, 80, 90]}}


def test_with_everything_there_nothing_is_missing(fresh, driver):
    assert missing(fresh, driver, VERSION=13000, CARDS=1, SM=90, built=BUILT) == ""
    assert missing(fresh, driver, VERSION=13000, CARDS=1, SM=120, built=BUILT) == ""  # by its PTX


def test_without_a_driver_that_and_the_library_are_named(fresh, tmp_path):
    said = missing(fresh, tmp_path, library=False, built=BUILT)
    if not said.startswith("driver: libcuda.so.1 cannot be opened"):
        pytest.skip("NOT RUN: this machine has a driver")
    assert "library: libetude_cuda.so is not there, because nvcc was not found" in said


@pytest.mark.parametrize(("says", "expected"), [
    ({"INIT": 100}, "card: the driver is there and finds no card"),
    ({"CARDS": 0}, "card: the driver sees none (does CUDA_VISIBLE_DEVICES hide it?)"),
    ({"INIT": 803}, "driver: it does not start: system has unsupported display driver (803)"),
    ({"CARDS": 1, "VERSION": 12040, "SM": 80},
     "driver: it knows CUDA up to 12.4, and the library was built with 13.0"),
    ({"CARDS": 1, "VERSION": 13000, "SM": 70},
     "architecture: the card is sm_70, and kernels are built for sm_75 and newer"),
])
def test_what_is_missing_is_named(says, expected, fresh, driver):
    assert missing(fresh, driver, built=BUILT, **says).startswith(expected)


def test_a_card_older_than_the_library_is_told_what_to_install(fresh, driver):
    built = {"cuda": {**BUILT["cuda"], "architectures": [90]}}
    said = missing(fresh, driver, VERSION=13000, CARDS=1, SM=80, built=built)
    assert "the card is sm_80, and the library is for sm_90 and newer" in said
    assert "ETUDE_CUDA_ARCHITECTURES=80" in said


def backends():
    done = subprocess.run([sys.executable, "-m", "etude", "backends", "--json"],
                          capture_output=True, text=True, check=True)
    return {line["backend"]: line for line in json.loads(done.stdout)["backends"]}


def test_the_command_tells_a_reason_for_each_device_that_is_not_active():
    found = backends()
    assert found["cuda"]["device"] == "cuda"
    assert found["gpu-lab"]["device"] == "gpu-lab"
    for name in ("cuda", "gpu-lab"):
        line = found[name]
        assert line["state"] in ("active", "unavailable")
        if line["state"] == "unavailable":
            assert any(word in line["reason"] for word in ("driver:", "card:", "library:"))
            assert not line["traceback"]


def test_importing_the_package_opens_no_library_and_no_driver(fresh):
    done = fresh("import etude, etude_cuda, etude_cuda.backend\n"
                 "maps = open('/proc/self/maps').read()\n"
                 "print('libcuda' in maps, 'libetude_gpu_lab' in maps, 'libetude_cuda' in maps)")
    assert done.stdout.strip() == "False False False", done.stderr
