"""The host of the kernels: thread pool, fork, choice of instruction set, environment."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from cpu_cases import normal

import etude_cpu
from etude.core.errors import BackendError
from etude_cpu import backend, glue


def python(code, **env):
    """Run code in a Python of its own; its output, or its error as an AssertionError."""
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, **env}, text=True,
                          capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_thread_count_comes_from_the_environment_or_the_cores():
    show = "import etude_cpu; print(etude_cpu.get_num_threads())"
    assert python(show, ETUDE_NUM_THREADS="3") == "3"
    assert python(show, ETUDE_NUM_THREADS="") == str(len(os.sched_getaffinity(0)))
    wrong = "import etude\ntry: etude.use('cpu')\nexcept etude.BackendError as e: print(e)"
    for bad in ("many", "0", "257"):
        assert f"ETUDE_NUM_THREADS must be a whole number from 1 to 256, got {bad!r}" in python(
            wrong, ETUDE_NUM_THREADS=bad)


@pytest.mark.parametrize("n", [0, -1, 1.5, "2"])
def test_thread_count_must_be_a_whole_number_from_1(n):
    with pytest.raises(ValueError, match="a whole number from 1"):
        etude_cpu.set_num_threads(n)


def test_importing_the_plugin_opens_no_library():
    code = ("import sys, etude_cpu; etude_cpu.etude_backends(); "
            "print('etude_cpu._glue' in sys.modules, 'cffi' in sys.modules)")
    assert python(code) == "False False"


def test_instruction_set_is_the_best_that_runs_or_the_one_asked_for():
    everything, not_avx512 = (lambda isa: True), (lambda isa: isa != "avx512")
    built = list(backend.ISAS)
    assert backend.choose(built, everything) == "avx512"
    assert backend.choose(built, not_avx512) == "avx2"
    assert backend.choose(["portable"], everything) == "portable"
    assert backend.choose(built, everything, "portable") == "portable"
    with pytest.raises(BackendError, match="ETUDE_CPU_ISA=avx512 does not run on this machine"):
        backend.choose(built, not_avx512, "avx512")
    with pytest.raises(BackendError, match="=sse is not one of avx512, avx2, portable; here you"):
        backend.choose(["avx2", "portable"], everything, "sse")
    with pytest.raises(BackendError, match="ETUDE_CPU_ISA=avx512 was not built"):
        backend.choose(["portable"], everything, "avx512")


def test_the_environment_chooses_the_instruction_set(isa):
    code = ("import etude; etude.set_default_backend('cpu'); "
            "print(etude.current('cpu').stack[0].isa)")
    assert python(code, ETUDE_CPU_ISA=isa) == isa


def test_several_python_threads_may_call_at_once(ops, threads):
    threads(3)
    x = normal(400, 300)
    want = ops["softmax"](x).tobytes(), ops["matmul"](x, x.T).tobytes()
    wrong = []

    def work():
        for _ in range(30):
            if (ops["softmax"](x).tobytes(), ops["matmul"](x, x.T).tobytes()) != want:
                wrong.append(1)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    assert not wrong


FORK = """
import os, sys, numpy as np, etude, etude_cpu, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # fork beside threads: what is tested
etude.set_default_backend("cpu")
etude_cpu.set_num_threads(3)
call = etude.current("cpu")["exp"]
x = np.linspace(-1, 1, 1_000_000, dtype=np.float32)
want = call(x).tobytes()
child = os.fork()
same = call(x).tobytes() == want
if child == 0:
    os._exit(0 if same else 1)
_, status = os.waitpid(child, 0)
print(same and os.waitstatus_to_exitcode(status) == 0)
"""


def test_kernels_run_in_a_forked_child_and_in_its_parent():
    assert python(FORK) == "True"


def test_the_glue_reads_the_data_of_any_array_object():
    for x in (np.zeros(0), np.array(1.0), np.ones((3, 4))[1:, ::-2], np.zeros(3, bool)):
        assert glue._data_offset() in (0, object.__basicsize__)
        assert glue._address(x) == x.__array_interface__["data"][0]
    assert glue.ident is id  # as on every CPython that NumPy 2 supports
