"""Reads mutants of one format, in a process of its own that may not take more than its share.

    python tests/fuzz/reader.py "PNG" --seed 0 --first 0 --count 2000 --at progress

prints what came of them as JSON. ``--show`` reads the one mutant ``--first`` and lets its error
through, with the damaged file left in ``damaged/`` for a debugger.
"""

import argparse
import contextlib
import json
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path

os.environ.update(dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), "1"))
sys.path.insert(0, str(Path(__file__).parent))

from damage import mutant
from formats import FORMATS

from etude.core.errors import FileError

MEMORY = 1 << 30  # bytes beside what the process has when it begins
SECONDS = 5.0  # of the processor, for one file
PATIENCE = 60.0  # of the processor, until a call that does not return is interrupted
FEW = 10  # failures that are told in full


class TooLongError(BaseException):
    """Not an Exception: what is tested must not catch it."""


def ours():
    """The classes an error of ours may have, and none made from them: UnicodeDecodeError and
    JSONDecodeError are ValueErrors too, and mean that a library's error was let through.
    """
    found = [ValueError, FileError]
    with contextlib.suppress(ImportError):
        from etude.train.checkpoint import CheckpointError, DamagedError
        from etude.train.settings import ConfigError
        found += [CheckpointError, ConfigError, DamagedError]
    with contextlib.suppress(ImportError):
        from etude.onnx.table import Refused
        found.append(Refused)
    with contextlib.suppress(ImportError):
        from etude_check.errors import CheckError
        found.append(CheckError)
    return found


def verdict(form, path, known):
    """(what came of reading the file, CPU seconds): "loaded", "refused", or what is wrong."""
    start = time.process_time()
    signal.setitimer(signal.ITIMER_PROF, PATIENCE)
    try:
        form.read(path)
        found = "loaded"
    except TooLongError:
        found = f"did not return within {PATIENCE:g} s of the processor"
    except MemoryError:
        found = f"asked for more than {MEMORY >> 20} MB"
    except Exception as error:
        found = "refused"
        if type(error) not in known or path.name not in str(error):
            found = "".join(traceback.format_exception(error, limit=-4))[-2000:]
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return found, time.process_time() - start


def bytes_of(form, valid, seed, number):
    """The mutant. Where a format has a seal, odd ones are damaged before it and even ones after."""
    files = [f if form.seal is None else form.seal(f) for f in valid]
    which = number % len(files)
    if form.seal is not None and number // len(files) % 2:
        return form.seal(mutant(valid[which], seed, number))
    return mutant(files[which], seed, number)


def hold_memory():
    """No more than MEMORY from now on: malloc fails, and so a MemoryError tells who asked."""
    with open("/proc/self/statm") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY, now + MEMORY))


@contextlib.contextmanager
def interruptible():
    """In this block the timer of ``verdict`` ends a call."""
    def interrupt(number, frame):
        raise TooLongError

    before = signal.signal(signal.SIGPROF, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGPROF, before)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("format", choices=FORMATS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--at", type=Path, help="a file that holds the number at work")
    parser.add_argument("--show", action="store_true")
    given = parser.parse_args()
    form = FORMATS[given.format]
    valid = form.make()
    with tempfile.TemporaryDirectory() as folder:
        path = (Path("damaged") if given.show else Path(folder)) / "class" / form.file
        path.parent.mkdir(parents=True, exist_ok=True)
        for file in valid:  # what is not damaged loads, and all that loading imports is there
            _place(path, file if form.seal is None else form.seal(file))
            form.read(path)
        if given.show:
            _place(path, bytes_of(form, valid, given.seed, given.first))
            form.read(path)
            return
        warnings.simplefilter("error")  # a reader that warns has something to say in an error
        hold_memory()
        numbers = range(given.first, given.first + given.count)
        with interruptible():
            print(json.dumps(read_all(form, valid, path, given.seed, numbers, given.at)))


def read_all(form, valid, path, seed, numbers, progress):
    """How many mutants loaded and were refused, and what is wrong with the others."""
    known = ours()
    found = {"loaded": 0, "refused": 0, "slowest": 0.0, "failures": []}
    for number in numbers:
        if progress is not None:
            progress.write_text(str(number))
        _place(path, bytes_of(form, valid, seed, number))
        what, seconds = verdict(form, path, known)
        found["slowest"] = max(found["slowest"], seconds)
        if what in ("loaded", "refused"):
            found[what] += 1
            if seconds <= SECONDS:
                continue
            what = f"took {seconds:.1f} s of the processor"
        found["failures"].append([number, what])
        if len(found["failures"]) == FEW:
            break
    return found


def _place(path, content):
    """The file, alone: a journal of the one before would change this one."""
    for left in path.parent.iterdir():
        left.unlink()
    path.write_bytes(content)


if __name__ == "__main__":
    main()
