"""Plugins: what they may offer (two hooks), how they are found, and a column of your own.

A distribution announces itself with an entry point in the group ``etude``. Each is loaded under
its own guard, when backends are first asked for and never by ``import etude``: one broken plugin
takes down neither another nor the framework, and ``etude backends`` says what is wrong with it.
"""

from __future__ import annotations

import importlib.util
import inspect
import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import pluggy

from etude.columns import REFERENCE, Backend, Call, into
from etude.errors import BackendError, did_you_mean
from etude.table import TABLE, as_arrays

GROUP = "etude"
INTERFACE = (1, 0)  # of the op interface; a plugin must have the major number and no newer minor

hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)


class Hooks:
    """What a plugin may implement."""

    @hookspec
    def etude_backends(self) -> list[BackendInfo]:  # type: ignore[empty-body]
        """Describe the backends this plugin offers. Cheap: no dlopen, no driver start-up."""

    @hookspec
    def etude_commands(self) -> list[Any]:  # type: ignore[empty-body]
        """Add subcommands (click commands) to the command line."""


@dataclass
class BackendInfo:
    """A backend on offer. ``load()`` makes it, or raises BackendError with the reason."""

    name: str
    device: str
    interface: tuple[int, int]
    load: Callable[[], Backend]


@dataclass
class Plugin:
    """What became of one entry point; ``state`` is active, unavailable, broken or blocked."""

    name: str
    version: str
    state: str = "active"
    reason: str = ""
    detail: str = ""  # a traceback, where there is one
    backends: list[BackendInfo] = field(default_factory=list)
    commands: list[Any] = field(default_factory=list)


class Registry:
    """Every plugin found, and every backend loaded so far."""

    def __init__(self) -> None:
        self.manager = pluggy.PluginManager(GROUP)
        self.manager.add_hookspecs(Hooks)
        self.plugins: list[Plugin] = []
        self.backends: dict[str, tuple[BackendInfo, Plugin]] = {}
        self._loaded: dict[str, Backend | BackendError] = {}
        allowed = os.environ.get("ETUDE_PLUGINS")
        names = None if allowed is None else {n.strip() for n in allowed.split(",")}
        for point in sorted(entry_points(group=GROUP), key=lambda p: p.name):
            plugin = Plugin(point.name, point.dist.version if point.dist else "?")
            self.plugins.append(plugin)
            if names is not None and point.name not in names:
                plugin.state = "blocked"
                plugin.reason = "not in the allow-list ETUDE_PLUGINS"
                continue
            try:
                self._register(point, plugin)
            except (Exception, SystemExit) as error:
                _broken(plugin, error)

    def _register(self, point: EntryPoint, plugin: Plugin) -> None:
        module = point.load()
        self.manager.register(module, name=point.name)
        wrong = _misspelt(self.manager, module)
        if wrong:
            plugin.state, plugin.reason = "broken", wrong
        others = [p for n, p in self.manager.list_name_plugin() if n != point.name]

        def ask(hook: str) -> list[Any]:
            caller = self.manager.subset_hook_caller(hook, remove_plugins=others)
            return [item for answer in caller() for item in answer]

        for info in ask("etude_backends"):
            self._offer(info, plugin)
        plugin.commands = ask("etude_commands")

    def _offer(self, info: BackendInfo, plugin: Plugin) -> None:
        major, minor = info.interface
        if major != INTERFACE[0] or minor > INTERFACE[1]:
            plugin.state = "broken"
            plugin.reason = (
                f"backend {info.name!r} is built for op interface {major}.{minor}, this Etude has "
                f"{INTERFACE[0]}.{INTERFACE[1]}; install matching versions of both")
        elif info.name == REFERENCE or info.name in self.backends:
            plugin.state = "broken"
            plugin.reason = f"the name {info.name!r} is taken by another backend"
        else:
            plugin.backends.append(info)
            self.backends[info.name] = (info, plugin)

    def load(self, name: str) -> Backend:
        """The backend of that name. Raises BackendError: unknown, unavailable or broken."""
        if name not in self.backends:
            raise BackendError(self._unknown(name))
        if name not in self._loaded:
            info, plugin = self.backends[name]
            try:
                self._loaded[name] = _as_promised(info, info.load())
            except BackendError as reason:
                plugin.state, plugin.reason = "unavailable", str(reason)
                self._loaded[name] = BackendError(f"backend {name!r} is unavailable: {reason}")
            except (Exception, SystemExit) as error:
                _broken(plugin, error)
                self._loaded[name] = BackendError(
                    f"backend {name!r} is broken: {plugin.reason.rstrip('.')}. 'etude backends' "
                    f"shows more")
        found = self._loaded[name]
        if isinstance(found, BackendError):
            raise found
        return found

    def _unknown(self, name: str) -> str:
        known = [REFERENCE, *self.backends]
        text = (f"there is no backend {name!r}; known are {', '.join(known)}"
                f"{did_you_mean(name, known)}")
        for plugin in self.plugins:
            if plugin.state != "active":
                text += f" (Plugin {plugin.name!r} is {plugin.state}: {plugin.reason})"
        if name == "cpu" and not self.plugins:
            text += " The C kernels come with the package etude-cpu: pip install etude-cpu"
        return text


def _as_promised(info: BackendInfo, made: Any) -> Backend:
    """What ``load()`` returned. TypeError if that is no Backend, or another than announced."""
    if not isinstance(made, Backend):
        raise TypeError(f"load() must return a Backend, got {type(made).__name__}")
    if made.device != info.device:
        raise TypeError(f"load() made a Backend for {made.device!r}, announced for {info.device!r}")
    for op in made.ops:
        if op not in TABLE:
            raise TypeError(f"there is no op called {op!r}{did_you_mean(op, TABLE)}")
    return made


def _broken(plugin: Plugin, error: BaseException) -> None:
    plugin.state = "broken"
    plugin.reason = f"{type(error).__name__}: {error}".strip().splitlines()[0]
    plugin.detail = traceback.format_exc()


def _misspelt(manager: pluggy.PluginManager, module: Any) -> str:
    """A sentence about hooks that do not exist, or "" if there are none."""
    known = [n for n in dir(Hooks) if n.startswith("etude_")]
    marked = {c.name: c.has_spec() for c in manager.get_hookcallers(module) or []}
    if name := next((n for n, specified in marked.items() if not specified), ""):
        return (f"there is no hook called {name!r}; known are {', '.join(known)}"
                f"{did_you_mean(name, known)}")
    unmarked = (n for n in known if callable(getattr(module, n, None)) and n not in marked)
    if name := next(unmarked, ""):
        return f"the hook {name!r} is not marked with @etude.hookimpl"
    return ""


_registry: Registry | None = None


def registry(refresh: bool = False) -> Registry:
    """The plugins of this process, discovered on the first call."""
    global _registry
    if _registry is None or refresh:
        _registry = Registry()
    return _registry


def default_stack(device: str) -> tuple[Backend, ...]:
    """What runs on ``device`` when nobody said ``use``: ETUDE_BACKEND, else its first backend.

    On "cpu" the default is the reference alone: accelerators are asked for.
    """
    wanted = [n.strip() for n in os.environ.get("ETUDE_BACKEND", "").split(",") if n.strip()]
    stack = [b for n in wanted for b in resolve(n)]
    chosen = tuple(b for b in stack if b.device == device)
    if chosen or device == "cpu":
        return chosen
    offers = [n for n, (info, _) in registry().backends.items() if info.device == device]
    if not offers:
        raise BackendError(f"no installed backend offers the device {device!r}. "
                           f"'etude backends' lists what there is")
    return (registry().load(offers[0]),)


def resolve(column: Any) -> tuple[Backend, ...]:
    """The columns that one argument of ``use`` stands for; none for the reference."""
    if isinstance(column, Backend):
        return (column,)
    if callable(column) and hasattr(column, "_etude_ops"):
        return (_from_functions(column.__name__, [column]),)
    if inspect.ismodule(column):
        return (_from_module(column.__name__, column),)
    text = os.fspath(column) if isinstance(column, (str, Path)) else None
    if text is None:
        raise BackendError(f"a column is a name, a path, a function with @etude.implements or a "
                           f"Backend; got {type(column).__name__}")
    if text == REFERENCE:
        return ()
    path = Path(text)
    if path.suffix == ".py":
        return (_from_file(path),)
    if path.suffix in (".so", ".dylib"):
        from etude.native import open_library

        _must_exist(path)
        return (Backend(path.name, "cpu", open_library(path), isa="native", checks=True),)
    return (registry().load(text),)


# ------------------------------------------------------------------ a column of your own


def implements(*names: str) -> Callable[[Call], Call]:
    """Decorator: this function implements the named ops. ``use`` then takes it, or its file.

    The function gets the op's arrays by position and its attributes by keyword, and returns the
    result; a parameter ``out`` is not needed. Raises BackendError for a name the table lacks.
    """
    if not names or not all(isinstance(name, str) for name in names):
        raise BackendError("@etude.implements wants the names of ops: @etude.implements('softmax')")
    for name in names:
        if name not in TABLE:
            raise BackendError(f"there is no op called {name!r}{did_you_mean(name, TABLE)}")

    def mark(fn: Call) -> Call:
        fn._etude_ops = names  # type: ignore[attr-defined]
        return fn

    return mark


def _from_functions(name: str, functions: list[Call]) -> Backend:
    ops = {op: with_out(fn) for fn in functions for op in fn._etude_ops}  # type: ignore[attr-defined]
    return Backend(name, "cpu", ops, isa="python")


def with_out(fn: Call) -> Call:
    """Give a plain function the ``out`` of the column interface."""
    if "out" in inspect.signature(fn).parameters:
        return fn

    def call(*arrays: Any, out: Any = None, **attrs: Any) -> Any:
        result = as_arrays(fn(*arrays, **attrs))
        try:
            return into(out, result)
        except ValueError:  # not what the op promises: the dispatcher says how, and names the op
            return result

    return call


def _from_module(name: str, module: Any) -> Backend:
    functions = [f for f in vars(module).values() if callable(f) and hasattr(f, "_etude_ops")]
    if not functions:
        raise BackendError(f"{name} has no function marked with @etude.implements('op name')")
    return _from_functions(name, functions)


def _must_exist(path: Path) -> None:
    if not path.is_file():
        raise BackendError(f"there is no file {str(path)!r} (looked in {Path.cwd()})")


def _from_file(path: Path) -> Backend:
    _must_exist(path)
    spec = importlib.util.spec_from_file_location(f"etude_column_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses, for one, look their module up
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise BackendError(f"{path} does not run: {type(error).__name__}: {error}") from error
    return _from_module(path.name, module)
