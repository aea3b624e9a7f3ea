"""Hand-ins that let somebody else compute: the reference, another column, the kit, a library."""

import shutil

import numpy as np
import pytest
from attacks import attack

from etude.backends.plugins import registry
from etude_check.worker.candidate import Candidate, prepare
from etude_check.worker.sandbox import Sandbox
from etude_course.record import Status
from etude_course.run import provenance
from etude_course.run.run import run
from etude_course.source.source import Source

TOML = """
id = "T2"
title = "An op"
version = 1
files = ["small.py"]

[[question]]
id = "exponential"
title = "e to the x"
also = ["small.c"]

  [[question.check]]
  id = "double-values"
  points = 4
  op = "expm1"
  kinds = ["tail"]
  dtypes = ["float32"]

[[mutant]]
name = "not-minus-one"
mistake = "this is e to the x; asked for is one less"
old = "np.expm1(x)"
new = "np.exp(x)"
loses = ["double-values"]
"""

SOLUTION = """
import etude
import numpy as np

@etude.implements("expm1")
def expm1(x):
    # BEGIN SOLUTION
    return np.expm1(x)
    # END SOLUTION
"""

KERNEL = """
#include "etude.h"
#include <dlfcn.h>
#include <math.h>
#include <stdlib.h>
int etude_expm1_f32(etude_context *ctx, const float *x, float *y, int64_t n, double a, double b)
{
    // BEGIN SOLUTION STARTER: return 1;
    %s
    for (int64_t i = 0; i < n; i++)
        y[i] = %s;
    return ETUDE_OK;
    // END SOLUTION
}
"""

#: Ways to the reference's result, none of which the text of a hand-in gives away. ``x`` is given.
WAYS = """
import importlib, inspect
from pathlib import Path
import numpy as np

def named(path):
    module, _, name = path.partition(":")
    found = importlib.import_module("etu" + module)
    for part in name.split(".") if name else ():
        found = getattr(found, part)
    return found

def copied(f):
    return type(named)(f.__code__, f.__globals__, closure=f.__closure__)

WAYS = {
    "table": lambda x: named("de.core.table:TABLE")["expm1"](x),
    "body": lambda x: named("de.core.table:TABLE")["expm1"].reference(x),
    "module": lambda x: named("de.ops.map:expm1").reference(x),
    "function": lambda x: named("de:expm1")(named("de:tensor")(x)),
    "functional": lambda x: named("de.functional:expm1")(named("de:tensor")(x)),
    "method": lambda x: named("de:tensor")(x).expm1(),
    "other op": lambda x: named("de:exp")(named("de:tensor")(x)),
    "dispatcher": lambda x: named("de.core.columns:Table")("cpu")["expm1"](x),
    "copy": lambda x: copied(named("de.core.table:TABLE")["expm1"].reference)(x),
    "source": lambda x: inspect.getsource(named("de.core.table:TABLE")["expm1"].reference),
    "file": lambda x: Path(named("de.ops").__path__[0] + "/map.py").read_text(),
    "reload": lambda x: importlib.reload(named("de.ops.map")).expm1.reference(x),
    "column": lambda x: named("de.backends.plugins:registry")().load("cpu").ops["expm1"](x),
    "plugin": lambda x: importlib.import_module("etude_" + "cpu"),
    "animals": lambda x: importlib.import_module("etude_check.zoo").animals(),
    "specs": lambda x: importlib.import_module("etude_check.specs.map"),
    "oracle": lambda x: importlib.import_module("etude_check.bounds.question"),
    "library": lambda x: importlib.import_module("sci" + "py.special").expm1(x),
}
"""
HERE = {"library": "scipy", "column": "etude_cpu", "plugin": "etude_cpu"}


@pytest.fixture
def source(written):
    checks = "from etude_course.source.checks import cases\n"
    return Source.read(written(toml=TOML, solution=SOLUTION, checks=checks,
                               **{"solution/small_c": KERNEL % ("", "expm1f(x[i])")}))


def attempt(name):
    """A way of getting there, in this process: what it returns."""
    space = {}
    exec(WAYS, space)
    return space["WAYS"][name](np.ones(3, np.float32))


def ways():
    space = {}
    exec(WAYS, space)
    return sorted(space["WAYS"])


REACH = WAYS + """
import etude

def reach(x):
    found = {}
    for name, way in WAYS.items():
        try:
            found[name] = f"worked: {way(x)!r:.80}"
        except BaseException as error:
            found[name] = f"{type(error).__name__}: {error!s:.200}"
    return found

@etude.implements("expm1")
def expm1(x):
    for name, way in WAYS.items():
        try:
            return np.asarray(way(x))
        except BaseException:
            continue
    return x
"""


def test_no_way_leads_to_the_reference(source, tmp_path):
    (tmp_path / "answer.py").write_text(REACH)
    walls = provenance.walls_for(source.assignment.questions[0])
    with Sandbox(prepare(Candidate("answer", str(tmp_path / "answer.py"))), walls=walls) as box:
        found = box.drive("reach", [np.ones(3, np.float32)], timeout=20).value
    assert sorted(found) == ways()
    assert [name for name in found if found[name].startswith("worked")] == []
    for name in ("table", "body", "module", "function", "functional", "method", "other op",
                 "dispatcher", "copy"):
        assert "is not there, because it is the answer" in found[name], (name, found[name])


def test_a_hand_in_that_tries_them_all_earns_nothing(source, hand_in):
    attack(source, hand_in(""), REACH)


def test_a_hand_in_cannot_waive_its_own_failures(source, hand_in):
    found = attack(source, hand_in(""), """
import etude
ETUDE_WAIVERS = [{"op": "expm1", "kind": "*", "dtype": "*", "reason": "hard",
                  "expires": "2999-01-01"}]

@etude.implements("expm1")
def expm1(x):
    return x
""")
    assert found.check.status is Status.FAILED
    assert found.check.executed > 4


def test_a_hand_in_cannot_decline_the_cases_that_it_gets_wrong(source, hand_in):
    found = attack(source, hand_in(""), """
import etude

@etude.implements("expm1")
def expm1(x):
    if x.size != 1:
        raise etude.Unsupported("too hard")
    return np.expm1(x)
""")
    assert found.check.executed < found.check.declared


@pytest.mark.parametrize("name", [w for w in ways() if w not in ("reload",)])
def test_the_same_ways_lead_there_where_nothing_is_sealed(name):
    if name in HERE:
        pytest.importorskip(HERE[name], reason="NOT RUN: needs it installed")
    if name == "column" and "cpu" not in registry().backends:
        pytest.skip("NOT RUN: needs the compiled column of this Etude")
    assert attempt(name) is not None


@pytest.mark.parametrize(("line", "name"), [
    ("y = etude.expm1(x)", "etude.expm1"),
    ("from etude.core.table import TABLE", "etude.core.table.TABLE"),
    ("import etude.functional as F; y = F.expm1(x)", "etude.functional.expm1"),
    ("from etude import exp as e", "etude.exp"),
])
def test_what_the_text_uses_openly_is_refused_with_its_line(source, hand_in, line, name):
    text = f"import etude\n\n@etude.implements('expm1')\ndef expm1(x):\n    {line}\n    return y\n"
    check, = run(source, hand_in(text), seed="s").checks
    assert (check.status, check.points) == (Status.REFUSED, 0)
    assert f"small.py, line 5: it uses {name}" in check.message or "etude.functional" in \
        check.message


@pytest.mark.skipif(not (shutil.which("cc") and shutil.which("nm")),
                    reason="NOT RUN: needs a C compiler and nm")
class TestInC:
    def graded(self, source, hand_in, first, each):
        folder = hand_in(KERNEL % (first, each), name="small.c")
        check, = run(source, folder, seed="s").checks
        return check

    def test_a_kernel_may_use_the_functions_of_mathematics(self, source, hand_in):
        check = self.graded(source, hand_in, "free(malloc(8));", "expm1f(x[i])")
        assert check.status is Status.PASSED, check.message

    @pytest.mark.parametrize(("first", "symbol"), [
        ('system("true");', "system"),
        ('void *other = dlopen("libetude.so", RTLD_NOW); (void)other;', "dlopen"),
        ('((void (*)(void))dlsym(RTLD_DEFAULT, "etude_expm1_f32_avx2"))();', "dlsym"),
        ("extern void cblas_sgemm(void); cblas_sgemm();", "cblas_sgemm"),
        ("extern int fork(void); fork();", "fork"),
    ])
    def test_a_kernel_that_calls_anything_else_is_refused(self, source, hand_in, first, symbol):
        check = self.graded(source, hand_in, first, "x[i]")
        assert (check.status, check.points) == (Status.REFUSED, 0)
        assert f"small.c calls {symbol}, " in check.message


def test_a_forbidden_function_of_numpy_refuses_by_every_name(written, hand_in):
    toml = TOML.replace('also = ["small.c"]', 'forbid = ["numpy.expm1", "numpy.var"]')
    checks = "from etude_course.source.checks import cases\n"
    solution = SOLUTION.replace("np.expm1(x)", "np.exp(x) - 1")
    toml = toml.replace('"np.expm1(x)"', '"- 1"').replace('"np.exp(x)"', '"- 2"')
    source = Source.read(written(toml=toml, solution=solution, checks=checks))
    found = attack(source, hand_in(""), '''
        import etude
        first = []

        @etude.implements("expm1")
        def expm1(x):
            if not first:
                first.append(x)
                f, v = getattr(np, "exp" + "m1"), getattr(x, "v" + "ar")
                said = []
                for what in (lambda: f(x), lambda: v(), lambda: getattr(np, "v" + "ar")(x)):
                    try:
                        said.append(f"reached {what()}")
                    except Exception as error:
                        said.append(f"refused: {error}")
                raise RuntimeError("; ".join(said))
            return x
        ''')
    assert found.check.message.count("may not be used in this question") == 3
    assert "reached" not in found.check.message


def test_no_text_of_a_forbidden_name_is_refused_by_chance():
    text = "import numpy as np\ndef f(x, var):\n    return np.mean(x) + var\n"
    assert list(provenance.used("a.py", text, ["numpy.var", "sum", "torch"])) == []
    text = "def sum(x):\n    return x\ndef f(x):\n    return sum(x)\n"
    assert list(provenance.used("a.py", text, ["sum"])) == []


@pytest.mark.parametrize(("line", "rule"), [
    ("np.var(x)", "numpy.var"), ("x.var()", "numpy.var"), ("np.linalg.inv(x)", "numpy.linalg"),
    ("x @ x", "numpy.matmul"), ("sorted(x)", "sorted"), ("n.var(x)", "numpy"),
])
def test_a_forbidden_name_is_found_in_the_text(line, rule):
    text = f"import numpy as np\nimport numpy as n\ndef f(x):\n    return {line}\n"
    said = list(provenance.used("a.py", text, [rule]))
    assert any(s.startswith("a.py, line 4: it uses ") and rule in s for s in said)


def test_where_compiled_answers_cannot_be_looked_into_the_result_says_so(monkeypatch, small,
                                                                        hand_in):
    monkeypatch.setattr(provenance.shutil, "which", lambda name: None)
    found = run(small, hand_in("def double(x):\n    return x + x\n"), hidden=False)
    assert any("there is no nm" in wall for wall in found.walls)
