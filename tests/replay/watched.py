"""Programs for the tests of passes and executors: what a tap sees of one call of a function.

It knows no guards and makes nothing anew: what is neither given nor state nor written before it is
read is a constant, and the ``hyper`` of an optimiser is live.
"""

import numpy as np

import etude
from etude.core.table import TABLE
from etude.replay.program import Buffer, Call, Program, Value


def address(a):
    return a.__array_interface__["data"][0]


def root(a):
    while isinstance(a.base, np.ndarray):
        a = a.base
    return a


def watch(fn, arguments=(), state=(), backend="cpu"):
    """(program, results, hyper arrays) of ``fn()``, which reads the Tensors ``arguments`` and
    ``state``, and returns a Tensor or several."""
    events = []
    with etude.use(backend), etude.tap(events.append):
        results = fn()
    results = results if isinstance(results, tuple) else (results,)
    return _Watched(events, arguments, state, results).program()


class _Watched:
    def __init__(self, events, arguments, state, results):
        self.events, self.results = events, results
        self.buffers, self.alive = {}, []
        self.hyper = []
        self.arguments = [self.enter("argument", t.array) for t in arguments]
        for t in state:
            self.enter("state", t.array, t.array)

    def enter(self, kind, array, source=None):
        r = root(array)
        self.alive.append(r)
        base = array if kind in ("state", "argument") else r
        self.buffers[id(r)] = Buffer(f"{kind[0]}{len(self.buffers)}", kind, base.nbytes,
                                     source=source), address(base)
        return self.value(array)

    def value(self, array, kind="constant"):
        r = root(array)
        if id(r) not in self.buffers:
            self.enter(kind, array, r if kind == "constant" else None)
        buffer, begin = self.buffers[id(r)]
        item = array.dtype.itemsize
        return Value(buffer, array.shape, array.dtype, tuple(s // item for s in array.strides),
                     (address(array) - begin) // item)

    def program(self):
        for e in self.events:  # known before: all that is written
            self.alive.append(e)
        calls = []
        for e in self.events:
            if TABLE[e.op].cls == "view" or e.column == "view":
                continue
            if e.op.endswith("_step"):
                r = root(e.arrays[-1])
                if id(r) not in self.buffers:
                    self.enter("live", e.arrays[-1], e.arrays[-1])
                    self.hyper.append(e.arrays[-1])
            inputs = tuple(self.value(a) if isinstance(a, np.ndarray) else a for a in e.arrays)
            outputs = tuple(self.value(a, "temporary") for a in e.outputs)
            calls.append(Call(e.op, inputs, dict(e.attrs), outputs, e.column))
        results = [self.value(t.array) for t in self.results]
        for v in results:
            if v.buffer.kind == "temporary":
                v.buffer.kind = "result"
        return Program(calls, self.arguments, results), self.results, self.hyper


def step_program(model, optimizer, loss_of, *data, backend="cpu"):
    """The program of a training step after a first one, and a function that is the eager step."""
    def step():
        optimizer.zero_grad()
        loss = loss_of(model, *data)
        loss.backward()
        optimizer.step()
        return loss

    with etude.use(backend):
        step()
    state = [*model.parameters(), *[b for _, b in model.named_buffers()],
             *[t for s in optimizer.state for t in s.values() if isinstance(t, etude.Tensor)]]
    program, _, hyper = watch(step, data, state, backend)
    return program, hyper, state, step
