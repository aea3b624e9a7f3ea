"""Runs a command as an older processor would: with the instruction sets of NumPy, of its BLAS and
of etude-cpu forced down one level. What then fails rests on how one processor rounds.

    python tests/lower.py                      says what would be forced down, or why nothing can be
    python tests/lower.py python -m pytest ...

From AVX-512 down to AVX2; from less, or on another architecture, to what NumPy's own build demands
and the portable kernels. It is all done by environment variables, which child processes inherit.
"""

import os
import platform
import subprocess
import sys

import numpy as np

FOUND = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
WIDE = [name for name in FOUND if name.startswith("AVX512") or name == "X86_V4"]
X86 = platform.machine() in ("x86_64", "AMD64")
NOTHING = "NumPy uses no instruction set here that could be turned off"

# What the child must find: it would be of no use to test the same thing twice.
LOOK = """
import numpy as np
print("NumPy:", *np.show_config(mode="dicts")["SIMD Extensions"].get("found", []) or ["baseline"])
try:
    import etude_cpu, etude
except ImportError:
    pass
else:
    etude.set_default_backend("cpu")
    print("etude-cpu:", etude.current("cpu").stack[0].isa)
"""


def lowered():
    """The environment variables."""
    off = os.environ.get("NPY_DISABLE_CPU_FEATURES", "").split()
    env = {"NPY_DISABLE_CPU_FEATURES": " ".join([*off, *(WIDE or FOUND)]),
           "ETUDE_CPU_ISA": "avx2" if WIDE else "portable"}
    if X86:
        env["OPENBLAS_CORETYPE"] = "Haswell" if WIDE else "Nehalem"
    return env


def main(command):
    if not FOUND:
        sys.exit(NOTHING)
    env = lowered()
    if not command:
        print(*(f"{name}={value!r}" for name, value in env.items()))
        return 0
    env = {**os.environ, **env}
    look = subprocess.run([sys.executable, "-c", LOOK], env=env, text=True, capture_output=True)
    print(look.stdout, end="", flush=True)
    if look.returncode:
        sys.exit(f"cannot run on {lowered()}:\n{look.stderr}")
    still = set(look.stdout.splitlines()[0].split()) & set(WIDE or FOUND)
    if still:
        sys.exit(f"NumPy still uses {', '.join(sorted(still))}")
    return subprocess.run(command, env=env).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
