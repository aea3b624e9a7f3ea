"""Chains as generated C have the bits of the kernels, and no compiler is a reason to go on without.
"""

import copy
import os
import platform
import re
import stat
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from programs import program_of

import etude
from etude import functional as F
from etude.core.errors import BackendError, CaptureError
from etude.replay.passes import optimised

pytest.importorskip("etude_cpu._glue", reason="NOT RUN: needs etude-cpu", exc_type=ImportError)

import etude_cpu
from etude.backends.native.compiled import compiled, compiler
from etude.backends.native.formulas import formulas
from etude.backends.native.loops import literal
from etude.backends.native.replay import Native
from etude.core.table import TABLE
from etude.replay.passes.fuse import ELEMENTS
from etude_cpu import glue

POINTWISE = Path(glue.COMPILED).parent / "pointwise"  # beside the libraries

#: Ops that fusion takes element by element, and that no formula is read for.
IN_BLOCKS = {"pow", "floor_divide", "remainder", "sin", "cos", "lerp",
             "floor", "ceil", "round", "isnan", "logical_and", "logical_or", "logical_not"}

SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, -3.0, 40.0, -40.0, 100.0, -100.0, 1e-40, -1e-40, 1e-30, 1e30,
           -1e30, 3e38, np.inf, -np.inf, np.nan]

CHAINS = {
    "seven calls": lambda x, y, b: etude.relu((x + y) * 0.5 - y) * x + y * 0.25,
    "a bias": lambda x, y, b: F.gelu(x + b) * y,
    "a number for all": lambda x, y, b: etude.exp(x - b[:1]) + y,
    "a part of a bias": lambda x, y, b: (x[:, :16].clone() + b[16:32]) * 2.0,
    "minus zero": lambda x, y, b: (x + -0.0) * -0.0 - 1e-42,
    "where": lambda x, y, b: etude.where(x > y, x * 2.0, y) + 1.0,
    "two results": lambda x, y, b: ((x + y) * 3.0, -(x + y)),
    "a condition is a result": lambda x, y, b: (x * 2.0 > y, etude.abs(x) - y),
    "clamp, then a root": lambda x, y, b: etude.sqrt(etude.clamp(x * y, 0.0, 3.0)),
    "softmax between": lambda x, y, b: F.softmax(x * 0.125 + b, dim=-1) * 2.0 + y,
    "layer_norm between": lambda x, y, b: F.layer_norm(x * y + y, (48,), b, b) * 0.5 + y,
    "sin between": lambda x, y, b: etude.sin(x * 2.0 + y) * 2.0 - y,
}


@pytest.fixture(autouse=True)
def its_own_cache(tmp_path_factory, monkeypatch):
    """Nothing is found that an earlier test, or the person who tests, has compiled."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder / "etude" / "generated"


@pytest.fixture(scope="module")
def shared_cache(tmp_path_factory):
    return tmp_path_factory.mktemp("shared")


@pytest.fixture
def needs_compiler():
    if compiler() is None:
        pytest.skip("NOT RUN: needs a C compiler")


@pytest.fixture
def threads():
    before = etude_cpu.get_num_threads()
    yield etude_cpu.set_num_threads
    etude_cpu.set_num_threads(before)


def numbers(*shape, seed=0, dtype=np.float32):
    return etude.tensor(np.random.default_rng(seed).normal(size=shape).astype(dtype))


def bits(x):
    """The bytes of results, where a NaN is a NaN."""
    found = []
    for t in x if isinstance(x, (tuple, list)) else [x]:
        a = t.detach().numpy().copy()
        if a.dtype.kind == "f":
            a[np.isnan(a)] = np.nan
        found.append(a.tobytes())
    return found


def loops_of(step):
    return step._takes[0]._executor.generated.loops


def compile_with(monkeypatch, path, script):
    """Name a compiler that is a shell script at ``path``."""
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("CC", str(path))
    monkeypatch.delenv("LD_PRELOAD", raising=False)  # dash crashes with a thread sanitizer in it


# ---------------------------------------------------------------------- bits


@pytest.mark.usefixtures("needs_compiler")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CHAINS)
def test_eager_in_blocks_and_generated_give_the_same_bits(name, dtype, threads, shared_cache,
                                                          monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(shared_cache))
    chain = CHAINS[name]
    b = numbers(48, seed=2, dtype=dtype)
    for rows in (3, 700, 5000):
        x, y = numbers(rows, 48, dtype=dtype), numbers(rows, 48, seed=1, dtype=dtype)
        x.array.reshape(-1)[: len(SPECIAL)] = np.array(SPECIAL, "float32")
        with etude.use("cpu"), etude.no_grad():
            want = bits(chain(x, y, b))
            in_blocks, step = etude.capture(chain), etude.capture(chain, generate=True)
            for n in (1, 2, 3, 8):
                threads(n)
                for f in (in_blocks, step, step):
                    assert bits(f(x, y, b)) == want, n
            assert loops_of(step)


@pytest.mark.usefixtures("needs_compiler")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_formula_has_the_bits_of_its_kernel(dtype):
    """Each op, then a neg, so that it is in a loop. Rare numbers are among the others."""
    values = np.array([*SPECIAL, *np.random.default_rng(0).normal(size=500) * 5], dtype)
    x = etude.tensor(np.concatenate([np.roll(values, k) for k in (0, 1, 7)]))
    y = etude.tensor(np.concatenate([values] * 3))
    with etude.use("cpu"), etude.no_grad():
        for name in every_op():
            def chain(x, y, name=name):
                return etude.neg(applied(name, x, y))

            step = etude.capture(chain, generate=True)
            want = bits(step(x, y))
            assert bits(step(x, y)) == want, name
            assert f"op_{name.partition(' ')[0]}" in step.source(), name


def every_op():
    """The names of formulas; those of one op with several come once each."""
    return [n for n in sorted(formulas(POINTWISE)) if n != "neg"]


def applied(name, x, y):
    settings = {"gelu_tanh": {"approximate": "tanh"}, "gelu_tanh_backward": {"approximate": "tanh"},
                "clamp": {"min": -1.25, "max": 1.7}, "softplus": {"beta": 1.5, "threshold": 10.0},
                "elu": {"alpha": 0.7}, "leaky_relu": {"negative_slope": 0.1}}.get(name, {})
    op = name.replace("gelu_tanh", "gelu")
    if TABLE[op].cls == "compare":
        return etude.where(getattr(F, op)(x, y), x, y)
    if op == "where":
        return etude.where(x > y, x, y)
    if op.endswith("_backward"):  # only gradient rules call it
        from etude.core.state import current

        return etude.Tensor(current("cpu")[op](x.array, y.array, **settings))
    return getattr(F, op)(*[x, y][: len(TABLE[op].arrays)], **settings)


def test_fusion_takes_no_op_that_is_neither_a_formula_nor_named_here():
    known = {n.replace("gelu_tanh", "gelu") for n in formulas(POINTWISE)}
    assert known | IN_BLOCKS == {op.name for op in TABLE.values() if op.cls in ELEMENTS}
    assert not known & IN_BLOCKS


@pytest.mark.usefixtures("needs_compiler")
@pytest.mark.parametrize("isa", ["portable", "avx2", "avx512"])
def test_the_instruction_set_is_that_of_the_library_and_not_the_compilers(isa):
    """A compiler that would fuse products and sums on this machine does not for portable kernels.
    """
    if not glue.runs(isa) or not (POINTWISE / f"flags-{isa}").exists():
        pytest.skip(f"NOT RUN: needs a machine with {isa}, and kernels built for it")
    program = (
        "import numpy as np, etude\n"
        "x = etude.tensor(np.random.default_rng(0).normal(size=3000).astype('float32'))\n"
        "f = lambda x: etude.exp(etude.tanh(x * 3.0)) - x\n"
        "with etude.use('cpu'), etude.no_grad():\n"
        "    step = etude.capture(f, generate=True)\n"
        "    want = f(x).numpy().tobytes()\n"
        "    assert [step(x).numpy().tobytes() for _ in range(2)] == [want, want]\n"
        "    assert 'chain_0' in step.source()\n")
    native = " ".join([*compiler(), *["-march=native"] * (platform.machine() == "x86_64")])
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True,
                          env={**os.environ, "ETUDE_CPU_ISA": isa, "CC": native})
    assert done.returncode == 0, done.stderr


@pytest.mark.usefixtures("needs_compiler")
@pytest.mark.parametrize("seed", range(5))
def test_random_chains_trained_give_the_same_bits(seed):
    """Forward, backward and what is written over what: gradients are pointwise chains too."""
    rng = np.random.default_rng(seed)
    maps = [etude.relu, etude.tanh, F.sigmoid, lambda t: t * 0.5, lambda t: F.gelu(t), etude.neg,
            lambda t: F.clamp(t, -1.0, 1.0), lambda t: F.leaky_relu(t, 0.2), F.silu]
    pairs = [etude.add, etude.sub, etude.mul, etude.maximum, lambda a, b: etude.where(a > b, a, -b)]
    plan = [(int(rng.integers(0, len(maps) + len(pairs))), int(rng.integers(0, 4)))
            for _ in range(14)]

    def chain(x, w):
        seen = [x, w, x + w]
        for which, back in plan:
            a = seen[-1]
            seen.append(maps[which](a) if which < len(maps) else
                        pairs[which - len(maps)](a, seen[-1 - back % len(seen)]))
        return seen[-1].sum()

    def step_of(w):
        def step(x):
            w.grad = None
            loss = chain(x, w)
            loss.backward()
            return loss

        return step

    x = numbers(400, 16, seed=seed)
    with etude.use("cpu"):
        eager, made = [etude.tensor(numbers(16, seed=9).array.copy(), requires_grad=True)
                       for _ in range(2)]
        step = etude.capture(step_of(made), generate=True)
        for _ in range(3):
            assert bits(step(x)) == bits(step_of(eager)(x))
            assert bits(made.grad) == bits(eager.grad)
        assert "chain_0" in step.source()


@pytest.mark.usefixtures("needs_compiler")
def test_memory_that_is_dead_may_be_overwritten_between_calls():
    x, y, b = numbers(700, 48), numbers(700, 48, seed=1), numbers(48, seed=2)
    with etude.use("cpu"), etude.no_grad():
        for chain in CHAINS.values():
            program = optimised(program_of(chain, x, y, b))
            found = []
            for options in ({}, {"generate": True, "poison": True}):
                run = Native(program, **options)
                for v, t in zip(program.arguments, (x, y, b), strict=True):
                    run.bind(v.buffer, t.array)
                memory = {v.buffer: np.zeros(v.buffer.nbytes, np.uint8) for v in program.results}
                for buffer, array in memory.items():
                    run.bind(buffer, array)
                run.run()
                run.run()
                found.append([memory[v.buffer].tobytes() for v in program.results])
            assert found[0] == found[1]


# ---------------------------------------------------------------------- the text


@pytest.mark.usefixtures("needs_compiler")
def test_the_text_has_a_line_for_each_call_and_no_load_or_store_between():
    with etude.use("cpu"), etude.no_grad():
        step = etude.capture(lambda x, y: etude.relu(x * 0.5 - y), generate=True)
        step(numbers(100), numbers(100, seed=1))
        lines = [line.strip() for line in step.source().splitlines()]
    begin = lines.index("ETUDE_SIMD for (int64_t i = begin; i < end; i++)")
    assert lines[begin + 1 :] == [
        "{", "real x0 = x0_at[i];", "real x1 = x1_at[i];", "real t2 = op_mul(x0, 0.5f);",
        "real t2_2 = op_sub(t2, x1);", "real y4 = op_relu(t2_2);", "y4_at[i] = y4;", "}", "}"]
    assert "VMATH real op_relu(real v) { return v < 0 ? 0 : v; }" in lines


@pytest.mark.parametrize(("x", "float32", "float64"), [
    (0.1, "0.1f", "0.1"), (-0.0, "-0.0f", "-0.0"), (3, "3.0f", "3.0"), (np.inf, "INFINITY",
    "INFINITY"), (-np.inf, "-INFINITY", "-INFINITY"), (np.nan, "NAN", "NAN"),
    (1 / 3, "0.33333334f", "0.3333333333333333"), (1e-45, "1e-45f", "1e-45"), (True, "1.0f", "1.0"),
])
def test_numbers_are_rounded_as_in_an_array(x, float32, float64):
    assert (literal(x, "f32"), literal(x, "f64")) == (float32, float64)


@pytest.mark.usefixtures("needs_compiler")
def test_a_loop_between_row_ops_is_a_member_of_their_group():
    x, b = numbers(700, 48), numbers(48, seed=2)
    with etude.use("cpu"), etude.no_grad():
        step = etude.capture(lambda x: F.softmax(etude.relu(x * 2.0 + b), dim=-1) * 3.0 - b,
                             generate=True)
        step(x), step(x)
        group, = step._takes[0]._executor.program.groups
        spans = [(loop.first, loop.last) for loop in loops_of(step)]
    assert (group.first, group.last) == (0, 6)
    assert spans == [(0, 3), (4, 6)]


@pytest.mark.usefixtures("needs_compiler")
def test_what_one_call_reads_row_by_row_another_may_read_as_a_whole():
    """The neg walks b, 16 rows of 1; the loop before it reads all of b in each of its rows."""
    def f(x, b):
        return etude.relu(x + b) * 2.0, -b

    x, b = numbers(400, 16), numbers(16, seed=1)
    with etude.use("cpu"), etude.no_grad():
        step = etude.capture(f, generate=True)
        want = bits(f(x, b))
        for _ in range(3):
            assert bits(step(x, b)) == want
        group, = step._takes[0]._executor.program.groups
    assert (group.last, group.rows) == (4, 16)


@pytest.mark.usefixtures("needs_compiler")
def test_a_kernel_of_somebody_else_ends_a_loop():
    from etude.backends.resolve import resolve

    @etude.implements("tanh")
    def tanh(x):
        return etude.TABLE["tanh"].reference(x)

    x = numbers(300, 8)
    with etude.use(*resolve(tanh), "cpu"), etude.no_grad():
        step = etude.capture(lambda x: etude.exp(etude.tanh(x * 2.0 + 1.0)) * x, generate=True)
        want = bits(step(x))
        assert bits(step(x)) == want
        assert "op_tanh" not in step.source()


@pytest.mark.usefixtures("needs_compiler")
def test_whole_numbers_stay_in_blocks():
    with etude.use("cpu"):
        step = etude.capture(lambda x: etude.relu(x * 2 - 3) + x, generate=True)
        x = etude.tensor(np.arange(-50, 50))
        want = step(x).tolist()
        assert step(x).tolist() == want
        assert "Nothing is generated" in step.source()


def test_who_asked_for_no_c_is_told_how_to_ask():
    step = etude.capture(lambda x: x * 2.0 + 1.0)
    step(numbers(10))
    with pytest.raises(CaptureError, match="generate=True"):
        step.source()
    with pytest.raises(CaptureError, match="call it once"):
        etude.capture(lambda x: x, generate=True).source()


@pytest.mark.usefixtures("needs_compiler")
def test_methods_and_copies_generate_too():
    class Scaled:
        def __init__(self):
            self.by = numbers(1)

        def step(self, x):
            return etude.relu(x * self.by) - x

    Scaled.step = etude.capture(Scaled.step, generate=True)
    one = Scaled()
    other = copy.deepcopy(one)
    with etude.use("cpu"), etude.no_grad():
        for owner in (one, other):
            owner.step(numbers(100))
            assert "op_relu" in owner.step.source()


# ---------------------------------------------------------------------- without a compiler


def chain(x):
    return etude.relu(x * 2.0 - 1.0) + x


def test_without_a_compiler_a_warning_says_how_to_get_one(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    x = numbers(100)
    with etude.use("cpu"), etude.no_grad():
        step = etude.capture(chain, generate=True)
        want = bits(chain(x))
        with pytest.warns(UserWarning, match="no C compiler was found.*apt install gcc.*same bits"
                          ) as told:
            assert bits(step(x)) == want
        assert told[0].filename == __file__  # the line of the call, none of Etude's
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # said once for a program
            assert bits(step(x)) == want
            assert step.source() == ""


def test_a_compiler_that_is_named_and_missing_is_none(monkeypatch):
    monkeypatch.setenv("CC", "no-such-compiler -O9")
    assert compiler() is None


@pytest.mark.parametrize("command", ["no-such-compiler -O9", "gcc 'half a quotation"])
def test_what_is_wrong_with_the_compiler_that_is_named_is_said(command, monkeypatch):
    monkeypatch.setenv("CC", command)
    x = numbers(100)
    with etude.use("cpu"), etude.no_grad():
        step = etude.capture(chain, generate=True)
        with pytest.warns(UserWarning, match=re.escape(f"$CC is {command!r}, and no compiler")):
            assert bits(step(x)) == bits(chain(x))


def test_on_the_reference_a_warning_says_what_is_missing():
    with etude.use("reference"), etude.no_grad():
        step = etude.capture(chain, generate=True)
        x = numbers(100)
        want = bits(step(x))
        with pytest.warns(UserWarning, match="needs the kernels of etude-cpu"):
            assert bits(step(x)) == want


@pytest.mark.parametrize(("script", "words"), [
    ("echo 'f.c:1:1: error: bad day' >&2; exit 1", "does not compile, says .*\n.*bad day"),
    ("exit 3", "status 3"),
    ("exit 0", "wrote no library"),
    ("for last; do :; done; case $last in -lm) echo none > $(echo $* | sed 's/.*-o //; s/ .*//');;"
     " esac", "cannot be opened"),
])
def test_a_broken_compiler_is_an_error_that_says_where_the_text_is(script, words, monkeypatch,
                                                                   tmp_path, its_own_cache):
    compile_with(monkeypatch, tmp_path / "cc", script)
    x = numbers(100)
    with etude.use("cpu"), etude.no_grad():
        step = etude.capture(chain, generate=True)
        with pytest.raises(BackendError, match=words):
            step(x)
    assert list(its_own_cache.glob("*.c"))
    assert not list(its_own_cache.glob("*.part"))


# ---------------------------------------------------------------------- the cache


@pytest.fixture
def counted(monkeypatch, tmp_path):
    """A compiler that notes its calls; ``counted()`` says how many there were."""
    found = compiler()
    if found is None:
        pytest.skip("NOT RUN: needs a C compiler")
    log = tmp_path / "log"
    compile_with(monkeypatch, tmp_path / "noting",
                 f"echo \"$*\" >> {log}\nexec {' '.join(found)} \"$@\"")
    return lambda: sum("-shared" in line for line in log.read_text().splitlines())


def test_a_text_is_compiled_once_and_again_when_anything_changes(counted, its_own_cache, tmp_path):
    text = "int three(void) { return 3; }\n"
    first = compiled(text, ["-O1"], [])
    assert compiled(text, ["-O1"], []) == first
    assert counted() == 1
    (tmp_path / "a.h").write_text("")
    others = {compiled(text + "\n", ["-O1"], []), compiled(text, ["-O2"], []),
              compiled(text, ["-O1"], [tmp_path])}
    (tmp_path / "a.h").write_text("/* changed */")
    others.add(compiled(text, ["-O1"], [tmp_path]))
    assert len(others | {first}) == counted() == 5


def test_a_library_that_is_cut_short_is_compiled_again(counted):
    first = compiled("int three(void) { return 3; }\n", [], [])
    first.write_bytes(first.read_bytes()[:900])
    assert compiled("int three(void) { return 3; }\n", [], []) == first
    assert counted() == 2


@pytest.mark.usefixtures("needs_compiler")
def test_a_cache_that_cannot_be_written_is_an_error_that_says_so(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(BackendError, match="XDG_CACHE_HOME"):
        compiled("int three(void) { return 3; }\n", [], [])


@pytest.mark.usefixtures("needs_compiler")
def test_processes_that_compile_the_same_at_the_same_time_all_get_it(its_own_cache):
    program = ("import sys, ctypes\nfrom etude.backends.native.compiled import compiled\n"
               "sys.stdin.readline()\n"
               "path = compiled('int three(void) { return 3; }\\n', ['-O1'], [])\n"
               "print(ctypes.CDLL(str(path)).three())\n")
    running = [subprocess.Popen([sys.executable, "-c", program], text=True, stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE) for _ in range(4)]
    for one in running:
        one.stdin.write("go\n")
        one.stdin.flush()
    assert [one.communicate(timeout=120)[0].strip() for one in running] == ["3"] * 4
    assert len(list(its_own_cache.glob("*.so"))) == 1
    assert not list(its_own_cache.glob("*.part"))
