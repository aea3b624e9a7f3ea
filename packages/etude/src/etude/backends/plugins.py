"""Plugins: what they may offer (three hooks), and how they are found.

A distribution announces itself with an entry point in the group ``etude``. Each is loaded under
its own guard (``guard.py``), when backends are first asked for and never by ``import etude``: one
broken plugin takes down neither another nor the framework, and ``etude backends`` says what is
wrong with it.
"""

from __future__ import annotations

import os
import reprlib
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import Distribution, EntryPoint, distributions, entry_points
from typing import Any

import pluggy

from etude.backends.guard import attempt
from etude.core.columns import REFERENCE, Column
from etude.core.contract import unfit
from etude.core.errors import BackendError, did_you_mean

GROUP = "etude"
#: Distributions of this project that are plugins. They come first: nobody takes a name from them.
OWN = ("etude-check", "etude-course", "etude-cpu", "etude-cuda", "etude-mpi")
INTERFACE = (2, 3)  # of the op interface; a plugin must have the major number and no newer minor

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

    @hookspec
    def etude_teams(self) -> list[Any]:  # type: ignore[empty-body]
        """Offer ways to train on several processes: functions without arguments that give a
        context manager, in which this process belongs to a ``train.team.Team``.
        """


@dataclass
class BackendInfo:
    """A backend on offer. ``load()`` makes it, or raises BackendError with the reason. One that is
    an ``emulation`` stands for hardware that is not there, at a price: it runs where it is named.
    """

    name: str
    device: str
    interface: tuple[int, int]
    load: Callable[[], Column]
    emulation: bool = False


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
    teams: list[Any] = field(default_factory=list)
    origin: str = ""  # the distribution and its version
    module: Any = None
    #: name of a backend that did not load -> (state, reason, traceback), of each its own
    trouble: dict[str, tuple[str, str, str]] = field(default_factory=dict)


@dataclass
class Answers:
    """What a plugin said when it was asked, as far as it came."""

    module: Any = None
    wrong: str = ""  # a sentence about a hook that is misspelt or not marked
    infos: list[Any] = field(default_factory=list)
    commands: list[Any] = field(default_factory=list)
    teams: list[Any] = field(default_factory=list)


class Registry:
    """Every plugin found, and every backend loaded so far."""

    def __init__(self) -> None:
        self.plugins: list[Plugin] = []
        self.backends: dict[str, tuple[BackendInfo, Plugin]] = {}
        self._loaded: dict[str, Column | BackendError] = {}
        allowed = os.environ.get("ETUDE_PLUGINS")
        names = None if allowed is None else {n.strip() for n in allowed.split(",")}
        first: dict[str, Plugin] = {}
        points, unreadable = _found()
        self.plugins += unreadable
        for point in sorted(points, key=_precedence):
            plugin = _described(point)
            self.plugins.append(plugin)
            if names is not None and point.name not in names:
                plugin.state = "blocked"
                plugin.reason = "not in the allow-list ETUDE_PLUGINS"
            elif first.setdefault(point.name, plugin) is not plugin:
                plugin.state = "broken"
                plugin.reason = (
                    f"the entry point {point.name!r} of {plugin.origin} was not loaded: "
                    f"{first[point.name].origin} has one of that name and comes first. Rename one, "
                    f"or uninstall one")
            else:
                self._register(point, plugin)

    def _register(self, point: EntryPoint, plugin: Plugin) -> None:
        answers = Answers()
        outcome = attempt(plugin.name, lambda: _ask(point, answers))
        plugin.module, wrong = answers.module, answers.wrong or outcome.changed
        if outcome.error is not None:
            _broken(plugin, outcome.error)
        elif wrong:
            plugin.state, plugin.reason = "broken", wrong
        for info in answers.infos:
            self._offer(info, plugin)
        plugin.commands, plugin.teams = answers.commands, answers.teams

    def _offer(self, info: Any, plugin: Plugin) -> None:
        wrong = _unfit(info)
        if not wrong and info.name == REFERENCE:
            wrong = f"the name {info.name!r} is taken by another backend, Etude's own"
        elif not wrong and info.name in self.backends:
            wrong = (f"the name {info.name!r} is taken by another backend, which comes from "
                     f"{self.backends[info.name][1].origin}; this one, from {plugin.origin}, needs "
                     f"another name")
        if wrong:
            plugin.state, plugin.reason = "broken", wrong
        else:
            plugin.backends.append(info)
            self.backends[info.name] = (info, plugin)

    def load(self, name: str) -> Column:
        """The backend of that name. Raises BackendError: unknown, unavailable or broken."""
        if name not in self.backends:
            raise BackendError(self._unknown(name))
        if name not in self._loaded:
            self._loaded[name] = self._load(*self.backends[name])
        found = self._loaded[name]
        if isinstance(found, BackendError):
            raise found
        return found

    def _load(self, info: BackendInfo, plugin: Plugin) -> Column | BackendError:
        outcome = attempt(plugin.name, lambda: _as_promised(info, info.load()))
        error = outcome.error
        if isinstance(error, BackendError):
            plugin.state, plugin.reason = "unavailable", str(error)
            plugin.trouble[info.name] = plugin.state, plugin.reason, ""
            return BackendError(f"backend {info.name!r} is unavailable: {error}")
        if error is not None:
            _broken(plugin, error)
            plugin.trouble[info.name] = plugin.state, plugin.reason, plugin.detail
            return BackendError(f"backend {info.name!r} is broken: {plugin.reason.rstrip('.')}. "
                                f"'etude backends' shows more")
        if outcome.changed:
            plugin.state, plugin.reason = "broken", outcome.changed
        return outcome.value  # type: ignore[no-any-return]

    def troubles(self) -> str:
        """A sentence in brackets about each plugin that is not active."""
        return "".join(f" (Plugin {p.name!r} is {p.state}: {p.reason})"
                       for p in self.plugins if p.state != "active")

    def _unknown(self, name: str) -> str:
        known = [REFERENCE, *self.backends]
        text = (f"there is no backend {name!r}; known are {', '.join(known)}"
                f"{did_you_mean(name, known)}{self.troubles()}")
        if name == "cpu" and not self.plugins:
            text += " The C kernels come with the package etude-cpu: pip install etude-cpu"
        return text


def _found() -> tuple[list[EntryPoint], list[Plugin]]:
    """Every entry point, and the distributions whose file of entry points cannot be read."""
    try:
        return list(entry_points(group=GROUP)), []
    except Exception:  # one is damaged, and importlib then reads none: look at each by itself
        pass
    points: dict[str, list[EntryPoint]] = {}
    unreadable: list[Plugin] = []
    for dist in distributions():
        name = _stated(dist, "Name")
        if _normal(name) in points:  # the first on the path is the one that is imported
            continue
        points[_normal(name)] = []
        try:
            points[_normal(name)] += dist.entry_points.select(group=GROUP)
        except Exception as error:
            if f"[{GROUP}]" in (dist.read_text("entry_points.txt") or ""):
                unreadable.append(Plugin(name, _stated(dist, "Version"), "broken", "its file "
                                         f"entry_points.txt cannot be read: {error}. Install it "
                                         f"again", origin=name))
    return [point for group in points.values() for point in group], unreadable


def _precedence(point: EntryPoint) -> tuple[bool, str, str]:
    """The order of loading, which decides who has a name: ours, then the others by name."""
    name = _normal(_stated(point.dist, "Name"))
    return name not in OWN, point.name, name


def _described(point: EntryPoint) -> Plugin:
    name, version = _stated(point.dist, "Name"), _stated(point.dist, "Version")
    return Plugin(point.name, version, origin=f"{name} {version}")


def _stated(dist: Distribution | None, key: str) -> str:
    """What a distribution says of itself; "?" where its file METADATA is damaged or not there."""
    try:
        return str(dist.metadata[key] or "?") if dist else "?"
    except Exception:
        return "?"


def _normal(distribution: str) -> str:
    return distribution.lower().replace("_", "-").replace(".", "-")


def _ask(point: EntryPoint, answers: Answers) -> None:
    """Import a plugin and ask its hooks. What it answers before it fails counts."""
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(Hooks)
    answers.module = module = point.load()
    manager.register(module, name=point.name)
    answers.wrong = _misspelt(manager, module)
    answers.infos = [item for answer in manager.hook.etude_backends() for item in answer]
    answers.commands = [item for answer in manager.hook.etude_commands() for item in answer]
    answers.teams = [item for answer in manager.hook.etude_teams() for item in answer]


def _unfit(info: Any) -> str:
    """A sentence about what is no description of a backend for this Etude, or ""."""
    if not isinstance(info, BackendInfo):
        return f"etude_backends must return a list of BackendInfo, got {reprlib.repr(info)} in it"
    try:
        major, minor = info.interface
        if major == INTERFACE[0] and minor <= INTERFACE[1]:
            name = info.name
            return "" if isinstance(name, str) and name else f"a backend is called {name!r}"
    except (TypeError, ValueError):
        return (f"backend {info.name!r}: interface must be two numbers such as {INTERFACE}, got "
                f"{reprlib.repr(info.interface)}")
    older = (major, minor) < INTERFACE
    what = "the plugin" if older else "etude"
    mine = (f". If it is your own: see what changed in docs/howto/plugin.md, compile its kernels "
            f"again, then write interface={INTERFACE}" if older else "")
    return (f"backend {info.name!r} is built for op interface {major}.{minor}, this Etude has "
            f"{INTERFACE[0]}.{INTERFACE[1]}; install a newer version of {what}{mine}")


def _as_promised(info: BackendInfo, made: Any) -> Column:
    """What ``load()`` returned. TypeError if that is no Column, or another than announced."""
    if not isinstance(made, Column):
        raise TypeError(f"load() must return a Column, got {type(made).__name__}")
    if made.device != info.device:
        raise TypeError(f"load() made a Column for {made.device!r}, announced for {info.device!r}")
    if wrong := unfit(made):
        raise TypeError(wrong)
    return made


def _broken(plugin: Plugin, error: BaseException) -> None:
    plugin.state = "broken"
    try:
        plugin.reason = f"{type(error).__name__}: {error}".strip().splitlines()[0]
    except Exception:  # its message is broken too
        plugin.reason = type(error).__name__
    plugin.detail = "".join(traceback.format_exception(error))


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
