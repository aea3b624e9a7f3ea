"""Optimizer: the parameters, their settings and their running state; subclasses name the op.

A step is one op call for each parameter, with the parameter's own memory as output. So ``p.array``
stays the same array, any device works, and a column that has the op runs it. What changes from step
to step goes in as the array ``hyper``.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from etude.core.array import is_contiguous, memory
from etude.core.columns import Table
from etude.core.creation import zeros_like
from etude.core.given import in_order, integer, real
from etude.core.live import WATCHER, live
from etude.core.shapes import Spec
from etude.core.state import STATE
from etude.core.tensor import Tensor

Group = dict[str, Any]

MOST = 2**53  # steps; a larger count is no float any more


class Optimizer:
    """The frame of SGD, Adam, AdamW and RMSprop.

    ``params`` is an iterable of Tensors, or of groups: dicts with "params" and settings that
    differ from the keyword arguments. ``param_groups`` holds the settings; change ``lr`` there.
    A parameter without a gradient is left alone. Raises ValueError for no parameters, for one
    given twice and for settings out of range; TypeError for anything but leaf Tensors, and for a
    set of them: state is saved and loaded by position.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in vars(cls):
            cls.__init__ = _named_lr(cls.__init__)  # type: ignore[method-assign]

    op: str  # the op of one step
    moments: tuple[str, ...]  # its running arrays, in the op's order; they start at zero

    def __init__(self, params: Iterable[Any], defaults: Group) -> None:
        if isinstance(params, Tensor):
            raise TypeError("params must be an iterable of Tensors, got one Tensor; put it in a "
                            "list, or pass model.parameters()")
        if isinstance(params, dict) and "params" in params:
            raise TypeError("params must be an iterable, got one group; put it in a list")
        name = type(self).__name__
        if hasattr(params, "parameters"):
            raise TypeError(f"{name}: got a model, {type(params).__name__}; write "
                            f"{name}(model.parameters(), ...)")
        given = members(f"{name}: params", params)
        groups = given if given and isinstance(given[0], dict) else [{"params": given}]
        self.param_groups: list[Group] = []
        for group in groups:
            if "params" not in group:
                raise ValueError(f"a parameter group needs \"params\", got {', '.join(group)}")
            tensors = group["params"]
            if isinstance(tensors, Tensor):
                tensors = [tensors]
            tensors = members(f"{name}: params of a group", tensors)
            unknown = group.keys() - defaults.keys() - {"params"}
            if unknown:
                raise ValueError(f"a parameter group has no setting {sorted(unknown)[0]!r}; it "
                                 f"takes {', '.join(defaults)}")
            settings = _plain({**defaults, **group})
            self.param_groups.append({**settings, "params": tensors})
            self.check(self.param_groups[-1])
        self._check_parameters()
        #: One dict for each parameter, in order: its moments and the number of its steps.
        self.state: list[dict[str, Any]] = [{} for g in self.param_groups for _ in g["params"]]

    def _check_parameters(self) -> None:
        seen: set[int] = set()
        for p in self._parameters():
            if not isinstance(p, Tensor):
                raise TypeError(f"an optimiser takes Tensors, got {type(p).__name__}")
            if not p.is_leaf:
                raise TypeError(f"an optimiser takes leaves, but a tensor of shape "
                                f"{list(p.shape)} was computed by an op; pass what it was "
                                f"computed from, or its detach()")
            if id(p) in seen:
                raise ValueError(f"a parameter of shape {list(p.shape)} was given twice")
            seen.add(id(p))
        if not seen:
            raise ValueError("an optimiser needs at least one parameter, got none. Was "
                             "model.parameters() used up before, or are the layers in a list?")

    def _parameters(self) -> list[Any]:
        return [p for g in self.param_groups for p in g["params"]]

    def check(self, group: Group) -> None:
        """Raise ValueError for a setting out of range."""
        for name in ("lr", "weight_decay", "eps"):
            if name in group:
                self.require(group, name, ">= 0", lambda v: v >= 0)

    def require(self, group: Group, name: str, allowed: str, ok: Callable[[float], bool]) -> None:
        """Raise ValueError for a setting that is not ``ok``, TypeError for what is no number."""
        require(f"{type(self).__name__}: {name}", group[name], allowed, ok)

    def hyper(self, group: Group, step: int) -> list[float]:
        """The numbers of step ``step`` (1 is the first), in the op's order."""
        raise NotImplementedError

    def attrs(self, group: Group) -> dict[str, Any]:
        """Attributes of the op: settings that never change from step to step."""
        return {}

    def scale(self, group: Group, step: int) -> float:
        """What the gradient is multiplied by before step ``step``."""
        return 1.0

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or set them to 0. Call it before each backward.

        A parameter without a gradient is left alone by ``step``; one with a gradient of 0 is not.
        """
        watcher = WATCHER.get()
        for p in self._parameters():
            if watcher is not None and set_to_none:
                watcher.clears(p)
            p.grad = None if set_to_none or p.grad is None else zeros_like(p.grad)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Move every parameter that has a gradient, in place.

        ``closure``, where one is given, is called before that: it works out the loss and its
        gradients anew. Returns its loss.
        """
        loss = None if closure is None else closure()
        self._move()
        return loss

    def _move(self) -> None:
        tables = STATE.get().tables
        states = iter(self.state)
        moved = False
        for group in self.param_groups:
            alike: dict[tuple[str, int], list[tuple[Tensor, dict[str, Any]]]] = {}
            for p in group["params"]:
                state = next(states)
                if p.grad is None:
                    continue
                if not isinstance(p.grad, Tensor):
                    raise TypeError(no_gradient(p.grad))
                if not state:
                    self._start(p, state)
                alike.setdefault((p.array.device, state["step"]), []).append((p, state))
            for (device, count), rows in alike.items():
                moved = True
                self._together(tables[device], group, count + 1, rows)
        if not moved:
            warnings.warn("step: no parameter has a gradient, so nothing changed: call "
                          "loss.backward() first", stacklevel=3)

    def _together(self, table: Table, group: Group, count: int,
                  rows: list[tuple[Tensor, dict[str, Any]]]) -> None:
        """Step number ``count`` of parameters of one device."""
        attrs, scale = self.attrs(group), self.scale(group, count)
        hyper = self._hyper(table, group, attrs, scale, [state for _, state in rows])
        many = table.steps(self.op)
        waiting: dict[Any, list[Any]] = {}  # by dtype
        for p, state in rows:
            row = self._row(table, p, state, scale)
            waiting.setdefault(row[0].dtype, []).append((p, row))
            p.mark_written()  # also where this step fails half-way
        for alike in waiting.values():
            declined = [row for _, row in alike]
            if many is not None:
                declined = many(declined, hyper, **attrs)
            for place, g, *moments in declined:
                table[self.op](place, g, *moments, hyper, out=(place, *moments), **attrs)
            for p, (place, *_) in alike:
                if place is not p.array:
                    table["contiguous"](place, out=p.array)

    def _hyper(self, table: Table, group: Group, attrs: dict[str, Any], scale: float,
               states: list[dict[str, Any]]) -> Any:
        """The array ``hyper`` of the next step of ``states``, which this counts."""
        first, every, cls = states[0], self.state, type(self)
        plain = cls.scale is Optimizer.scale and cls.attrs is Optimizer.attrs

        def numbers() -> list[float]:
            count = first["step"] + 1
            for state in states:
                state["step"] = count
            return self.hyper(group, count)

        def back() -> None:
            for state in states:
                state["step"] -= 1

        def as_traced() -> bool:
            count = first["step"]
            for state in states:
                if state["step"] != count:
                    return False
            return self.state is every and (plain or (
                self.scale(group, count + 1) == scale and self.attrs(group) == attrs))

        watcher = WATCHER.get()
        if watcher is not None:
            watcher.holds(as_traced, f"the settings or the state of {type(self).__name__}")
        return live(numbers, np.float64, table, back)

    def _start(self, p: Tensor, state: dict[str, Any]) -> None:
        state["step"] = 0
        watcher = WATCHER.get()
        for name in self.moments:
            state[name] = zeros_like(p)
            if watcher is not None:
                watcher.begins(state[name].array)

    def _row(self, table: Table, p: Tensor, state: dict[str, Any], scale: float
             ) -> tuple[Any, ...]:
        """What the op takes of ``p``: its memory, its gradient times ``scale``, its moments.

        A leaf may be a view, such as w.T.detach(); the step takes memory that lies together. The
        gradient lies apart from it, since it is read while that is written.
        """
        assert p.grad is not None
        place, g = p.array, p.grad.array
        moments = [state[name].array for name in self.moments]
        if moments[0].device != place.device:  # the model was moved since: its moments follow
            for name in self.moments:
                state[name] = state[name].to(place.device)
            moments = [state[name].array for name in self.moments]
        if scale != 1:
            g = table["mul"](g, scale)
        if not _lie_apart(place, g):
            if not is_contiguous(g) or memory(g) == memory(place):
                g = table["contiguous"](g)
            if not is_contiguous(place):
                place = table["contiguous"](place)
        return place, g, *moments

    # ------------------------------------------------------------------ saving and loading

    def state_dict(self) -> dict[str, Any]:
        """``{"state": [...], "param_groups": [...]}``, in the optimiser's own memory; parameters
        are named by their position.
        """
        groups, at = [], 0
        for g in self.param_groups:
            n = len(g["params"])
            groups.append({**_plain(g), "params": list(range(at, at + n))})
            at += n
        return {"state": [dict(s) for s in self.state], "param_groups": groups}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over settings and a copy of the running state, on the parameters' devices.

        Raises ValueError if the numbers of parameters, the settings, or shapes or dtypes do not
        fit, TypeError for a setting that is no number; then nothing has changed.
        """
        self._check_settings(state)
        loaded = [self._loaded(i, p, s) for i, (p, s) in enumerate(
            zip(self._parameters(), state["state"], strict=True))]
        for group, new in zip(self.param_groups, state["param_groups"], strict=True):
            group.update(_plain(new))
        self.state = loaded

    def _check_settings(self, state: dict[str, Any]) -> None:
        """Raise for the settings of other groups than these, or out of range."""
        sizes = [len(g["params"]) for g in state["param_groups"]]
        mine = [len(g["params"]) for g in self.param_groups]
        if sizes != mine or len(state["state"]) != len(self.state):
            raise ValueError(f"load_state_dict: the state is of an optimiser with groups of "
                             f"{sizes} parameters, this one has {mine}")
        places = [i for g in state["param_groups"] for i in g["params"]]
        if places != list(range(len(self.state))):
            raise ValueError(f"load_state_dict: the state names its parameters {places}; they are "
                             f"0 to {len(self.state) - 1}, by position")
        for group, new in zip(self.param_groups, state["param_groups"], strict=True):
            if new.keys() != group.keys():
                theirs = [k for k in new if k != "params"]
                ours = [k for k in group if k != "params"]
                raise ValueError(f"load_state_dict: the state has the settings "
                                 f"{', '.join(theirs)}; {type(self).__name__} has "
                                 f"{', '.join(ours)}")
            settings = _plain(new)
            for name, value in settings.items():
                if isinstance(value, bool) != isinstance(group[name], bool):
                    raise ValueError(f"load_state_dict: {name} is {group[name]} here and "
                                     f"{value!r} in the state")
            self.check({**group, **settings})

    def _loaded(self, i: int, p: Tensor, s: dict[str, Any]) -> dict[str, Any]:
        """A copy of the running state ``s`` of parameter ``i``, checked; {} if it had no step."""
        if not s:
            return {}
        loaded = dict(s)
        for name in self.moments:
            m = s.get(name)
            if not (isinstance(m, Tensor) and m.shape == p.shape and m.dtype == p.dtype):
                given = Spec(m.shape, m.dtype) if isinstance(m, Tensor) else m
                raise ValueError(f"load_state_dict: {name!r} of parameter {i} must be "
                                 f"{Spec(p.shape, p.dtype)} like it, got {given}")
            loaded[name] = m.detach().to(p.device).clone()
        if s.keys() != {"step", *self.moments}:
            raise ValueError(f"load_state_dict: parameter {i} has {', '.join(s)} in the state; "
                             f"{type(self).__name__} keeps step, {', '.join(self.moments)}")
        loaded["step"] = integer(f"load_state_dict: step of parameter {i}", s["step"], 0)
        if loaded["step"] > MOST:
            raise ValueError("load_state_dict: no parameter has had more than 2^53 steps")
        return loaded

    def __repr__(self) -> str:
        groups = [", ".join(f"{k}={v}" for k, v in g.items() if k != "params")
                  for g in self.param_groups]
        return f"{type(self).__name__}({'; '.join(groups)})"


def _lie_apart(place: Any, g: Any) -> bool:
    """Whether a parameter and its gradient lie in C order, each in memory of its own."""
    if type(g) is type(place) is np.ndarray and g.base is None and place.base is None:  # as most
        return g is not place and g.flags.c_contiguous and place.flags.c_contiguous
    return is_contiguous(g) and is_contiguous(place) and memory(g) != memory(place)


def _named_lr(init: Callable[..., None]) -> Callable[..., None]:
    """``init`` of an optimiser, which refuses by name what Keras calls the rate."""
    @functools.wraps(init)
    def named(self: Optimizer, *args: Any, **settings: Any) -> None:
        if "learning_rate" in settings:
            raise TypeError(f"{type(self).__name__} has no learning_rate; write "
                            f"lr={settings['learning_rate']!r}")
        init(self, *args, **settings)

    return named


def members(what: str, given: Iterable[Any]) -> list[Any]:
    """``given`` as a list. TypeError for a set or a dict, ValueError for a used-up iterator."""
    found = in_order(what, given)
    if not found and isinstance(given, Iterator):
        raise ValueError(f"{what}: the iterator gave nothing. One that was used before is empty: "
                         f"make a list of it first, or call what it came from, such as "
                         f"model.parameters(), again")
    return found


def no_gradient(grad: Any) -> str:
    """The sentence for a ``grad`` that somebody set to what is no Tensor."""
    return (f"the grad of a parameter is a Tensor or None, got {type(grad).__name__}; etude.tensor "
            f"makes one")


def _plain(group: Group) -> Group:
    """The settings of a group without its parameters. Numbers of NumPy and Tensors of one element
    become Python's, which a checkpoint can hold and which keep no graph alive.
    """
    def plain(name: str, value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return tuple([plain(f"{name}[{i}]", v) for i, v in enumerate(value)])
        return real(name, value) if hasattr(value, "item") else value

    return {k: plain(k, v) for k, v in group.items() if k != "params"}


def require(name: str, value: Any, allowed: str, ok: Callable[[float], bool]) -> None:
    """Raise ValueError, naming a setting and what it may be, unless ``ok(value)``; TypeError for
    what is no number.
    """
    if not ok(real(name, value)):
        raise ValueError(f"{name} must be {allowed}, got {value}")
