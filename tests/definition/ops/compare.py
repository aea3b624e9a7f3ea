"""Comparisons. Python compares numbers of every kind by their exact values."""

import operator

from exact import pointwise

for _op, _compare in (("eq", operator.eq), ("ne", operator.ne), ("lt", operator.lt),
                      ("le", operator.le), ("gt", operator.gt), ("ge", operator.ge)):
    pointwise(_op, special=lambda x, y, f=_compare: f(x, y))(lambda x, y, f=_compare: f(x, y))
