"""Where hand-ins are graded: on this machine, over MPI ranks, or on a Dask cluster.

Each of the three is an executor as the standard library has them, which runs ``one.grade``; that
starts a process for each hand-in, so that here threads are enough. Results come back as plain data,
and only the process that asked writes them.

    etude course grade "hand-ins" --jobs 4
    mpiexec -n 3 python -P -m mpi4py.futures -m etude course grade "hand-ins" --executor mpi
    etude course grade "hand-ins" --executor dask --jobs 4

With MPI the first rank hands out work and the others do it. Dask starts so many workers here, or
uses the scheduler of ``--scheduler``. Elsewhere the workers must see the same folders.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from etude_course.errors import CourseError

NAMES = ("local", "mpi", "dask")


@contextmanager
def executor(name: str, jobs: int, scheduler: str = "") -> Iterator[Executor]:
    """Raises CourseError where the package, or somebody to do the work, is missing."""
    if name == "mpi":
        with _mpi() as made:
            yield made
    elif name == "dask":
        with _dask(jobs, scheduler) as made:
            yield made
    else:
        pool = ThreadPoolExecutor(jobs, thread_name_prefix="grade")
        try:
            yield pool
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _mpi() -> Iterator[Executor]:
    try:
        from mpi4py import MPI
        from mpi4py.futures import MPIPoolExecutor
    except ImportError as error:
        raise CourseError(_missing("mpi", "mpi4py")) from error
    if MPI.COMM_WORLD.Get_size() < 2:  # else it would start ranks by itself, where it can
        raise CourseError(_ranks())
    with MPIPoolExecutor() as made:
        if made.num_workers < 1:
            raise CourseError(_ranks())
        yield made


@contextmanager
def _dask(jobs: int, scheduler: str) -> Iterator[Executor]:
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise CourseError(_missing("dask", "distributed")) from error
    if scheduler:
        try:
            client = Client(scheduler, timeout=10)
        except OSError as error:
            raise CourseError(f"No Dask scheduler answers at {scheduler}: start one with 'dask "
                              f"scheduler', and workers with 'dask worker {scheduler}'.") from error
        with client:
            yield _executor(client)
        return
    with LocalCluster(n_workers=jobs, threads_per_worker=1, dashboard_address=None) as cluster, \
            Client(cluster) as client:
        yield _executor(client)


def _executor(client: Any) -> Executor:
    made: Executor = client.get_executor(pure=False)
    return made


def _missing(extra: str, package: str) -> str:
    return (f"--executor {extra} needs the package {package}: pip install "
            f"'etude-course[{extra}]'.")


def _ranks() -> str:
    return ("--executor mpi needs ranks to do the work. Start it as: mpiexec -n 3 python -P -m "
            "mpi4py.futures -m etude course grade ... --executor mpi")
