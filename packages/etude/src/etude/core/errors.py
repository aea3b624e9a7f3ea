"""The errors Etude raises. Each message says what was asked, what was given and what to try.

Every class also derives from the built-in exception a Python programmer would expect, so that
``except ValueError`` keeps working. Where they are worded: shape rules (``shapes.py`` and the
families in ``ops/``), promotion (``dispatch.py``) and the table of columns (``columns.py``).
"""

import difflib
from collections.abc import Iterable


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown word: ". Did you mean 'softmax'?", or a full stop."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f". Did you mean {close[0]!r}?" if close else "."


def no_such_name(package: str, name: str, known: Iterable[str]) -> AttributeError:
    """For a package that has no ``name``: says which name it has that is written alike."""
    alike = [k for k in known if k.lower() == name.lower()]
    last = package.rpartition(".")[2]
    hint = f"; write {last}.{alike[0]}" if alike else did_you_mean(name, known)
    if hint == "." and len(list(known)) < 50:  # few enough to name all
        hint = f"; it has {', '.join(known)}"
    return AttributeError(f"{package} has no {name!r}{hint}")


class ShapeError(ValueError):
    """Shapes that do not fit together, or an array that is empty where it must not be."""


class DTypeError(TypeError):
    """A dtype the op does not take, or operands whose dtypes differ."""


class AxisError(IndexError):
    """A dimension number outside the array, or named twice."""


class DeviceError(RuntimeError):
    """Operands on different devices, or an op that the device does not have."""


class BackendError(RuntimeError):
    """A backend that is unknown, unavailable or broken, or an op missing in strict mode."""


class CaptureError(RuntimeError):
    """A function that cannot be captured, because a replay would not do what it does."""


class FileError(ValueError):
    """A file that is damaged, unsafe to read, or not of the kind that was asked for."""


class ChapterError(RuntimeError):
    """A chapter of the gallery that is not there or not complete, or a cell of it that failed."""


class Unsupported(Exception):  # noqa: N818 - a refusal, not an error: the dispatcher catches it
    """Raised by a column to decline one call (a dtype, a stride). The reference then runs it.

    The reason is counted and shown in the receipt, so word it for a reader:
    ``raise Unsupported("float64")``. A NotImplementedError declines as well, and warns: the op is
    not written yet.
    """
