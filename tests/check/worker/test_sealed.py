"""A worker without references: every way to a sealed op refuses, and the others go on."""

import subprocess
import sys
import textwrap


def sealed(text):
    """What a process prints that has sealed something: none gets its references back."""
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(text)], capture_output=True,
                          text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n")[:-1]


def test_a_sealed_op_refuses_and_the_others_are_as_they_were():
    assert sealed("""
        import numpy as np
        import etude
        from etude.core.table import TABLE
        from etude_check.worker.sealed import seal
        x = np.ones(3, np.float32)
        kept = TABLE["softmax"].reference
        before = {name: TABLE[name](x) for name in ("exp", "log_softmax", "sum", "neg")}
        seal(["softmax"])
        for way in (kept, TABLE["softmax"], TABLE["softmax"].reference,
                    lambda x: etude.softmax(etude.tensor(x)),
                    lambda x: etude.tensor(x).softmax(dim=0),
                    lambda x: etude.functional.softmax(etude.tensor(x))):
            try:
                print(way(x))
            except etude.BackendError as error:
                print(str(error))
        print(all(np.array_equal(TABLE[n](x), y) for n, y in before.items()))
        """) == 6 * ["the reference of this op is not there, because it is the answer"] + ["True"]


def test_all_ops_can_be_sealed_and_their_shape_rules_still_speak():
    assert sealed("""
        import gc
        import types
        import numpy as np
        import etude
        from etude.core.table import TABLE
        from etude_check.worker.sealed import seal
        seal(TABLE)
        x = np.ones((2, 3), np.float32)
        print(TABLE["matmul"].check((x, x.T), {}).shape)
        try:
            TABLE["matmul"].check((x, x), {})
        except etude.ShapeError:
            print("ShapeError")
        left = [op.name for op in TABLE.values() if isinstance(op.reference, types.FunctionType)
                and op.reference.__code__.co_name != "refused"]
        print(left)
        print({type(op.reference).__name__ for op in TABLE.values()})
        """) == ["(2, 2)", "ShapeError", "[]", "{'function'}"]


def test_forbidden_modules_and_functions_refuse_by_every_name():
    found = sealed("""
        import numpy as np
        from numpy import var as kept
        from etude_check.worker.sealed import forbid
        forbid(["numpy.var", "numpy.matmul", "colorsys", "xml.dom", "no_such_module"])
        x = np.ones(3)
        for way in (lambda: kept(x), lambda: np.var(x), lambda: x.var(), lambda: np.matmul(x, x),
                    lambda: __import__("colorsys"), lambda: __import__("xml.dom.minidom"),
                    lambda: np.mean(x), lambda: __import__("xml.sax").__name__):
            try:
                print("reached", way())
            except Exception as error:
                print(error)
        """)
    assert found[:6] == [f"{n} may not be used in this question" for n in (
        "numpy.var", "numpy.var", "numpy.var", "numpy.matmul", "colorsys", "xml.dom")]
    assert found[6:] == ["reached 1.0", "reached xml"]
