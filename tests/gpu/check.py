"""Everything that only a machine with a card can show, in one go: ``make gpu-check WHEELS=dir``.

It needs no network. ``dir`` holds what pip installs from: ``make gpu-wheels WHEELS=dir``, typed
where there is a network, fills it. A PyTorch that the machine's Python has is compared with.

    install      a virtual environment, with the kernels compiled for this card
    conformance  every op of the backend "cuda" against the reference, strictly
    programs     the twelve course programs under compute-sanitizer (memcheck, racecheck,
                 initcheck, synccheck), and in the lab, whose verdicts stand beside
    benchmarks   ops and training steps beside PyTorch and cuBLAS, in turns

Each step has its share of eight minutes. What it found is in OUT/gpu-check.md, with the card's
name, and the whole output of each step beside it. A step that could not run says why; the exit
status is 0 only if all ran and nothing was wrong.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = sorted((ROOT / "tests" / "lab" / "programs").glob("*.cu"))
TOOLS = ("memcheck", "racecheck", "initcheck", "synccheck")

#: What pip brings to a machine that has neither the toolkit nor a network. Versions are those that
#: everything here was compiled with; a toolkit on the PATH goes before them.
TOOLKIT = ["nvidia-cuda-nvcc==13.0.88", "nvidia-cuda-crt==13.0.88", "nvidia-nvvm==13.0.88",
           "nvidia-cuda-runtime==13.0.96", "nvidia-cuda-cccl==13.0.85",
           "nvidia-cuda-sanitizer-api==13.0.85"]
PACKAGES = ["numpy", "pluggy", "cffi", "click", "rich", "safetensors", "hatchling",
            "scikit-build-core", "cmake", "ninja", "pathspec"]

#: Seconds of the eight minutes that each step may take.
SHARES = {"install": 150, "conformance": 150, "programs": 100, "benchmarks": 80}


class StepError(Exception):
    """A step that did not run to its end, as a sentence."""


@dataclass
class Row:
    """One line of the page: what was tried, how it went."""

    what: str
    verdict: str  # "ok", "WRONG" or "NOT RUN"
    words: str


class Check:
    """The steps, and what they found."""

    def __init__(self, out: Path, wheels: Path | None) -> None:
        self.out, self.wheels = out, wheels
        self.home = out / "venv"
        self.python = self.home / "bin" / "python"
        self.rows: list[Row] = []
        self.env = {**os.environ, "ETUDE_CUDA": "on", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        self.env.pop("PYTHONPATH", None)

    def step(self, name: str) -> bool:
        """Run one. Whether it came to its end."""
        print(f"== {name}", flush=True)
        start = time.monotonic()
        try:
            getattr(self, name)()
        except StepError as why:
            self.tell(name, "NOT RUN", str(why))
            return False
        print(f"   {time.monotonic() - start:.0f} s", flush=True)
        return True

    def tell(self, what: str, verdict: str, words: str) -> None:
        """One more line of the page, said aloud as well."""
        self.rows.append(Row(what, verdict, words))
        print(f"   {verdict:<8}{what}: {words}", flush=True)

    def run(self, step: str, *command: str | Path, seconds: float | None = None,
            log: str = "") -> subprocess.CompletedProcess[str]:
        """A command, its output kept in a file. StepError if it takes too long or is not there."""
        limit = SHARES[step] if seconds is None else seconds
        try:
            done = subprocess.run([str(c) for c in command], cwd=self.out, env=self.env, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=limit)
        except FileNotFoundError:
            raise StepError(f"{command[0]} is not on this machine") from None
        except subprocess.TimeoutExpired as late:
            said = late.stdout.decode(errors="replace") if isinstance(late.stdout, bytes) else ""
            with (self.out / f"{log or step}.txt").open("a") as file:
                file.write(f"$ {' '.join(str(c) for c in command)}\n{said}\n")
            raise StepError(f"{Path(str(command[0])).name} took more than {limit:.0f} s") from None
        with (self.out / f"{log or step}.txt").open("a") as file:
            file.write(f"$ {' '.join(str(c) for c in command)}\n{done.stdout}\n")
        return done

    def must(self, step: str, *command: str | Path) -> str:
        """A command without which the step is over."""
        done = self.run(step, *command)
        if done.returncode:
            raise StepError(f"{' '.join(str(c) for c in command[:4])} ... ended with status "
                          f"{done.returncode}; its output is in {step}.txt")
        return done.stdout

    # ------------------------------------------------------------------ the steps

    def install(self) -> None:
        """A fresh environment from the wheels alone, and the plugin compiled for this card."""
        if not self.python.exists():
            self.must("install", sys.executable, "-m", "venv", "--system-site-packages", self.home)
        source = ["--no-index", "--find-links", self.wheels] if self.wheels else []
        pip = [self.python, "-m", "pip", "install", "-q", *source]
        self.must("install", *pip, *PACKAGES)
        if not shutil.which("nvcc"):
            self.must("install", *pip, *TOOLKIT)
        self.find_toolkit()
        if architecture := self.architecture():
            self.env["ETUDE_CUDA_ARCHITECTURES"] = architecture
        ours = [ROOT / "packages" / "etude", ROOT / "packages" / "etude-check",
                ROOT / "plugins" / "etude-cuda"]
        self.must("install", *pip, "--no-deps", "--no-build-isolation", *ours)
        self.tell("install", "ok", f"kernels for sm_{architecture or '75 to sm_90'}")

    def find_toolkit(self) -> None:
        """The bin folders of the environment and of NVIDIA's wheels come first on the PATH."""
        nvidia = "lib/python*/site-packages/nvidia/*"
        folders = [self.home / "bin", *sorted(self.home.glob(f"{nvidia}/bin")),
                   *sorted(self.home.glob(f"{nvidia}/compute-sanitizer"))]
        self.env["PATH"] = os.pathsep.join([*map(str, folders), self.env["PATH"]])
        if nvcc := shutil.which("nvcc", path=self.env["PATH"]):
            self.env["CUDACXX"] = nvcc

    def architecture(self) -> str:
        """Of the card, such as "90", by the driver's own tool; "" without a card."""
        try:
            said = self.run("install", "nvidia-smi", "--query-gpu=compute_cap",
                            "--format=csv,noheader", seconds=30)
        except StepError:
            return ""
        return said.stdout.split("\n")[0].strip().replace(".", "") if not said.returncode else ""

    def card(self) -> str:
        """The name of the card and its driver, or "" where there is none."""
        try:
            said = self.run("install", "nvidia-smi", "--query-gpu=name,driver_version",
                            "--format=csv,noheader", seconds=30)
        except StepError:
            return ""
        return said.stdout.split("\n")[0].strip() if not said.returncode else ""

    def conformance(self) -> None:
        """The kit. Smoke: full would be cut off somewhere."""
        done = self.run("conformance", self.python, "-m", "etude", "check", "cuda", "--level",
                        "smoke", "--json", self.out / "conformance.json")
        if "unavailable" in done.stdout or "cannot run here" in done.stdout:
            raise StepError(done.stdout.strip().splitlines()[-1])
        words = next((line.strip() for line in done.stdout.splitlines() if " executed:" in line),
                     f"status {done.returncode}, see conformance.txt")
        self.tell("etude check cuda", "ok" if done.returncode == 0 else "WRONG", words)

    def programs(self) -> None:
        """Each program by itself, under each tool, and in the lab; disagreements are listed."""
        built = self.out / "programs"
        built.mkdir(exist_ok=True)
        until = time.monotonic() + SHARES["programs"]
        for source in PROGRAMS:
            binary = built / source.stem
            made = self.run("programs", "nvcc", "-std=c++17", "-lineinfo", "-O2", "-arch=native",
                            source, "-o", binary, seconds=60)
            if made.returncode:
                self.tell(source.name, "WRONG", "nvcc does not compile it, see programs.txt")
                continue
            card = self.sanitized(binary, until)
            lab = self.run("programs", self.python, "-m", "etude", "lab", "run", source, seconds=60)
            in_lab = "clean" if lab.returncode == 0 else "findings"
            agreed = card == in_lab
            words = f"card {card}, lab {in_lab}" + ("" if agreed else ": they disagree")
            self.tell(source.name, "ok" if agreed and card == "clean" else "WRONG", words)

    def sanitized(self, binary: Path, until: float) -> str:
        """What the program's own check and the sanitizer's tools say: "clean" or what is not."""
        if self.run("programs", binary, seconds=30).returncode:
            return "a wrong result"
        wrong = []
        for tool in TOOLS:
            left = until - time.monotonic()
            if left <= 0:
                raise StepError(f"the time was over at {binary.name}, tool {tool}")
            done = self.run("programs", "compute-sanitizer", "--tool", tool, "--error-exitcode",
                            "9", binary, seconds=max(left, 5))
            if done.returncode == 9:
                wrong.append(tool)
        return ", ".join(wrong) or "clean"

    def benchmarks(self) -> None:
        """tests/gpu/bench.py, whose table goes onto the page as it is."""
        done = self.run("benchmarks", self.python, ROOT / "tests" / "gpu" / "bench.py")
        (self.out / "benchmarks.md").write_text(done.stdout)
        if done.returncode:
            raise StepError((done.stdout.strip().splitlines() or ["no output"])[-1])
        self.tell("benchmarks", "ok", "the table is below")

    # ------------------------------------------------------------------ the page

    def page(self, card: str) -> str:
        """What was found, as Markdown."""
        lines = [f"# GPU check on {card or 'a machine without a card'}, "
                 f"{time.strftime('%Y-%m-%d')}", "", "| what | verdict | |", "| --- | --- | --- |"]
        lines += [f"| {r.what} | {r.verdict} | {r.words} |" for r in self.rows]
        table = self.out / "benchmarks.md"
        if table.exists():
            lines += ["", table.read_text().strip()]
        return "\n".join(lines) + "\n"


def fill(wheels: Path) -> None:
    """Download everything that ``install`` installs."""
    wheels.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--only-binary", ":all:",
                    "--dest", str(wheels), *PACKAGES, *TOOLKIT], check=True)
    print(f"{len(list(wheels.iterdir()))} files in {wheels}; copy the folder and this repository "
          f"to the machine with the card and type: make gpu-check WHEELS=FOLDER")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wheels", type=Path, metavar="DIR",
                        help="install from this folder alone; default: from the network")
    parser.add_argument("--fill", action="store_true", help="only download the wheels to DIR")
    parser.add_argument("--out", type=Path, default=Path("gpu-check"), metavar="DIR",
                        help="where the results go (default: gpu-check)")
    parser.add_argument("--build-only", action="store_true",
                        help="stop after the installation: it works without a card")
    asked = parser.parse_args()
    if asked.wheels and not asked.fill and not asked.wheels.is_dir():
        parser.error(f"there is no folder {asked.wheels}; make gpu-wheels WHEELS={asked.wheels} "
                     f"fills it where there is a network")
    if asked.fill:
        if not asked.wheels:
            parser.error("--fill needs --wheels DIR")
        fill(asked.wheels)
        return 0
    out = asked.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    check = Check(out, asked.wheels.resolve() if asked.wheels else None)
    card = check.card()
    if not card and not asked.build_only:
        print("NOT RUN: nvidia-smi finds no card here. --build-only compiles everything without "
              "one; the kernels themselves run in the lab (etude check gpu-lab)")
        return 2
    page = out / "gpu-check.md"
    finished = check.step("install")
    page.write_text(check.page(card))  # after each step: what is found is kept, whatever follows
    if finished and not asked.build_only:
        for name in ("conformance", "programs", "benchmarks"):
            finished = check.step(name) and finished
            page.write_text(check.page(card))
    print(page)
    return 0 if finished and all(r.verdict == "ok" for r in check.rows) else 1


if __name__ == "__main__":
    sys.exit(main())
