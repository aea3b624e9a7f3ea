"""Exports of the models in other runtimes, each in a fresh environment of its own.

    python tests/exchange                  all of them; `tox -e exchange` does that
    python tests/exchange openvino mnn     these

For each runtime a virtual environment is made in a temporary folder and its packages installed
from PyPI. Each model is exported in five ways (``WAYS``), each of which asks for less than the one
before, and a runtime gets them in this order until one gives Etude's results. What comes out is
the table of docs/howto/onnx.md, with versions and date. The exit status is 1 where it is not what
EXPECTED says, or where nothing ran.
"""

import datetime
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "onnx"))
from exported import computes  # noqa: E402

import etude  # noqa: E402
import etude.onnx  # noqa: E402
from etude import models  # noqa: E402

SECONDS = 300  # for one model in one runtime
BOUND = 1e-5  # of the largest number, in float32: these runtimes order their sums otherwise
BATCH = 3
VOCAB, LENGTH = 20, 16

#: Runtime -> what pip installs for it. The first one's version is shown.
RUNTIMES = {
    "onnxruntime": ["onnxruntime", "onnx"],
    "openvino": ["openvino"],
    "mnn": ["MNN", "onnx"],
    "ncnn": ["ncnn", "pnnx"],
    "tensorflow": ["onnx2tf", "tensorflow-cpu", "tf_keras", "onnx<1.20", "onnx_graphsurgeon",
                   "sng4onnx", "ai_edge_litert", "psutil"],
    "paddle": ["x2paddle", "paddlepaddle", "onnx<1.18", "six", "requests", "sympy"],
}

WAYS = {
    "as it is": {},
    "finite": {"finite": True},
    "opset 13": {"finite": True, "opset": 13},
    "unrolled": {"finite": True, "opset": 13, "unrolled": True},
    "fixed batch": {"finite": True, "opset": 13, "unrolled": True, "dynamic": False},
}

#: Runtime -> model -> the way that gave Etude's results, or "no". "*" is every model.
EXPECTED = {
    "onnxruntime": {"*": "as it is"},
    "openvino": {"*": "as it is"},
    "mnn": {"*": "as it is", "lenet": "finite"},
    "ncnn": {"mlp": "as it is", "lenet": "finite", "resnet20": "as it is", "*": "no"},
    "tensorflow": {"mlp": "as it is", "lenet": "as it is", "*": "fixed batch"},
    "paddle": {"mlp": "as it is", "lenet": "finite", "resnet20": "as it is", "gpt": "opset 13",
               "*": "unrolled"},
}


def made():
    """Name -> (model, input)."""
    rng = np.random.default_rng(0)
    etude.manual_seed(0)

    def image(channels, size):
        return rng.standard_normal((BATCH, channels, size, size), dtype=np.float32)

    text = rng.integers(0, VOCAB, (BATCH, LENGTH))
    return {
        "mlp": (models.mlp(64, 32, 10), image(1, 8).reshape(BATCH, 64)),
        "lenet": (models.lenet(), image(1, 8)),
        "resnet20": (models.resnet20(), image(3, 32)),
        "char_rnn lstm": (models.char_rnn(VOCAB, 32, 2, "lstm"), text),
        "char_rnn gru": (models.char_rnn(VOCAB, 32, 2, "gru"), text),
        "gpt": (models.gpt(VOCAB, LENGTH, 2, 2, 32), text),
    }


def exported(folder):
    """Name -> Etude's results. Every model is written in each way, with its input."""
    wanted = {}
    for name, (model, x) in made().items():
        for way, options in WAYS.items():
            path = folder / f"{stem(name, way)}.onnx"
            etude.onnx.export(model, x, path, input_names=["x"], **options)
        np.savez(folder / f"{stem(name)}.npz", x=x)
        wanted[name] = computes(model.eval(), x)
    return wanted


def stem(name, way=""):
    return f"{name}_{way}".replace(" ", "_").replace(",", "").strip("_")


def installed(runtime, folder):
    """(the Python of a fresh environment, the version of the runtime, what pip said if it failed)
    """
    home = folder / "venv"
    venv.create(home, with_pip=True, clear=True)
    python = home / "bin" / "python"
    packages = RUNTIMES[runtime]
    free = {k: v for k, v in os.environ.items() if k not in ("PIP_CONSTRAINT", "PYTHONPATH")}
    asked = subprocess.run([python, "-m", "pip", "install", "-q", *packages], env=free,
                           capture_output=True, text=True)
    if asked.returncode:
        return python, "-", (asked.stderr.strip().splitlines() or ["pip failed"])[-1]
    shown = [subprocess.run([python, "-c", f"from importlib.metadata import version as v;"
                                           f"print(v({package!r}))"],
                            env=free, capture_output=True, text=True).stdout.strip()
             for package in packages[:2]]
    return python, " + ".join(f"{p} {v}" for p, v in zip(packages, shown)), ""


def tried(python, runtime, name, folder, wanted):
    """(the first way that gives the results, how far they are off), or ("no", why not)."""
    reasons = {}
    for way in WAYS:
        outputs = folder / f"{stem(name, way)}.{runtime}.npz"
        # -I: neither this checkout nor the reader's own folder is on its path.
        reader, model = HERE / "readers" / f"{runtime}.py", folder / f"{stem(name, way)}.onnx"
        command = [python, "-I", reader, model, folder / f"{stem(name)}.npz", outputs]
        try:
            run = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS,
                                 cwd=folder)
        except subprocess.TimeoutExpired:
            reasons[way] = f"{SECONDS} s were not enough"
            continue
        if not outputs.exists():
            reasons[way] = last_words(run)
            continue
        found = list(np.load(outputs).values())
        if [y.shape for y in found] != [y.shape for y in wanted]:
            shapes = [y.shape for y in found], [y.shape for y in wanted]
            reasons[way] = f"shapes {shapes[0]}, not {shapes[1]}"
            continue
        far = max(float(np.abs(y - w).max() / np.abs(w).max()) for y, w in zip(found, wanted))
        if far <= BOUND:
            return way, f"{far:.0e}"
        reasons[way] = f"off by {far:.1g} of the largest number"
    return "no", reasons["finite"]  # the fewest ops, and any batch


def last_words(run):
    said = [line.strip() for line in (run.stdout + run.stderr).splitlines()
            if line.strip() and "CalledProcessError" not in line]  # of the reader, not of its tool
    errors = [line for line in said if any(w in line for w in ("rror", "support", "exist"))]
    return (errors or said or [f"exit status {run.returncode}"])[-1][:160]


def main(asked):
    unknown = set(asked) - RUNTIMES.keys()
    if unknown:
        raise SystemExit(f"no such runtime: {', '.join(unknown)}; there are {', '.join(RUNTIMES)}")
    today, lines, surprises, equal = datetime.date.today(), [], [], 0
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        wanted = exported(folder)
        for runtime in asked or RUNTIMES:
            python, version, failed = installed(runtime, folder)
            for name in wanted:
                way, what = ("no", failed) if failed else tried(python, runtime, name, folder,
                                                                wanted[name])
                equal += way != "no"
                lines.append(f"| {version or runtime} | {name} | {way} | {what} | {today} |")
                print(lines[-1], flush=True)
                expected = EXPECTED.get(runtime, {})
                if way != expected.get(name, expected.get("*", way)):
                    surprises.append(f"{runtime}, {name}: {way}, where {expected} was expected")
    print(f"\n{equal} of {len(lines)} equal")
    if surprises:
        print("\n".join(["", "Not as expected:", *surprises]))
    return 1 if surprises or not equal else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
