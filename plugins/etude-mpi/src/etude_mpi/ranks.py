"""Ranks: the processes that train together, how they wait, and how one that fails ends all.

MPI by itself waits for ever, inside C, where neither Ctrl-C nor the news of a failure arrives. So
every exchange here is non-blocking, and ``Ranks.wait`` looks at three things until it is done: has
the message come; has another rank said that it failed; is the time up. A rank that fails tells
rank 0 why, which prints it, once, and ends all of them (``MPI_Abort``). A rank that is killed says
nothing: then mpirun ends the others, and the first that is left says which one is missing. A rank
that hangs is found by asking who is waiting: it does not answer, and the first that waits prints
it.

Ranks count from 0. MPI sees no accelerator here: what travels lies in the host's memory.
"""

from __future__ import annotations

import os
import pickle
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np

from etude.core.errors import BackendError

SECONDS = 300.0  # the longest wait for another rank; ETUDE_MPI_SECONDS changes it
LOOK = 0.02  # seconds between two looks at what others say
TOLD = 3.0  # seconds that a rank has to print what another one told it
GATHER = 0.5  # seconds in which it hears whether others have failed alike
ANSWER = 2.0  # seconds that a rank has to say that it waits, too
#: Tags: "I failed", and why; what is wrong among the ranks; "I am waiting"; "the failure is told".
FAILED, AMONG, WAITS, TELLS = 1, 2, 3, 4

Array = np.ndarray[Any, Any]


class RankError(RuntimeError):
    """Ranks that do not fit together, or one that does not come."""


def world() -> Any:
    """MPI.COMM_WORLD. BackendError, with the remedy, without mpi4py or without an MPI."""
    try:
        from mpi4py import MPI
    except ModuleNotFoundError as error:
        raise BackendError("training on several processes needs mpi4py: pip install "
                           "'etude-mpi[mpi]'") from error
    except (ImportError, RuntimeError) as error:
        raise BackendError(f"mpi4py found no MPI on this machine ({error}). Debian, Ubuntu: sudo "
                           f"apt install openmpi-bin; macOS: brew install open-mpi") from error
    return MPI.COMM_WORLD


class Ranks:
    """This process among ``size``, and what it exchanges with them. Every rank makes the same calls
    in the same order.
    """

    def __init__(self, comm: Any, seconds: float = SECONDS) -> None:
        self.rank, self.size = comm.rank, comm.size
        self.seconds = seconds
        self.comm = comm.Dup()  # gradients travel here, the first in line
        self._small = comm.Dup()  # counts and sums, which must not stand in that line
        self._control = comm.Dup()  # failures
        self._sent: list[Any] = []  # what is on its way must stay alive
        self._waiting: set[int] = set()  # ranks that said so, during a search for one that hangs
        self._said = False  # a failure was reported; nothing is to be added
        self._reporter = 0  # the rank that reports one
        #: A sentence about how to go on after a failure.
        self.advice: Callable[[], str] = lambda: ""
        places = self.exchange((socket.gethostname(), os.getpid()))
        self.places: list[tuple[str, int]] = places

    # ------------------------------------------------------------------ exchanges

    def total(self, numbers: Array) -> Array:
        """The sum of ``numbers``, float or int64, over the ranks, the same bits on each."""
        array = np.array(numbers, order="C")
        self.wait([self._small.Iallreduce(_in_place(), array)])
        return array

    def counts(self, count: int) -> list[int]:
        """The ``count`` of every rank."""
        mine, found = np.array([count]), np.empty(self.size, np.int64)
        self.wait([self._small.Iallgather(mine, found)])
        return [int(n) for n in found]

    def exchange(self, thing: Any) -> list[Any]:
        """Something that can be pickled, of every rank."""
        text = np.frombuffer(pickle.dumps(thing), np.uint8)
        sizes = self.counts(len(text))
        found = np.empty(sum(sizes), np.uint8)
        self.wait([self._small.Iallgatherv(text, [found, sizes])])
        ends = np.cumsum(sizes).tolist()
        return [pickle.loads(found[end - size:end].tobytes()) for end, size in zip(ends, sizes)]

    def broadcast(self, array: Array) -> None:
        """Write the ``array`` of rank 0, C order, into that of every rank."""
        self.wait([self._small.Ibcast(array, 0)])

    # ------------------------------------------------------------------ waiting

    def wait(self, requests: list[Any]) -> None:
        """Until all are done. RankError if a rank does not come in time."""
        from mpi4py import MPI

        begin, looks, pause = time.perf_counter(), 0, 0.0
        while not MPI.Request.Testall(requests):
            time.sleep(pause)  # gives the core to a rank that has work to do
            waited = time.perf_counter() - begin
            pause = min(waited / 20, 0.001)
            if waited > LOOK * looks:
                looks += 1
                self.look()
            if waited > self.seconds:
                raise RankError(self._who_hangs(waited))

    def look(self) -> None:
        """Hear what others say of failures: rank 0 ends the run."""
        for source, tag, text in self._heard():
            if tag in (FAILED, AMONG):
                self._end({source: (tag, text)})
            elif tag == TELLS:
                self._said = True
            elif source not in self._waiting:
                self._waiting.add(source)
                self._tell(source, WAITS, "")

    def _heard(self) -> Iterator[tuple[int, int, str]]:
        from mpi4py import MPI

        status = MPI.Status()
        while self._control.Iprobe(MPI.ANY_SOURCE, MPI.ANY_TAG, status):
            data = bytearray(status.Get_count(MPI.BYTE))
            self._control.Recv([data, MPI.BYTE], status.source, status.tag)
            yield status.source, status.tag, data.decode()

    def _tell(self, rank: int, tag: int, text: str) -> None:
        data = np.frombuffer(text.encode() or b" ", np.uint8)
        self._sent.append((self._control.Isend(data, rank, tag), data))

    def _who_hangs(self, waited: float) -> str:
        """The sentence about the ranks that do not say that they wait."""
        for rank in range(self.size):
            if rank != self.rank:
                self._tell(rank, WAITS, "")
        begin = time.perf_counter()
        while time.perf_counter() - begin < ANSWER:
            self.look()
            time.sleep(LOOK)
        there = self._waiting | {self.rank}
        self._reporter = min(there)
        absent = sorted(set(range(self.size)) - there)
        if not absent:
            return (f"the ranks wait for each other since {waited:.0f} s: they do not make the "
                    f"same calls in the same order")
        return (f"{self.names(absent)} did not come within {waited:.0f} s and gave no answer: it "
                f"hangs, or its step takes longer than that. ETUDE_MPI_SECONDS sets how long to "
                f"wait")

    def names(self, ranks: list[int]) -> str:
        """"rank 1 (process 4711 on the host node2)", for each."""
        return " and ".join(f"rank {r} (process {self.places[r][1]} on {self.places[r][0]})"
                            for r in ranks)

    # ------------------------------------------------------------------ failures

    def failed(self, text: str, tag: int = FAILED) -> None:
        """This rank cannot go on, because of ``text``: end all ranks. Does not return."""
        told = {self.rank: (tag, text)}
        begin, patience = time.perf_counter(), GATHER
        if self.rank != self._reporter:  # that one ends this process meanwhile
            self._said, patience = True, TOLD
            self._tell(self._reporter, tag, text)
        while time.perf_counter() - begin < patience:
            told |= {source: (tag, said) for source, tag, said in self._heard()
                     if tag in (FAILED, AMONG)}
            if len(told) == self.size:
                break
            time.sleep(LOOK)
        self._end(told)

    def _end(self, told: dict[int, tuple[int, str]]) -> None:
        """Print what failed, each thing once, and end every process."""
        lines = []
        texts = [text for _, text in told.values()]
        for rank, (tag, text) in sorted(told.items()):
            own = tag == FAILED and texts.count(text) == 1
            lines.append(f"Error: rank {rank} of {self.size} failed: {text}" if own
                         else f"Error: {text}")
        self._report([*dict.fromkeys(lines), self.advice()])
        self._control.Abort(1)

    def _report(self, lines: list[str]) -> None:
        """Print, and tell the others that this is done."""
        _say(lines)
        self._said = True
        for rank in range(self.size):
            if rank != self.rank:
                self._tell(rank, TELLS, "")
        time.sleep(LOOK)

    def on_signal(self, *_: Any) -> None:
        """SIGTERM: mpirun ends this process, because another one died or because it was told to.
        The first rank that is left says which.
        """
        begin = time.perf_counter()
        while not self._said and time.perf_counter() - begin < GATHER / 5:
            self._said = any(tag == TELLS for _, tag, _ in self._heard())
            time.sleep(LOOK)
        host = self.places[self.rank][0]
        dead = [r for r, (where, pid) in enumerate(self.places)
                if where == host and r != self.rank and not _alive(pid)]
        if self._said or not all(r in dead for r in range(self.rank)):
            time.sleep(GATHER)  # or the one that speaks would count this rank among the dead
        else:
            what = (f"{self.names(dead)} died" if dead else
                    f"{self.names([self.rank])} was told to stop")
            self._report([f"Error: the run of {self.size} ranks was ended: {what}", self.advice()])
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)


def _in_place() -> Any:
    from mpi4py import MPI

    return MPI.IN_PLACE


def _say(lines: list[str]) -> None:
    sys.stdout.flush()
    os.write(2, ("\n".join(line for line in lines if line) + "\n").encode())


def _alive(pid: int) -> bool:
    """Whether a process of this machine runs. One that ended and was not yet asked for its status
    is a zombie, which still takes signals.
    """
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    with suppress(OSError, IndexError):
        state = open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[0]  # noqa: SIM115
        return state != "Z"
    return True


@contextmanager
def join(seconds: float | None = None) -> Iterator[Ranks]:
    """In this block the process is one of those that mpirun started; all leave it together.

    An error that leaves the block ends every rank, after one of them has said which rank failed
    and why. ``seconds`` is the longest wait for another rank (``ETUDE_MPI_SECONDS``, or 300).
    BackendError without mpi4py or without an MPI.
    """
    ranks = Ranks(world(), _seconds(seconds))
    before = signal.signal(signal.SIGTERM, ranks.on_signal)
    try:
        from etude_mpi.agree import same_versions

        same_versions(ranks)
        yield ranks
        ranks.counts(0)  # nobody leaves before all are done
    except BaseException as error:
        if ranks.size > 1 and _status(error):
            ranks.failed(_worded(error), AMONG if isinstance(error, RankError) else FAILED)
        raise
    finally:
        signal.signal(signal.SIGTERM, before)


def _seconds(given: float | None) -> float:
    text = os.environ.get("ETUDE_MPI_SECONDS", "") if given is None else given
    if text == "":
        return SECONDS
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise ValueError(f"ETUDE_MPI_SECONDS is a number of seconds above 0, got {text!r}")
    return seconds


def _status(error: BaseException) -> Any:
    """With which status an error ends a process; click has an exception of its own for leaving."""
    status = getattr(error, "exit_code", 1)
    return error.code if isinstance(error, SystemExit) else status


def _worded(error: BaseException) -> str:
    """An error in words: those of the command line and of disagreement are whole sentences, of
    any other the place matters, too.
    """
    if hasattr(error, "format_message"):  # click's, which is what 'etude train' raises
        return str(error.format_message())
    if isinstance(error, (RankError, BackendError)):
        return str(error)
    if isinstance(error, KeyboardInterrupt):
        return "it was interrupted by Ctrl-C"
    if isinstance(error, SystemExit) or hasattr(error, "exit_code"):
        return f"it left with the status {_status(error)}"
    return "".join(traceback.format_exception(error)).rstrip()
