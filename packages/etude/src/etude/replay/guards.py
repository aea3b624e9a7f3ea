"""What a program is good for: the signature of a call, and what else must be as it was.

A program repeats the op calls of one run, so it may stand in for the function only where that would
run the same way. Three things are looked at, the dearest only when something may have changed:

    at every call       the arguments; the tables in force and the mode; what the names of the
                        function mean; whether leaves want a gradient and have one; tests that
                        others asked for, such as an optimiser
    if Changes.count    the attributes of every module that the function can reach, and whether
    has moved           Tensors have the memory they had

What the names mean (``Names``) is followed from the function to the functions and plain objects
that it names: closures, globals, defaults, small lists and dicts, and of an object the attributes
and methods whose names are in the code. Values that do not change, such as numbers and texts, are
compared; of everything else it is asked whether it is the same object.
"""

from __future__ import annotations

import dis
import gc
import sys
import threading
import types
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from etude.core.tensor import Tensor
from etude.nn.module import Module
from etude.optim.optimizer import Optimizer
from etude.optim.scheduler import Scheduler
from etude.replay.memory import owner_of

MISSING = object()
DEEP = 8  # lists in dicts in lists ...
SMALL = 32  # entries; longer lists and dicts are data, and only asked whether they are the same
OF_OBJECT = "_captured_"  # begins the names under which objects keep captured functions
OURS = str(Path(__file__).parents[1])

#: Held by the one thread that traces.
TRACING = threading.RLock()

GRAD: Any = Tensor.__dict__["grad"]


class World:
    """Every Tensor and every module there is, as they are now.

    The garbage collector knows them all. So memory is found to be a Tensor's however the function
    gets at it, and what the function changed is found by looking again.

    Make one only while holding ``TRACING``: it keeps the Tensors of other threads alive, and would
    make a trace in one of them believe that its results are kept.
    """

    def __init__(self) -> None:
        self.tensors: list[tuple[Tensor, Any, Any, bool, int]] = []
        self.modules: list[tuple[Module, dict[str, Any]]] = []
        for x in living(Tensor):
            try:
                self.tensors.append((x, x.array, grad_of(x), x.requires_grad, x.written))
            except AttributeError:
                continue  # another thread is making it
        for m in living(Module):
            self.modules.append((m, dict(vars(m))))

    def memories(self) -> set[int]:
        """The ids of what owns the memory of all these Tensors."""
        return {id(owner_of(array)) for _, array, *_ in self.tensors}

    def changed_attribute(self, modules: Iterable[Module]) -> str:
        """An attribute of one of these that is not what it was, "Dropout.p", or ""."""
        asked = {id(m) for m in modules}
        for module, before in self.modules:
            now = vars(module) if id(module) in asked else before
            for name in now.keys() | before.keys():
                if now.get(name, MISSING) is not before.get(name, MISSING) and (
                        not name.startswith(OF_OBJECT)):
                    return f"{type(module).__name__}.{name}"
        return ""

    def related(self, owners: Iterable[int], roots: Iterable[Module]) -> list[Module]:
        """The modules that hold one of these memories, those around them, and all inside."""
        known, found = set(owners), set(map(id, roots))
        around: dict[int, list[Module]] = {}
        for module, before in self.modules:
            for value in before.values():
                if isinstance(value, Module):
                    around.setdefault(id(value), []).append(module)
                elif isinstance(value, Tensor) and id(owner_of(value.array)) in known:
                    found.add(id(module))
        by_id = {id(m): m for m, _ in self.modules}
        todo = list(found)
        while todo:
            for module in around.get(todo.pop(), ()):
                if id(module) not in found:
                    found.add(id(module))
                    todo.append(id(module))
        every = {id(m): m for i in found if i in by_id for m in by_id[i].modules()}
        return list(every.values())


def living(kind: type) -> list[Any]:
    """Every object of this class and of those below it.

    An object refers to its class. ``gc.get_objects`` would hand out what another thread is still
    making as well: a tuple that somebody else holds cannot be finished (a SystemError in CPython).
    """
    classes = [kind]
    for c in classes:
        classes.extend(set(c.__subclasses__()).difference(classes))
    return [x for x in gc.get_referrers(*classes) if issubclass(type(x), kind)]


def grad_of(t: Tensor) -> Any:
    """``t.grad``, and None for a result that keeps none."""
    try:
        return GRAD.__get__(t)
    except AttributeError:
        return None


# ------------------------------------------------------------------ what names mean

#: Where a name is looked up: a dict and a key of it, or a cell of a closure.
Place = tuple[Any, Any, Any]


class Names:
    """What the names of a function mean, followed as the top of the file says."""

    def __init__(self, fn: Any, more: Iterable[Any] = ()) -> None:
        self.places: list[tuple[dict[str, Any], str, Any]] = []
        self.cells: list[tuple[Any, Any]] = []
        self.lists: list[tuple[list[Any], tuple[Any, ...]]] = []
        self.modules: list[Module] = []
        self.named: set[str] = set()  # every name in the code: of an object, what is looked at
        self._objects: list[Any] = []
        self._seen: set[Any] = set()
        self._keep: list[Any] = []
        for x in (fn, *more):
            self._follow(x, 0)
        known = -1
        while known != len(self._seen):  # a method that is found may name more of them
            known = len(self._seen)
            for x in [*self._objects]:
                self._object(x)

    def same(self) -> bool:
        """Whether they all still mean that."""
        try:
            for mapping, key, value in self.places:
                now = mapping[key]
                if now is not value and not alike(now, value):
                    return False
        except KeyError:
            return False
        for cell, value in self.cells:
            now = contents(cell)
            if now is not value and not alike(now, value):
                return False
        for given, items in self.lists:
            if len(given) != len(items):
                return False
            for now, value in zip(given, items, strict=True):
                if now is not value and not alike(now, value):
                    return False
        return True

    def of_module(self, module: Module) -> dict[str, Any]:
        """The attributes of a module that matter, and layers that it may be given: of a class of
        Etude's all of them, of the user's own those that the code names, and what holds numbers.
        """
        mine = vars(module)
        if not is_users_class(type(module)):
            return {k: v for k, v in mine.items() if not k.startswith(OF_OBJECT)}
        return {k: v for k, v in mine.items()
                if k in self.named or k == "training" or isinstance(v, (Module, Tensor))}

    def changed(self) -> str:
        """The first name that means something else now, or ""."""
        for mapping, key, value in self.places:
            now = mapping.get(key, MISSING)
            if now is not value and not alike(now, value):
                return repr(key)
        for cell, value in self.cells:
            now = contents(cell)
            if now is not value and not alike(now, value):
                return "a variable of an enclosing function"
        return "" if self.same() else "a list"

    def _follow(self, x: Any, depth: int) -> None:
        if id(x) in self._seen or isinstance(x, FIXED) or depth > DEEP:
            return
        self._seen.add(id(x))
        self._keep.append(x)
        if isinstance(x, Module):
            self.modules.append(x)
            self._objects.extend(x.modules())
        elif isinstance(x, (Tensor, Optimizer, Scheduler, np.ndarray)):
            return
        elif isinstance(x, types.MethodType):
            self._follow(x.__func__, depth)
            self._follow(x.__self__, depth)
        elif isinstance(x, types.FunctionType):
            if is_users(x.__code__.co_filename):
                self._function(x, depth)
        elif isinstance(x, partial):
            for part in (x.func, *x.args, *x.keywords.values()):
                self._follow(part, depth + 1)
        elif isinstance(x, dict):
            if len(x) <= SMALL:
                self._entries(x, list(x), depth)
        elif isinstance(x, (list, tuple)):
            if len(x) <= SMALL:
                if isinstance(x, list):
                    self.lists.append((x, tuple(x)))
                for part in x:
                    self._follow(part, depth + 1)
        elif type(x).__module__ == "etude.replay.captured":  # a captured function
            self._follow(x.fn, depth + 1)
        elif is_users_class(type(x)) and hasattr(x, "__dict__"):
            self._objects.append(x)

    def _object(self, x: Any) -> None:
        """An object: those of its attributes and methods that the code names. The attributes of
        modules are looked at where they may have changed, not at every call.
        """
        cls, mine = type(x), vars(x)
        if not isinstance(x, Module):
            self._entries(mine, [name for name in mine if name in self.named], 0)
        for name in ("forward", "__call__", *self.named):
            method = getattr(cls, name, None)
            method = method.fget if isinstance(method, property) else method
            if isinstance(method, types.FunctionType):
                self._follow(method, 0)

    def _function(self, fn: types.FunctionType, depth: int) -> None:
        wrapped = getattr(fn, "__wrapped__", None)
        if wrapped is not None:
            self._follow(wrapped, depth)
        for cell in fn.__closure__ or ():
            value = contents(cell)
            self.cells.append((cell, value))
            self._follow(value, depth + 1)
        for value in (*(fn.__defaults__ or ()), *(fn.__kwdefaults__ or {}).values()):
            self._follow(value, depth + 1)
        self.named.update(n for code in codes(fn.__code__) for n in code.co_names)
        names = dict.fromkeys(n for code in codes(fn.__code__) for n in globals_of(code))
        self._entries(fn.__globals__, [n for n in names if n in fn.__globals__], depth)

    def _entries(self, mapping: dict[Any, Any], keys: list[Any], depth: int) -> None:
        for key in keys:
            value = mapping[key]
            place = id(mapping), key
            if not isinstance(value, types.ModuleType) and place not in self._seen:
                self._seen.add(place)
                self.places.append((mapping, key, value))
                self._follow(value, depth + 1)


#: What has no parts that could change.
FIXED = (int, float, bool, str, bytes, complex, type(None), np.generic, np.dtype, types.ModuleType,
         type, types.BuiltinFunctionType)


def alike(x: Any, y: Any) -> bool:
    """Whether two values that are not the same object are the same number or text. Of the two
    zeros each is itself alone, since 1 / -0.0 is not 1 / 0.0.
    """
    if type(x) is not type(y) or not isinstance(x, FIXED):
        return False
    if x == y:
        return bool(x) or repr(x) == repr(y)
    return bool(x != x and y != y)


def contents(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # it has none yet
        return MISSING


def codes(code: types.CodeType) -> Iterator[types.CodeType]:
    """The code of a function and of those defined inside it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from codes(constant)


def globals_of(code: types.CodeType) -> Iterator[str]:
    """The global names that a code reads."""
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            yield str(instruction.argval)


def file_of(cls: type) -> str:
    """The file that a class is defined in, "" for a builtin one."""
    module = sys.modules.get(cls.__module__)
    return "" if module is None or cls.__module__ == "builtins" else (
        getattr(module, "__file__", None) or "<notebook>")


def is_users_class(cls: type) -> bool:
    """Whether the user wrote a class himself."""
    if cls not in _USERS:
        _USERS[cls] = is_users(file_of(cls))
    return _USERS[cls]


_USERS: dict[type, bool] = {}


def is_users(file: str) -> bool:
    """Whether a file is of those whose names are followed: no installed package's, nor Etude's."""
    return bool(file) and not file.startswith((OURS, "<frozen", "<etude")) and (
        "site-packages" not in file and not file.startswith(LIBRARY))


LIBRARY = str(Path(types.__file__).parent)

# ------------------------------------------------------------------ arguments


def flatten(x: Any, leaves: list[Any]) -> Any:
    """The leaves of nested lists, tuples and dicts; returns the tree they hung on."""
    kind = type(x)
    if kind is tuple or kind is list:
        return kind, tuple([flatten(part, leaves) for part in x])
    if kind is dict:
        return dict, tuple(x), tuple([flatten(part, leaves) for part in x.values()])
    if isinstance(x, tuple) and hasattr(x, "_fields"):  # a named tuple
        return kind, tuple([flatten(part, leaves) for part in x])
    leaves.append(x)
    return None


def build(tree: Any, leaves: Iterator[Any]) -> Any:
    """The reverse: the leaves on their tree."""
    if tree is None:
        return next(leaves)
    if tree[0] is dict:
        return {k: build(part, leaves) for k, part in zip(tree[1], tree[2], strict=True)}
    parts = [build(part, leaves) for part in tree[1]]
    return tree[0](*parts) if hasattr(tree[0], "_fields") else tree[0](parts)


def test_of(x: Any) -> Callable[[Any], bool]:
    """A test that holds for the leaves that a program traced with ``x`` may be called with."""
    if isinstance(x, Tensor):
        array, wants, kind = x.array, x.requires_grad, type(x)
        shape, dtype, strides, cls = array.shape, array.dtype, array.strides, type(array)
        device, leaf = array.device, x.node is None

        def tensor_like(y: Any) -> bool:
            if y.__class__ is not kind or y.requires_grad is not wants:
                return False
            a = y.array
            return (a.shape == shape and a.strides == strides and a.dtype == dtype
                    and a.__class__ is cls)

        if cls is np.ndarray and not wants:
            return tensor_like
        return lambda y: (tensor_like(y) and y.array.device == device
                          and (y.node is None) is leaf)
    if isinstance(x, np.ndarray):
        shape, dtype, strides = x.shape, x.dtype, x.strides
        return lambda y: (isinstance(y, np.ndarray) and y.shape == shape and y.dtype == dtype
                          and y.strides == strides)
    return lambda y: y is x or alike(y, x)


def test_of_all(leaves: Sequence[Any]) -> Callable[..., bool]:
    """``test_of`` each of them, in one function of as many arguments, written out and compiled: it
    runs at every call, and Tensors of the host are told in a line.
    """
    names: dict[str, Any] = {"ndarray": np.ndarray}
    lines = []
    for i, x in enumerate(leaves):
        if isinstance(x, Tensor) and not x.requires_grad and type(x.array) is np.ndarray:
            names.update({f"class{i}": type(x), f"shape{i}": x.array.shape,
                          f"strides{i}": x.array.strides, f"dtype{i}": x.array.dtype})
            lines.append(
                f"x{i}.__class__ is class{i} and not x{i}.requires_grad "
                f"and (a := x{i}.array).__class__ is ndarray and a.shape == shape{i} "
                f"and a.strides == strides{i} and (a.dtype is dtype{i} or a.dtype == dtype{i})")
        else:
            names[f"test{i}"] = test_of(x)
            lines.append(f"test{i}(x{i})")
    parameters = ", ".join([f"x{i}" for i in range(len(leaves))])
    text = f"lambda {parameters}: (\n" + "\n    and ".join(lines or ["True"]) + ")"
    found: Callable[..., bool] = eval(text, names)
    return found


def words(x: Any) -> str:
    """An argument in a few words."""
    if isinstance(x, (Tensor, np.ndarray)):
        return f"{x.dtype.name}{list(x.shape)}"
    text = repr(x)
    return text if len(text) < 40 else type(x).__name__
