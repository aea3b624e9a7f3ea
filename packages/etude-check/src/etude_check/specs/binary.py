"""Binary arithmetic with broadcasting. Reference: etude/ops/binary.py."""

from etude_check.bounds import Elementary, Exact
from etude_check.draw import Draw
from etude_check.plans import broadcasting, elementwise
from etude_check.spec import call, spec


def _two(d: Draw, shapes):
    return call(*(d.floats(s) for s in shapes))


for _op in ("add", "sub", "mul", "maximum", "minimum"):
    spec(_op, plans=elementwise(2), make=_two, model=Exact(), random=broadcasting(2),
         policy="NaN in, NaN out." if _op in ("maximum", "minimum") else "IEEE 754.")
