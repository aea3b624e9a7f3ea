"""Kernels whose values are right when they return, and that do harm afterwards or elsewhere.

They leave the process in another state than they found it in, go on writing, give away memory that
they use again, fail only now and then, or remember at one call what belonged to another.
"""

import ctypes
import os
import random
import signal
import threading
import time
import warnings
from typing import Any

import numpy as np

from etude_check.zoo import mutant, reference
from etude_check.zoo.memory import _done

_KEPT: dict[Any, Any] = {}  # what the kernels below should not keep
_DRAWN = random.Random(5)
TOWARDS_ZERO = {"x86_64": 0xC00}  # FE_TOWARDZERO of fenv.h; elsewhere that of Arm


def _fesetround(mode):
    return ctypes.CDLL(None).fesetround(mode)


# ------------------------------------------------------------------ what is left behind


@mutant("floor", kills="tail", where="memory", covers="rounding mode left", safe=False,
        mistake="It rounds towards zero while it works, and leaves the process so: every sum after "
                "it is truncated.")
def floor_leaves_rounding(x):
    y = np.floor(x)
    _fesetround(TOWARDS_ZERO.get(os.uname().machine, 0xC00000))
    return y


@mutant("log", kills="tail", where="memory", covers="errstate left", safe=False,
        mistake="np.seterr(all=\"ignore\") without putting it back: nobody hears of a division by "
                "zero any more.")
def log_silences_numpy(x):
    np.seterr(all="ignore")
    return np.log(x)


@mutant("sqrt", kills="tail", where="memory", covers="warnings left", safe=False,
        mistake="warnings.simplefilter(\"ignore\") outside catch_warnings: every later warning of "
                "the program is lost.")
def sqrt_silences_warnings(x):
    warnings.simplefilter("ignore")
    return np.sqrt(x)


@mutant("matmul", kills="tail", where="memory", covers="environment left", safe=False,
        mistake="The number of threads is set in the environment, for whatever the program starts "
                "later too.")
def matmul_sets_environment(x, y):
    os.environ["OMP_NUM_THREADS"] = "13"
    return np.matmul(x, y)


@mutant("erf", kills="tail", where="memory", covers="folder left", safe=False,
        mistake="It changes into the folder of its tables and does not come back: relative paths "
                "of the program lead elsewhere.")
def erf_changes_folder(x):
    os.chdir("/dev")  # where nobody starts a check
    return reference("erf")(x)


@mutant("var", kills="tail", where="memory", covers="handler left", safe=False,
        mistake="SIGTERM is ignored in the call, and for ever after: nobody can end the program.")
def var_ignores_signals(x, **attrs):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return reference("var")(x, **attrs)


@mutant("randn", kills="tail", where="memory", covers="generator seeded", safe=False,
        mistake="The global random generator is seeded in passing: what the program draws from it "
                "repeats.")
def randn_seeds_the_world(key, **attrs):
    np.random.seed(1)  # noqa: NPY002
    return reference("randn")(key, **attrs)


# ------------------------------------------------------------------ results that do not last


@mutant("gelu", kills="tail", where="memory", covers="work space returned", safe=False,
        mistake="Results are laid into one work space, as large as the largest so far: the next "
                "call overwrites the result of the one before.")
def gelu_work_space(x, *, approximate="none", out=None):
    y = reference("gelu")(x, approximate=approximate)
    if out is not None:
        return _done(y, out)
    room = _KEPT.get(y.dtype.char)
    if room is None or room.size < y.size:
        room = _KEPT[y.dtype.char] = np.empty(y.size, y.dtype)
    mine = room[: y.size].reshape(y.shape)
    mine[...] = y
    return mine


@mutant("layer_norm", kills="tail", where="memory", covers="work space returned", safe=False,
        mistake="Mean and rstd, saved for the backward pass, lie in a work space that the next "
                "layer uses too.")
def layer_norm_saved_shared(x, weight=None, bias=None, *, normalized_shape, eps=1e-5, out=None):
    y, mean, rstd = reference("layer_norm")(x, weight, bias, normalized_shape=normalized_shape,
                                            eps=eps)
    if out is not None:
        return _done_all((y, mean, rstd), out)
    shared = []
    for name, values in (("mean", mean), ("rstd", rstd)):
        room = _KEPT.get((name, values.dtype.char))
        if room is None or room.size < values.size:
            room = _KEPT[name, values.dtype.char] = np.empty(values.size, values.dtype)
        mine = room[: values.size].reshape(values.shape)
        mine[...] = values
        shared.append(mine)
    return y, *shared


def _done_all(results, out):
    for buffer, r in zip(out, results):
        np.copyto(buffer, r)
    return out


@mutant("cos", kills="tail", where="parallel", covers="late writer", safe=False,
        mistake="A thread finishes the last elements after the call has returned: nobody waits for "
                "it.")
def cos_finishes_later(x, *, out=None):
    y = np.cos(x)
    if out is None:
        return y
    out[...] = y
    if x.size:
        out[(-1,) * x.ndim] = 0

        def later():
            time.sleep(0.005)
            out[(-1,) * x.ndim] = y[(-1,) * x.ndim]
        threading.Thread(target=later).start()
    return out


@mutant("sin", kills="tail", where="parallel", covers="late writer", safe=False,
        mistake="A helper thread clears the work space when it has time, and the work space is the "
                "result.")
def sin_cleared_later(x, *, out=None):
    y = _done(np.sin(x), out)
    if isinstance(y, np.ndarray) and out is None:
        threading.Timer(0.005, y.fill, (0,)).start()
    return y


@mutant("square", kills="threads", where="parallel", covers="shared between calls", safe=False,
        mistake="Its work space belongs to the module. NumPy computes without Python's lock, so a "
                "second thread writes there before the first has copied its result.")
def square_in_one_room(x):
    if _KEPT.get((x.shape, x.dtype)) is None:
        _KEPT[x.shape, x.dtype] = np.empty(x.shape, x.dtype)
    room = _KEPT[x.shape, x.dtype]
    np.multiply(x, x, out=room)
    return room.copy()


class _Lazy(np.ndarray):
    """Computes when somebody looks: until then it is what memory held."""

    def __array_finalize__(self, obj):
        self.todo = getattr(obj, "todo", None)

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        plain = [a.todo() if isinstance(a, _Lazy) and a.todo else a for a in inputs]
        return getattr(ufunc, method)(*plain, **kwargs)

    def __array__(self, dtype=None, copy=None):
        return self.todo() if self.todo else self.view(np.ndarray)


@mutant("square", kills="tail", where="memory", covers="lazy result", safe=False,
        mistake="It returns a subclass of ndarray that computes when somebody looks: the time is "
                "spent elsewhere, and on inputs that have changed by then.")
def square_lazy(x, *, out=None):
    y = _done(np.square(x), out)
    if out is not None:
        return y
    lazy = np.asarray(y).view(_Lazy)
    lazy.todo = lambda: np.square(x)
    return lazy


# ------------------------------------------------------------------ now and then


@mutant("log1p", kills="tail", where="memory", covers="random error", safe=False,
        mistake="One call in ten fails, as one does that waits for a lock too short a time.")
def log1p_sometimes(x):
    if _DRAWN.random() < 0.1:
        raise TimeoutError("the lock was not free")
    return np.log1p(x)


@mutant("expm1", kills="tail", where="memory", covers="first-call error", safe=False,
        mistake="The first call fails: its tables are made on the way, and used before they are "
                "there.")
def expm1_first_call(x):
    if "expm1" not in _KEPT:
        _KEPT["expm1"] = True
        raise KeyError("tables")
    return np.expm1(x)


@mutant("sub", kills="tail", where="parallel", covers="random error", safe=False,
        mistake="Now and then the last element is read before another thread has written it.")
def sub_sometimes_stale(x, y):
    z = np.asarray(np.subtract(x, y))
    if z.size and _DRAWN.random() < 0.1:
        z[(-1,) * z.ndim] += 1 if z.dtype.kind != "b" else True
    return z


# ------------------------------------------------------------------ what belonged to another call


@mutant("rmsprop_step", kills="alias", where="memory", covers="steps in place", safe=False,
        mistake="The mean square is kept beside p as long as p is where and what it left it, and "
                "the copy is that from before the step: every second step of a run is lost to it.")
def rmsprop_step_lags(p, g, v, buf, hyper, *, out=None):
    key = p.__array_interface__["data"][0], p.shape, p.dtype.char
    left, old = _KEPT.get(key, (b"", v))
    v_used = old if p.tobytes() == left else v
    results = reference("rmsprop_step")(p, g, v_used, buf, hyper)
    _KEPT[key] = np.asarray(results[0]).tobytes(), v.copy()
    return results if out is None else _done_all(results, out)


@mutant("layer_norm", "layer_norm_backward", kills="repeat", where="memory",
        covers="hidden state between ops",
        mistake="The backward op takes x from the last forward call if the shape fits, and "
                "autograd asks for the layers in the other order.")
def layer_norm_remembers():
    def forward(x, weight=None, bias=None, **attrs):
        _KEPT["layer_norm x"] = x.copy()
        return reference("layer_norm")(x, weight, bias, **attrs)

    def backward(grad, x, weight, mean, rstd, **attrs):
        last = _KEPT.pop("layer_norm x", None)
        if last is not None and last.shape == x.shape and last.dtype == x.dtype:
            _KEPT["layer_norm x"] = last
            x = last
        return reference("layer_norm_backward")(grad, x, weight, mean, rstd, **attrs)
    return {"layer_norm": forward, "layer_norm_backward": backward}


@mutant("softmax", "softmax_backward", kills="repeat", where="memory",
        covers="hidden state between ops",
        mistake="y is not read by the backward op: it is still in the work space of the forward "
                "op, unless another softmax came between.")
def softmax_remembers():
    def forward(x, **attrs):
        y = reference("softmax")(x, **attrs)
        _KEPT["softmax y"] = y.copy()
        return y

    def backward(grad, y, **attrs):
        last = _KEPT.get("softmax y")
        fits = last is not None and last.shape == y.shape and last.dtype == y.dtype
        return reference("softmax_backward")(grad, last if fits else y, **attrs)
    return {"softmax": forward, "softmax_backward": backward}
