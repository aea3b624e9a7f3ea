"""What a student is told of a check: the mistake by name, and the smallest failing case, drawn.

    asked      variance(x)
               x  float32 [2, 3]
                    0.5   1.5  -2
                    1     0     3
    expected   float32 [2]
                  2.17  1.56
    got        float32 [2]
                  3.25* 2.33*

A star stands beside every element that is wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from etude_course.cases.case import Case, Raises
from etude_course.cases.compare import Difference
from etude_course.kit.kit import RIGHT, VARIES, Answer, Fingerprint, Visible
from etude_course.run.calls import Fault, Judge, alike, driven_of, verdict
from etude_course.source.assignment import Check

WHOLE = 64  # elements of an array that is printed whole
COLUMNS = 10  # of a row that is printed whole
WRONG = 5  # wrong elements of a larger one that are named
INDENT = 11
PRINTED = 12  # lines that the answer printed
DIGITS = 6
TEXT = 400  # characters of a value that is no array


def mistake(check: Check, shown: Visible, answers: Sequence[Answer], judge: Judge | None) -> str:
    """The sentence of the mistake that an answer looks like on the visible cases of a call; "" if
    of none. It is wrong in the same cases, and answers the same in more than half of them: how it
    rounds on the way may differ.
    """
    cases = [c for c in shown.cases if isinstance(c, Case)]

    def wrong(found: Sequence[Answer]) -> list[bool]:
        return [a.ended != RIGHT and verdict(check, c, driven_of(a), judge) is not None
                for c, a in zip(cases, found, strict=True)]

    mine = wrong(answers)
    best, most = "", sum(mine) / 2
    for one in shown.fingerprints:
        if wrong(one.answers) == mine:
            same = sum(w and alike(a, b, check.tolerance)
                       for w, a, b in zip(mine, answers, one.answers, strict=True))
            if same > most:
                best, most = one.mistake, same
    return best


def same_answers(fingerprints: Sequence[Fingerprint], answers: Sequence[Answer]) -> str:
    """The same of an op, on cases of the conformance kit. Half of what is compared has to be alike:
    a mistake that reads where nothing lies may seem steady, by chance, where the kit is made.
    """
    best, most = "", 0
    for one in fingerprints:
        pairs = list(zip(answers, one.answers, strict=True))
        if all((a.ended == RIGHT) == (b.ended == RIGHT) for a, b in pairs):
            steady = [(a, b) for a, b in pairs if b.ended not in (RIGHT, VARIES)]
            same = sum(alike(a, b, "") for a, b in steady)
            if same > most and 2 * same >= len(steady):
                best, most = one.mistake, same
    return best


def smallest(faults: Sequence[Fault]) -> Fault:
    """The fault to show: of a visible case if there is one, of the smallest."""
    return min(faults, key=lambda f: (f.case.hidden, f.case.size))


def drawn(check: Check, fault: Fault) -> str:
    """The case as text, and what the answer printed meanwhile."""
    lines = _lines(check, fault)
    printed = fault.driven.log.splitlines() if fault.driven else []
    if printed[PRINTED:]:
        printed = ["...", *printed[-PRINTED:]]
    return "\n".join(lines + _labelled("printed", printed))


def _lines(check: Check, fault: Fault) -> list[str]:
    lines = _labelled("asked", [_call(check, fault.case)])
    for i, arg in enumerate(fault.case.args):
        lines += _labelled("", _value(arg, None, f"{_name(i)}  "))
    found = fault.difference
    if found is None:
        expected = fault.case.expected
        if expected is not None:
            lines += _labelled("expected", _value(expected, None))
        lines += _labelled("got", (fault.driven.traceback if fault.driven else ""
                                   ).splitlines() or [fault.message])
        return lines
    at = f"{found.path}  " if found.path else ""
    if found.expected is not None:
        lines += _labelled("expected", _value(found.expected, None, at))
    lines += _labelled("got", _value(found.got, found.wrong, at))
    if found.wrong is not None and found.wrong.size > WHOLE:
        lines += _labelled("wrong", _worst(found))
    return lines


def _call(check: Check, case: Case) -> str:
    names = [_name(i) if _large(a) else _short(a) for i, a in enumerate(case.args)]
    if check.call.startswith("drivers:"):
        names.insert(0, "answer")
    return f"{check.call.removeprefix('drivers:')}({', '.join(names)}){f'; {case.name}':.80}"


def _name(i: int) -> str:
    return "xyzuvw"[i] if i < 6 else f"x{i}"


def _large(value: Any) -> bool:
    return isinstance(value, np.ndarray) or len(repr(value)) > 60


def _short(value: Any) -> str:
    return repr(value.item()) if isinstance(value, np.generic) else repr(value)


def _labelled(label: str, lines: Sequence[str]) -> list[str]:
    return [f"{label if not i else '':{INDENT}}{line}".rstrip() for i, line in enumerate(lines)]


def _value(value: Any, wrong: Any, name: str = "") -> list[str]:
    """A value in lines; of arguments that stand in the call already, none."""
    if isinstance(value, Raises):
        return [f"{name}an exception: {value.exception}"]
    if isinstance(value, np.ndarray) and value.ndim:
        return [f"{name}{value.dtype.name} {list(value.shape)}", *picture(value, wrong)]
    if name and not _large(value) and wrong is None and name.strip() in "xyzuvw":
        return []
    text = _short(value)
    return [name + (text if len(text) <= TEXT else f"{text[:TEXT]} ... ({len(text)} characters)")]


def picture(array: np.ndarray[Any, Any], wrong: Any = None) -> list[str]:
    """A small array as a grid, the wrong elements marked; of a large one, its corner. Axes of
    length 1 are left out where there are more than two.
    """
    if array.ndim > 2 and 1 in array.shape:
        array = array.squeeze()
        wrong = None if wrong is None else wrong.squeeze()
    if array.size == 0:
        return ["  (no elements)"]
    if array.size > WHOLE:
        corner = array[tuple(slice(0, 4) for _ in array.shape[-2:])] if array.ndim <= 2 else \
            array[(0,) * (array.ndim - 2)][:4, :4]
        mark = None if wrong is None else (
            wrong[tuple(slice(0, 4) for _ in array.shape[-2:])] if array.ndim <= 2
            else wrong[(0,) * (array.ndim - 2)][:4, :4])
        return ["  its corner:", *_grid(np.atleast_2d(corner), mark)]
    if array.ndim <= 2:
        return _grid(np.atleast_2d(array), wrong)
    lines = []
    for index in np.ndindex(array.shape[:-2]):
        lines.append(f"  [{', '.join(map(str, index))}]")
        lines += _grid(array[index], None if wrong is None else wrong[index])
    return lines


def _grid(array: np.ndarray[Any, Any], wrong: Any) -> list[str]:
    marks = np.zeros(array.shape, bool) if wrong is None else np.asarray(wrong).reshape(array.shape)
    cells = [[_number(x) + ("*" if m else " ") for x, m in zip(row, mark, strict=True)]
             for row, mark in zip(array, marks, strict=True)]
    width = max(len(c) for row in cells for c in row)
    return ["  " + " ".join(f"{c:>{width}}" for c in row).rstrip() for row in cells]


def _number(x: Any) -> str:
    return str(x.item()) if x.dtype.kind != "f" else f"{x:.{DIGITS}g}"


def _worst(found: Difference) -> list[str]:
    assert found.wrong is not None
    places = np.argwhere(found.wrong)[:WRONG]
    lines = [f"at {[int(i) for i in p]}: {_number(found.got[tuple(p)])}, expected "
             f"{_number(found.expected[tuple(p)])}" for p in places]
    more = int(found.wrong.sum()) - len(places)
    return lines + ([f"and {more} more"] if more > 0 else [])
