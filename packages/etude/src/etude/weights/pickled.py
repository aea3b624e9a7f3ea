"""The pickle inside a .pt file, read as data: no name in it is looked up, and nothing is called.

A pickle is a program for a small machine with a stack, and two of its instructions import a name
and call it. That is how a file can run code. Here is the machine again with the instructions that
``torch.save`` writes for dicts of tensors, and a list of the names that those need. A name becomes
a ``Name``, which is text; "calling" one makes a ``Storage`` or a ``View``, which say where numbers
lie. Everything else is refused by name. The file around it: ``pt.py``; what writes it:
``pt_write.py``. The instructions: the module ``pickletools`` of the standard library.
"""

from __future__ import annotations

import pickletools
from dataclasses import dataclass
from typing import Any, NoReturn

#: The classes of storage, and NumPy's name for their numbers; a bfloat16 is read as its 16 bits.
STORAGES = {"FloatStorage": "<f4", "DoubleStorage": "<f8", "HalfStorage": "<f2",
            "BFloat16Storage": "bfloat16", "LongStorage": "<i8", "IntStorage": "<i4",
            "ShortStorage": "<i2", "CharStorage": "|i1", "ByteStorage": "|u1",
            "BoolStorage": "|b1"}
TENSOR = "torch._utils._rebuild_tensor_v2"
PARAMETER = "torch._utils._rebuild_parameter"
DICT = "collections.OrderedDict"
KNOWN = {TENSOR, PARAMETER, DICT, "torch.Size", *(f"torch.{name}" for name in STORAGES)}


class RefusedError(ValueError):
    """What the pickle asks for is not among the things that a dict of tensors needs."""


@dataclass(frozen=True)
class Name:
    """``module.name`` as the pickle has it. Text, nothing more."""

    text: str


@dataclass(frozen=True)
class Storage:
    """Numbers in a row: the entry ``data/<key>`` of the archive."""

    key: str
    dtype: str
    count: int


@dataclass(frozen=True)
class View:
    """A tensor: which numbers of a storage, by offset, shape and strides in elements."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


MARK = object()


def unpickled(data: bytes) -> Any:
    """What the pickle describes: dicts, lists, tuples, text, numbers and Views.

    RefusedError for a name or an instruction that is not on the list, ValueError for bytes that
    are no pickle.
    """
    machine = _Machine()
    try:
        for opcode, argument, _ in pickletools.genops(data):
            if opcode.name == "STOP":
                return machine.stack.pop()
            machine.step(opcode.name, argument)
    except RefusedError:
        raise
    except Exception as error:  # pickletools and the stack raise whatever the bytes lead to
        raise ValueError(f"its data.pkl is no whole pickle: {type(error).__name__} {error}"
                         ) from None
    raise ValueError("its data.pkl does not come to an end")


class _Machine:
    """The stack, and the memo of what was numbered for another use."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def step(self, name: str, argument: Any) -> None:
        stack = self.stack
        if name in ("PROTO", "FRAME"):
            return
        if name in CONSTANTS:
            stack.append(CONSTANTS[name]())
        elif name in LITERALS:
            stack.append(argument)
        elif name in ("BINPUT", "LONG_BINPUT"):
            self.memo[argument] = stack[-1]
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(self.memo[argument])
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            count = int(name[-1])
            stack.append(tuple([stack.pop() for _ in range(count)][::-1]))
        elif name == "TUPLE":
            stack.append(tuple(self._since_mark()))
        elif name in ("SETITEM", "SETITEMS", "APPEND", "APPENDS"):
            self._fill(name)
        elif name == "GLOBAL":
            stack.append(_known(*argument.split(" ", 1)))
        elif name == "STACK_GLOBAL":
            attribute, module = stack.pop(), stack.pop()
            stack.append(_known(module, attribute))
        elif name == "BINPERSID":
            stack.append(_storage(stack.pop()))
        elif name == "REDUCE":
            arguments, what = stack.pop(), stack.pop()
            stack.append(_made(what, arguments))
        elif name == "BUILD":  # the version numbers that a state_dict has as an attribute
            stack.pop()
            if not isinstance(stack[-1], dict):
                _refuse("gives attributes to something that is no dict")
        else:
            _refuse(f"has the instruction {name}")

    def _since_mark(self) -> list[Any]:
        items: list[Any] = []
        while (top := self.stack.pop()) is not MARK:
            items.append(top)
        return items[::-1]

    def _fill(self, name: str) -> None:
        """Put what lies on the stack into the dict or the list below it."""
        if name in ("SETITEMS", "APPENDS"):
            items = self._since_mark()
        else:
            items = [self.stack.pop() for _ in range(2 if name == "SETITEM" else 1)][::-1]
        into = self.stack[-1]
        if name.startswith("APPEND"):
            if not isinstance(into, list):
                raise ValueError("it appends to something that is no list")
            into.extend(items)
            return
        if not isinstance(into, dict):
            raise ValueError("it sets items of something that is no dict")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if key in into:
                raise ValueError(f"the key {key!r} comes twice")
            into[key] = value


#: Instructions that bring the same thing each time, and those that bring what follows them.
CONSTANTS: dict[str, Any] = {
    "MARK": lambda: MARK, "EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple,
    "NONE": lambda: None, "NEWTRUE": lambda: True, "NEWFALSE": lambda: False}
LITERALS = {"BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BININT", "BININT1", "BININT2",
            "LONG1", "BINFLOAT"}


def _refuse(what: str) -> NoReturn:
    raise RefusedError(what)


def _known(module: Any, attribute: Any) -> Name:
    """The name, if a dict of tensors may have it."""
    text = f"{module}.{attribute}"
    if text not in KNOWN:
        _refuse(f"asks for {text[:200]!r}")
    return Name(text)


def _storage(given: Any) -> Storage:
    """Of ("storage", class, key, device, count)."""
    kind, of, key, _, count = given
    if kind != "storage" or not isinstance(of, Name) or not isinstance(key, str):
        raise ValueError(f"a storage is described as {str(given)[:80]!r}")
    return Storage(key, STORAGES[of.text.removeprefix("torch.")], _size(count))


def _made(what: Any, arguments: Any) -> Any:
    """What a call would give, for the few that are known."""
    text = what.text if isinstance(what, Name) else f"a {type(what).__name__}"
    if text == DICT and not arguments:
        return {}
    if text == "torch.Size":
        return tuple(arguments[0])
    if text == PARAMETER:
        return _tensor(arguments[0])
    if text == TENSOR:
        storage, offset, shape, strides = arguments[:4]
        if not isinstance(storage, Storage):
            raise ValueError("a tensor without a storage")
        return View(storage, _size(offset), tuple(map(_size, shape)), tuple(map(_size, strides)))
    return _refuse(f"calls {text}")


def _tensor(value: Any) -> View:
    if not isinstance(value, View):
        raise ValueError(f"a parameter made of a {type(value).__name__}")
    return value


def _size(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 1 << 62:
        raise ValueError(f"{str(value)[:40]} is given as a size")
    return value
