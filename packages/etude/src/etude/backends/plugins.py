"""Plugins: what they may offer (two hooks), and how they are found.

A distribution announces itself with an entry point in the group ``etude``. Each is loaded under
its own guard, when backends are first asked for and never by ``import etude``: one broken plugin
takes down neither another nor the framework, and ``etude backends`` says what is wrong with it.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy

from etude.core.columns import REFERENCE, Column
from etude.core.errors import BackendError, did_you_mean
from etude.core.table import TABLE

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
    load: Callable[[], Column]


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
        self._loaded: dict[str, Column | BackendError] = {}
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

    def load(self, name: str) -> Column:
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


def _as_promised(info: BackendInfo, made: Any) -> Column:
    """What ``load()`` returned. TypeError if that is no Column, or another than announced."""
    if not isinstance(made, Column):
        raise TypeError(f"load() must return a Column, got {type(made).__name__}")
    if made.device != info.device:
        raise TypeError(f"load() made a Column for {made.device!r}, announced for {info.device!r}")
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
