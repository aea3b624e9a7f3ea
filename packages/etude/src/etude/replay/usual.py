"""The usual call of a take, in one function.

``Take.fits`` and ``Take.run`` (``take.py``) say what a call looks at and does. Of a small step that
is as long as its kernels. So where a take has nothing out of the ordinary, the same is written here
once more: in one frame, with what the take knows in local variables. The function makes the whole
call, or returns ``UNUSUAL`` before anything is done that somebody could see; then ``fits`` and
``run`` decide. Whatever they come to look at must be looked at here too, or make a take unusual.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from sys import getrefcount
from typing import TYPE_CHECKING, Any

from numpy import ndarray

from etude.core.live import Changes
from etude.core.state import State
from etude.core.tape import clock
from etude.core.tensor import Tensor
from etude.replay.executor import Executor
from etude.replay.memory import owner_of

if TYPE_CHECKING:
    from etude.replay.take import Take

#: What a usual call returns where the call is not usual.
UNUSUAL = object()

Usual = Callable[["Take", State, Sequence[Any]], Any]


def never(take: Take, state: State, given: Sequence[Any]) -> Any:
    """The usual call of a take that has none."""
    return UNUSUAL


def usual_call(take: Take, executor: Executor) -> Usual:
    """``call(take, state, given)`` for this take, or ``never``."""
    if not take.flat or executor.whole is None or len(take._tables) != 1 or (
            take._asking or take._read or take._renewed or take._sets or take._writes_arguments):
        return never
    (device, table), = take._tables
    n, grad, fit, holds, names = len(take._tests), take._grad, take._fit, take._holds, take._names
    wanting, not_wanting, without = take._wanting, take._not_wanting, take._without
    arguments, bound, delicate = take._given, take._bound, take._delicate
    places, effects, written = take._places, take._effects, take._written
    frozen = take._frozen
    grads, kept = take._grads, () if take._grads is None else take._grads.kept
    only, few, node = take._only, None, None
    if only is not None:
        few, node = only.array, only.node

    def call(take: Take, state: State, given: Sequence[Any]) -> Any:
        whole = executor.whole
        # does it fit
        if len(given) != n or state.grad is not grad or state.tables[device] is not table or (
                Changes.count != take._changes or whole is None or not fit(*given)):
            return UNUSUAL
        for t in wanting:
            if not t.requires_grad:
                return UNUSUAL
        for t in not_wanting:
            if t.requires_grad:
                return UNUSUAL
        for t in without:
            if t.grad is not None:
                return UNUSUAL
        for leaf, place in kept:
            if leaf.grad is not place.tensor:
                return UNUSUAL
        if grads is not None and list(map(getrefcount, grads.watched)) != grads.counts:
            return UNUSUAL
        for hold in holds:
            if not hold():
                return UNUSUAL
        if not names.same():
            return UNUSUAL
        if frozen is not None and frozen.seen != Changes.writes:
            return UNUSUAL
        # bind what is other memory than before, and run
        for k, i, buffer in arguments:
            x = given[i]
            a = x if x.__class__ is ndarray else x.array
            if a is not bound[k]:
                if id(a if a.base is None else owner_of(a)) in delicate:
                    return UNUSUAL
                executor.bind(buffer, a)
                bound[k] = a
        for place in places:
            if place.is_held():
                place.renew(executor)
        did = 0
        try:
            for do in effects:
                do()
                did += 1
            status = whole()
            if status:
                executor.run(status)
        except BaseException:
            take._take_back(executor, given, did)
            raise
        finally:
            if written:
                now = next(clock)
                for t in written:
                    t.written = now
                Changes.writes += 1
        return take._answered(given) if few is None else Tensor(few.copy(), False, node)

    return call
