"""What a run may be made of, by name: models, data sets, optimisers, schedulers.

Models, optimisers and schedulers are those of ``etude.models`` and ``etude.optim``; a data set is a
function of this file. Their arguments are the settings that a TOML file may give.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from etude import data, functional, models, optim
from etude.core.tensor import Tensor
from etude.data.dataset import Dataset
from etude.data.subset import Subset, random_split
from etude.data.tokenizers import CharTokenizer
from etude.nn.module import Module
from etude.train.run import Loss

Maker = Callable[..., Any]


@dataclass
class Data:
    """Samples to train on and to test with, what a model must know of them, and their loss."""

    train: Dataset
    test: Dataset
    facts: dict[str, Any] = field(default_factory=dict)  # argument of a model -> its value
    loss: Loss = functional.cross_entropy
    text: bool = False  # samples are pieces of one text, in its order
    tokenizer: CharTokenizer | None = None  # that text was encoded with

    def hold_out(self, share: float) -> tuple[Dataset, Dataset | None]:
        """(train, validation): a share of the training samples set apart; None for a share of 0.

        The samples are drawn at random. Of a text the end is taken, so that the model was not
        trained on the neighbours of what it is judged by.
        """
        if share == 0:
            return self.train, None
        if not self.text:
            return _split(self.train, "validation", share)
        n = len(self.train)
        cut = n - round(n * share)
        if cut in (0, n):
            raise ValueError(f"a share of {share} of {n} blocks leaves one part empty")
        return Subset(self.train, range(cut)), Subset(self.train, range(cut, n))


def token_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of each token of a block. logits: (N, T, V); target: (N, T) int64."""
    loss: Tensor = functional.cross_entropy(logits.flatten(0, 1), target.flatten())
    return loss


def square_loss(output: Tensor, target: Tensor) -> Tensor:
    """The mean of (y - t)^2. output: (N, 1); target: (N) float."""
    difference = output.flatten() - target
    mean: Tensor = functional.mean(difference * difference)
    return mean


def _images(train: Dataset, test: Dataset, classes: int) -> Data:
    channels, height, width = train[0][0].shape
    facts = {"inputs": channels * height * width, "channels": channels, "classes": classes}
    if height == width:
        facts["size"] = height
    return Data(train, test, facts)


# ------------------------------------------------------------------ data sets


def digits() -> Data:
    """1,797 handwritten digits of 8 x 8, inside the package."""
    return _images(*data.digits(), 10)


def fashion_mnist(folder: str | None = None, download: bool = False) -> Data:
    """70,000 pieces of clothing of 28 x 28."""
    from etude.data.mnist import fashion_mnist as load

    return _images(*load(folder, download=download), 10)


def mnist(folder: str | None = None, download: bool = False) -> Data:
    """70,000 handwritten digits of 28 x 28."""
    from etude.data.mnist import mnist as load

    return _images(*load(folder, download=download), 10)


def images(train: str, test: str | float = 0.2, seed: int = 0, mode: str = "RGB",
           size: int | tuple[int, int] | None = None) -> Data:
    """A folder of images, with a folder for every class. ``test`` is another one, or the share of
    the images that is set apart, drawn by ``seed``.
    """
    from etude.data.folder import ImageFolder

    first = ImageFolder(train, mode=mode, size=size)
    if isinstance(test, float):
        return _images(*_split(first, "test", test, seed), len(first.classes))
    second = ImageFolder(test, mode=mode, size=size)
    if first.classes != second.classes:
        raise ValueError(f"{train} and {test} have different classes: {first.classes} and "
                         f"{second.classes}")
    return _images(first, second, len(first.classes))


def csv(train: str, label: str, test: str | float = 0.2, seed: int = 0, kind: str = "class",
        columns: tuple[str, ...] | None = None, delimiter: str = ",") -> Data:
    """A table of numbers; the model predicts the column ``label``. ``test`` is another table, or
    the share of the lines that is set apart, drawn by ``seed``. ``columns`` are the features, by
    default all others.
    """
    from etude.data.table_file import CSVDataset

    first = CSVDataset(train, label, kind, columns, delimiter=delimiter)
    if isinstance(test, float):
        parts: tuple[Dataset, Dataset] = _split(first, "test", test, seed)
    else:
        parts = first, CSVDataset(test, label, kind, columns, first.classes, delimiter)
    inputs = first[0][0].shape[0]
    if first.classes is not None:
        return Data(*parts, {"inputs": inputs, "classes": len(first.classes)})
    return Data(*parts, {"inputs": inputs, "classes": 1}, square_loss)


def _split(dataset: Dataset, key: str, share: float, seed: int = 0) -> tuple[Subset, Subset]:
    """The dataset without a share of it, and that share. ``key`` is the setting that says which."""
    n = len(dataset)
    if not 0 < share < 1 or round(n * share) in (0, n):
        raise ValueError(f"{key} = {share:g} must be a share between 0 and 1 that leaves samples "
                         f"on both sides; there are {n}")
    return random_split(dataset, share, seed)


def names(block: int = 16) -> Data:
    """5,163 first names, one a line, to write more of them: blocks of characters."""
    from etude.data.text import names as load

    train, test = random_split([(name,) for name in load()], 0.1)
    return _text(_one_a_line(train), _one_a_line(test), block)


def _one_a_line(part: Subset) -> str:
    return "".join(f"{part[i][0]}\n" for i in range(len(part)))


def shakespeare(block: int = 64, test: float = 0.1) -> Data:
    """Four plays, to write more of them: blocks of characters. ``test`` is a share at the end."""
    from etude.data.text import shakespeare as load
    from etude.data.text import text_split

    return _text(*text_split(load(), test), block)


def _text(train: str, test: str, block: int) -> Data:
    from etude.data.text import LanguageModelDataset

    tokenizer = CharTokenizer.train(train + test)
    return Data(LanguageModelDataset(tokenizer.encode(train), block),
                LanguageModelDataset(tokenizer.encode(test), block),
                facts={"vocab": tokenizer.vocab_size, "block_size": block},
                loss=token_loss, text=True, tokenizer=tokenizer)


# ------------------------------------------------------------------ the rest


def mlp(inputs: int, classes: int, hidden: tuple[int, ...] = (32,)) -> Module:
    """``models.mlp`` with layers of ``hidden`` numbers between the data and the classes."""
    return models.mlp(inputs, *hidden, classes)


def warmup_cosine(optimizer: optim.Optimizer, total_steps: int, warmup: int = 100,
                  eta_min: float = 0.0) -> optim.Scheduler:
    """Up to the rate of the optimiser in ``warmup`` steps, then down along a cosine."""
    if not 0 < warmup < total_steps:
        raise ValueError(f"warmup must lie between 0 and the {total_steps} steps of the run, got "
                         f"{warmup}")
    up = optim.LinearLR(optimizer, 1 / warmup, 1.0, warmup)
    down = optim.CosineAnnealingLR(optimizer, total_steps - warmup, eta_min)
    return optim.SequentialLR(optimizer, [up, down], [warmup])


DATA: dict[str, Maker] = {f.__name__: f for f in (
    digits, names, shakespeare, fashion_mnist, mnist, images, csv)}
MODELS: dict[str, Maker] = {name: getattr(models, name) for name in models.__all__} | {"mlp": mlp}


def _subclasses(base: type) -> dict[str, Maker]:
    """The public subclasses of ``base`` in ``etude.optim``, by name."""
    found = {name: getattr(optim, name) for name in optim.__all__}
    return {name: c for name, c in found.items()
            if isinstance(c, type) and issubclass(c, base) and c is not base}


OPTIMIZERS = _subclasses(optim.Optimizer)
SCHEDULERS = _subclasses(optim.Scheduler)
del SCHEDULERS["SequentialLR"]  # it takes schedulers, which a TOML table cannot give
SCHEDULERS["warmup_cosine"] = warmup_cosine
