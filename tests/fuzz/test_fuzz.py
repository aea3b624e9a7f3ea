"""Damaged files: whatever is done to one, it loads or there is one error of ours that names it.

2,000 mutants of each format, 20,000 with ETUDE_SOAK=1 (tox -e soak); always the same ones, unless
ETUDE_FUZZ_SEED is set. A process of its own reads those of a format: it may take a gigabyte of
memory, and 5 s of the processor for a file. A failure says the command that shows it again.
"""

import importlib.util
import json
import os
import shlex
import subprocess
import sys
import time
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest
import reader
from damage import mutant
from formats import CSV, FORMATS

from etude.train.settings import ConfigError

READER = Path(__file__).with_name("reader.py")
SEED = int(os.environ.get("ETUDE_FUZZ_SEED", "0"))
NORMAL, LONG = 2000, 20_000  # mutants of a format


def read(name, count, progress):
    """What the reader's process found; its death is a failure of the mutant at work."""
    done = subprocess.run(
        [sys.executable, str(READER), name, "--seed", str(SEED), "--count", str(count), "--at",
         str(progress)], capture_output=True, text=True, timeout=3600)
    if done.returncode == 0:
        return json.loads(done.stdout.splitlines()[-1])
    number = progress.read_text() if progress.exists() else "none: valid files are not read"
    return {"loaded": 0, "refused": 0,
            "failures": [[number, f"status {done.returncode}\n{done.stderr[-3000:]}"]]}


def told(name, failures):
    lines = []
    for number, what in failures:
        command = ["python", "tests/fuzz/reader.py", name, "--seed", str(SEED), "--first",
                   str(number), "--show"]
        lines.append(f"{shlex.join(command)}\n{what}")
    return "\n\n".join(lines)


@pytest.mark.parametrize("name", FORMATS)
def test_a_damaged_file_loads_or_is_named_in_one_error(name, soak, tmp_path):
    for package in FORMATS[name].needs:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"NOT RUN: needs the package {package}")
    count = LONG if soak else NORMAL
    found = read(name, count, tmp_path / "progress")
    assert not found["failures"], told(name, found["failures"])
    assert found["loaded"] + found["refused"] == count
    assert found["refused"] > count // 20, "the mutants are hardly damaged"


# ------------------------------------------------------------------ the fuzzer itself


def verdict(read, tmp_path):
    path = tmp_path / "file.csv"
    path.write_bytes(CSV)
    return reader.verdict(SimpleNamespace(read=read), path, reader.ours())[0]


def raises(error):
    def read(path):
        raise error
    return read


def test_what_is_no_error_of_ours_is_found(tmp_path):
    assert verdict(lambda path: None, tmp_path) == "loaded"
    for ours in (ValueError("file.csv: damaged"), ConfigError("file.csv: damaged")):
        assert verdict(raises(ours), tmp_path) == "refused"
    for other in (ValueError("damaged"), KeyError("file.csv"), OSError("file.csv"),
                  UnicodeDecodeError("utf-8", b"", 0, 1, "file.csv"), RecursionError("file.csv")):
        assert type(other).__name__ in verdict(raises(other), tmp_path)
    assert verdict(raises(MemoryError()), tmp_path) == "asked for more than 1024 MB"


def test_a_warning_is_found(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = verdict(lambda path: warnings.warn("file.csv", stacklevel=1), tmp_path)
    assert "UserWarning: file.csv" in found


def test_a_reader_that_does_not_return_is_interrupted(tmp_path, monkeypatch):
    def spin(path):
        while True:
            try:
                time.sleep(0)
            except Exception:  # nothing of the kind gets here
                return

    monkeypatch.setattr(reader, "PATIENCE", 0.05)
    with reader.interruptible():
        assert verdict(spin, tmp_path) == "did not return within 0.05 s of the processor"


def test_mutants_follow_from_their_numbers_and_differ():
    made = [mutant(CSV, 0, i) for i in range(200)]
    assert made == [mutant(CSV, 0, i) for i in range(200)]
    assert made != [mutant(CSV, 1, i) for i in range(200)]
    assert len(set(made)) > 150
    assert mutant(b"", 0, 0) is not None


def test_a_process_that_dies_is_a_failure_that_says_how_to_see_it_again(tmp_path):
    (tmp_path / "progress").write_text("17")
    found = read("no such format", 10, tmp_path / "progress")
    assert "invalid choice: 'no such format'" in found["failures"][0][1]
    assert "reader.py 'no such format' --seed" in told("no such format", found["failures"])
    assert "--first 17 --show" in told("no such format", found["failures"])
