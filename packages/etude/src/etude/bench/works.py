"""What is timed: six training steps, and inference, as Etude does them.

Legend: N sequences or images, T tokens, V vocabulary. A step is forward, backward and AdamW. The
counterpart in other libraries is ``peers.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from etude import models, optim
from etude.backends.use import use
from etude.core.random import manual_seed
from etude.core.state import no_grad
from etude.core.tensor import tensor
from etude.functional import cross_entropy
from etude.replay import capture

#: The rates of AdamW: while losses are compared, and while time is taken. The second is so small
#: that thousands of steps on one batch leave the work as it was. Learned by heart, a batch has
#: gradients of nearly 0, and arithmetic on numbers below 1e-38 takes a hundred times as long.
LEARNING, TIMED = 1e-3, 1e-6
TOKENS = 64  # that a gpt adds to one


@dataclass(frozen=True)
class Work:
    """A model, and what it is given. ``settings`` are those of the function in ``etude.models``."""

    kind: str  # "mlp", "lenet", "resnet20", "gpt"
    settings: tuple[int, ...]
    shape: tuple[int, ...]  # of x
    classes: int
    name: str
    group: int = 1  # calls that are timed as one, and whose last result is read

    def model(self) -> Any:
        """The model with the weights that every side starts from."""
        manual_seed(0)
        return getattr(models, self.kind)(*self.settings)

    def batch(self) -> tuple[Any, Any]:
        """(x, labels): arrays. The x of a gpt are tokens, and every token has a label."""
        rng = np.random.default_rng(0)
        if self.kind == "gpt":
            tokens, labels = rng.integers(0, self.classes, (2, *self.shape))
            return tokens, labels
        x = rng.standard_normal(self.shape).astype(np.float32)
        return x, rng.integers(0, self.classes, self.shape[0])

    def rows(self, logits: Any, labels: Any) -> tuple[Any, Any]:
        """What a loss over rows is given, of any library: those of a gpt are tokens of texts."""
        if self.kind == "gpt":
            return logits.reshape(-1, self.classes), labels.reshape(-1)
        return logits, labels

    def weights(self) -> dict[str, Any]:
        """Name -> array; the models of PyTorch in ``peers.py`` have the same names."""
        return {name: t.numpy().copy() for name, t in self.model().state_dict().items()}


MLP, LENET, RESNET = (784, 256, 128, 10), (28,), ()
SMALL_GPT, GPT = (65, 64, 4, 4, 128), (65, 128, 6, 8, 256)

STEPS = (
    Work("mlp", (64, 32, 10), (32, 64), 10, "mlp 64-32-10 b32", 20),
    Work("mlp", MLP, (64, 784), 10, "mlp 784-256-128-10 b64", 5),
    Work("lenet", LENET, (64, 1, 28, 28), 10, "lenet 28x28 b64"),
    Work("resnet20", RESNET, (64, 3, 32, 32), 10, "resnet20 32x32 b64"),
    Work("gpt", SMALL_GPT, (16, 64), 65, "gpt 4x128 T64 b16"),
    Work("gpt", GPT, (8, 128), 65, "gpt 6x256 T128 b8"),
)
INFERENCE = (
    Work("mlp", MLP, (1, 784), 10, "mlp 784-256-128-10 b1", 20),
    Work("mlp", MLP, (64, 784), 10, "mlp 784-256-128-10 b64", 10),
    Work("lenet", LENET, (1, 1, 28, 28), 10, "lenet 28x28 b1", 20),
    Work("lenet", LENET, (64, 1, 28, 28), 10, "lenet 28x28 b64"),
    Work("resnet20", RESNET, (1, 3, 32, 32), 10, "resnet20 32x32 b1", 2),
    Work("resnet20", RESNET, (64, 3, 32, 32), 10, "resnet20 32x32 b64"),
)
GENERATION = Work("gpt", (65, 128, 4, 4, 128), (1, 1), 65, f"gpt 4x128, {TOKENS} tokens")


@dataclass(frozen=True)
class Side:
    """One library at one work. ``read`` turns what ``take`` returns into NumPy, which waits for
    libraries that are still computing when they return.
    """

    take: Callable[[], Any]
    read: Callable[[Any], Any]
    rate: Callable[[float], None] = lambda lr: None  # sets that of AdamW
    captured: Any = None  # what ``take`` calls, if that is captured

    def answers(self, count: int) -> Any:
        """What the first ``count`` calls give: losses of steps, or outputs."""
        return np.array([self.read(self.take()) for _ in range(count)])

    def group(self, count: int) -> Callable[[], None]:
        """A function that makes ``count`` calls and reads the last result."""
        take, read = self.take, self.read

        def calls() -> None:
            for _ in range(count):
                result = take()
            read(result)

        return calls


@dataclass(frozen=True)
class Within:
    """A Side whose calls run in a block: ``with block():``."""

    side: Side
    block: Callable[[], Any]

    def answers(self, count: int) -> Any:
        with self.block():
            return self.side.answers(count)

    def group(self, count: int) -> Callable[[], None]:
        calls, block = self.side.group(count), self.block

        def inside() -> None:
            with block():
                calls()

        return inside

    def rate(self, lr: float) -> None:
        self.side.rate(lr)


def training(work: Work, column: str, captured: bool = False) -> Within:
    """Training steps of Etude on a column."""
    with use(column):
        model = work.model()
        optimizer = optim.AdamW(model.parameters(), lr=LEARNING)
        x, labels = map(tensor, work.batch())

    def step(x: Any, labels: Any) -> Any:
        optimizer.zero_grad()
        loss = cross_entropy(*work.rows(model(x), labels))
        loss.backward()
        optimizer.step()
        return loss.detach()

    def rate(lr: float) -> None:
        optimizer.param_groups[0]["lr"] = lr

    take: Any = capture(step) if captured else step
    return Within(Side(lambda: take(x, labels), lambda loss: loss.item(), rate,
                       take if captured else None), lambda: use(column))


def inference(work: Work, column: str, captured: bool = False) -> Within:
    """Predictions of Etude on a column. Captured ones are frozen, as onnxruntime's are."""
    with use(column):
        model = work.model().eval()
        x = tensor(work.batch()[0])

    def predict(x: Any) -> Any:
        with no_grad():
            return model(x)

    take = capture(predict, freeze=True) if captured else predict
    return Within(Side(lambda: take(x), lambda y: y.numpy().copy()), lambda: use(column))


def generation(work: Work, column: str) -> Within:
    """The likeliest tokens after one, of Etude on a column."""
    with use(column):
        model = work.model().eval()
        start = tensor(work.batch()[0])
    return Within(Side(lambda: model.generate(start, TOKENS, temperature=0),
                       lambda tokens: tokens.numpy()), lambda: use(column))
