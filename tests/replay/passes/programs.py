"""What the tests of passes share: programs of functions, and running them on the reference."""

import numpy as np

import etude
from etude.replay.passes.memory import lifetimes
from etude.replay.passes.memory import live_bound as bound
from etude.replay.reference import Reference


def program_of(fn, *arguments):
    """The program of ``fn(*arguments)`` as traced, before any pass."""
    step = etude.capture(fn)
    step(*arguments)
    return step.program


def results(program, *arguments, executor=Reference):
    """What a run of ``program`` returns for these Tensors, in new memory."""
    run = executor(program)
    for v, t in zip(program.arguments, arguments, strict=True):
        run.bind(v.buffer, t.array)
    memory = {}
    for v in program.results:
        if v.buffer.kind == "result" and v.buffer not in memory:
            memory[v.buffer] = np.full(v.buffer.nbytes, 0xAA, np.uint8)
            run.bind(v.buffer, memory[v.buffer])
    run.run()
    return [memory[v.buffer].tobytes() for v in program.results if v.buffer in memory]


def ops(program):
    return [c.op for c in program.calls]


def peak(program):
    """The most bytes of temporaries that are live at once."""
    lives = lifetimes(program)
    return bound(lives, {b: b.nbytes for b in lives})


def numbers(*shape, seed=0):
    return etude.tensor(np.random.default_rng(seed).normal(size=shape).astype(np.float32))
