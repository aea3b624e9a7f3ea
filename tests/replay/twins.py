"""Two trainings that begin alike: one runs as written, the other captured. Nothing may tell them
apart afterwards: parameters, buffers, gradients, moments, counts, rates, generators.
"""

import numpy as np

import etude
from etude import functional as F
from etude import models, optim


class Training:
    """A model, an optimiser, a schedule and a step. ``options`` choose what the step does."""

    def __init__(self, model, batches, optimizer="adamw", *, loss=None, clip=None, schedule=None,
                 accumulate=False, seed=7, **settings):
        etude.manual_seed(seed)
        self.generator = etude.Generator(seed)
        self.model = model(self.generator)
        kinds = {"adamw": optim.AdamW, "adam": optim.Adam, "sgd": optim.SGD,
                 "rmsprop": optim.RMSprop}
        self.optimizer = kinds[optimizer](self.model.parameters(), **{"lr": 0.01, **settings})
        self.scheduler = schedule(self.optimizer) if schedule else None
        self.batches, self.clip, self.accumulate = batches, clip, accumulate
        self.loss = loss or F.cross_entropy

    def step(self, x, y):
        if not self.accumulate:
            self.optimizer.zero_grad()
        out = self.model(x)
        loss = self.loss(out, y)
        loss.backward()
        if self.clip is not None:
            optim.clip_grad_norm_(self.model.parameters(), self.clip)
        self.optimizer.step()
        if self.scheduler is not None:
            self.scheduler.step()
        return loss, out

    def run(self, step):
        """Every batch once; all results, as arrays."""
        return [[t.detach().numpy().copy() for t in step(x, y)] for x, y in self.batches]

    def state(self):
        """All that the training has changed, as a dict of arrays and numbers."""
        found = {f"model {k}": v.numpy() for k, v in self.model.state_dict().items()}
        for path, p in self.model.named_parameters():
            found[f"grad {path}"] = None if p.grad is None else p.grad.numpy()
        kept = self.optimizer.state_dict()
        for i, one in enumerate(kept["state"]):
            for k, v in one.items():
                found[f"state {i} {k}"] = v.numpy() if isinstance(v, etude.Tensor) else v
        found["groups"] = [{k: v for k, v in g.items() if k != "params"}
                           for g in kept["param_groups"]]
        found["schedule"] = self.scheduler.state_dict() if self.scheduler else None
        found["generator"] = self.generator.get_state()
        return found


def same(a, b):
    """The same bits, in what ``state`` and ``run`` give."""
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and a.dtype == b.dtype and a.shape == b.shape and (
            a.tobytes() == b.tobytes())
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def assert_same(a, b):
    different = [k for k in a if not same(a[k], b[k])]
    assert a.keys() == b.keys()
    assert not different, different


def twins(*args, **options):
    """(results, results, captured step, training as written, training captured)."""
    written, captured = Training(*args, **options), Training(*args, **options)
    state = etude.core.random.default_generator.get_state()
    first = written.run(written.step)
    after = etude.core.random.default_generator.get_state()
    etude.core.random.default_generator.set_state(state)
    step = etude.capture(captured.step)
    second = captured.run(step)
    assert etude.core.random.default_generator.get_state() == after
    for a, b in zip(first, second, strict=True):
        assert same(a, b)
    assert_same(written.state(), captured.state())
    return step, written, captured


def numbers(*shape, seed=0):
    return etude.tensor(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


def classes(n, *shape, seed=0):
    return etude.tensor(np.random.default_rng(seed).integers(0, n, shape))


def labelled(count, *shape, classes_=10):
    """``count`` batches (x, y); x has ``shape``."""
    return [(numbers(*shape, seed=i), classes(classes_, shape[0], seed=i)) for i in range(count)]


def tokens(count, n, t, vocab=11):
    return [(classes(vocab, n, t, seed=i), classes(vocab, n, t, seed=i + 100))
            for i in range(count)]


def over_tokens(logits, y):
    return F.cross_entropy(logits.reshape(-1, logits.shape[-1]), y.reshape(-1))


def mlp(generator):
    return models.mlp(12, 8, 10)


def dropping_mlp(generator):
    from etude import nn

    return nn.Sequential(nn.Linear(12, 8), nn.Dropout(0.3, generator=generator), nn.ReLU(),
                         nn.Dropout(0.2), nn.Linear(8, 10))


def arrays(*tensors):
    return [t.detach().numpy().copy() for t in tensors]


def fitted(**options):
    """A training whose step is captured and has run twice, and its twin as written."""
    batches = labelled(2, 6, 12)
    written, captured = Training(mlp, batches, **options), Training(mlp, batches, **options)
    step = etude.capture(captured.step)
    assert same(written.run(written.step), captured.run(step))
    return written, captured, step


def goes_on(written, captured, step, batches=None):
    """Both trainings do the same with more batches."""
    for x, y in batches or labelled(3, 6, 12):
        assert same(arrays(*written.step(x, y)), arrays(*step(x, y)))
    assert_same(written.state(), captured.state())
