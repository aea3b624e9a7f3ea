"""Subset and random_split: every sample once, the same again with the same seed."""

import numpy as np
import pytest

import etude
from etude.data.dataset import TensorDataset
from etude.data.folder import ImageFolder
from etude.data.loader import DataLoader
from etude.data.mnist import ByteImages
from etude.data.subset import Subset, random_split
from etude.data.table_file import CSVDataset
from etude.data.text import LanguageModelDataset


class Plain:
    def __len__(self):
        return 10

    def __getitem__(self, i):
        return (i * i,)


def test_a_subset_has_the_samples_named_in_their_order():
    part = Subset(Plain(), [7, 2, 2])
    assert [part[i] for i in range(len(part))] == [(49,), (4,), (4,)]
    ((x,),) = DataLoader(part, batch_size=3)
    assert x.tolist() == [49, 4, 4]
    for wrong in ([10], [0, -1]):
        with pytest.raises(IndexError, match=f"Subset: sample {wrong[-1]} of a dataset with 10"):
            Subset(Plain(), wrong)


def test_a_subset_reads_in_batches_where_its_dataset_can():
    assert not hasattr(Subset(Plain(), [1]), "batch")
    rows = TensorDataset(etude.arange(10), etude.arange(10) * 2)
    part = Subset(Subset(rows, [9, 8, 7, 6]), [3, 0])
    x, y = part.batch(np.array([1, 0]))
    assert (x.tolist(), y.tolist()) == ([9, 6], [18, 12])
    data = Subset(LanguageModelDataset(np.arange(30), 4), [5, 1])
    np.testing.assert_array_equal(data.batch(np.array([0]))[0][0], data[0][0])


def test_a_random_split_has_every_sample_once_and_repeats():
    train, held = random_split(Plain(), 0.3, seed=4)
    assert (len(train), len(held)) == (7, 3)
    assert sorted([*train.indices, *held.indices]) == list(range(10))
    assert held.indices.tolist() == random_split(Plain(), 0.3, seed=4)[1].indices.tolist()
    others = {tuple(random_split(Plain(), 0.3, seed=s)[1].indices) for s in range(20)}
    assert len(others) > 10


@pytest.mark.parametrize("share", [0, 0.01, 1, 1.5, -0.5])
def test_a_share_that_leaves_a_part_empty_is_refused(share):
    with pytest.raises(ValueError, match=f"a share of {share} of 10 samples leaves one part empty"):
        random_split(Plain(), share)


def test_lengths_instead_of_a_share_are_told_how_to_become_one():
    with pytest.raises(TypeError, match=r"takes the share .*got list; two lengths a and b are"):
        random_split(Plain(), [7, 3])


def test_a_seed_may_be_as_large_as_elsewhere():
    train, held = random_split(Plain(), 0.3, seed=2**64 - 1)
    assert sorted([*train.indices, *held.indices]) == list(range(10))
    with pytest.raises(ValueError, match=r"a seed is an integer from 0 to 2\^64 - 1, got -1"):
        random_split(Plain(), 0.3, seed=-1)


def test_a_share_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match="a share of nan of 10 samples leaves one part empty"):
        random_split(Plain(), float("nan"))
    with pytest.raises(TypeError, match="got bool"):
        random_split(Plain(), True)


@pytest.mark.parametrize("mask", [
    [False, False, True, True, True, True, True, True, True, True], np.ones(10, bool),
    etude.ones(10, dtype=bool), [True]])
def test_a_mask_is_not_taken_for_the_numbers_0_and_1(mask):
    with pytest.raises(TypeError, match=r"picked by integers, got bool; .* np\.flatnonzero\(mask"):
        Subset(Plain(), mask)


def test_a_fraction_is_not_cut_off():
    with pytest.raises(TypeError, match="Subset: samples are picked by integers, got float64"):
        Subset(Plain(), [1.9, 2.9])
    assert len(Subset(Plain(), [])) == 0  # NumPy reads no numbers as floats
    assert Subset(Plain(), np.array([3, 1], np.uint8)).indices.tolist() == [3, 1]
    assert Subset(Plain(), etude.tensor([3, 1])).indices.tolist() == [3, 1]


@pytest.fixture
def datasets(tmp_path):
    """One of each class, with three samples."""
    table = tmp_path / "table.csv"
    table.write_text("width,label\n1,a\n2,b\n3,a\n")
    folder = tmp_path / "images" / "cat"
    folder.mkdir(parents=True)
    for i in range(3):
        np.save(folder / f"{i}.npy", np.full((1, 2, 2), i, np.uint8))
    return [TensorDataset(etude.arange(3)), Subset(Plain(), [4, 5, 6]), CSVDataset(table, "label"),
            LanguageModelDataset(np.arange(4), 1), ImageFolder(tmp_path / "images", mode="L"),
            ByteImages(np.arange(12, dtype=np.uint8).reshape(3, 2, 2), np.arange(3), tuple("abc"))]


def test_a_sample_is_asked_for_by_an_integer(datasets):
    for dataset in datasets:
        last = dataset[2]
        for same in (-1, np.int32(2), np.array(2)):
            np.testing.assert_array_equal(dataset[same][0], last[0])
        for wrong in (True, np.True_, 1.9, "1", None):
            with pytest.raises((TypeError, IndexError), match="integer"):
                print(dataset, dataset[wrong])
        for wrong in (3, -4):
            with pytest.raises(IndexError):
                dataset[wrong]


def test_blocks_are_picked_by_integers_too():
    blocks = LanguageModelDataset(np.arange(9), 2)
    with pytest.raises(TypeError, match="picked by integers, got bool"):
        blocks.batch(np.array([True, False, True, False]))
    with pytest.raises(IndexError, match="LanguageModelDataset: sample -1 of a dataset with 4"):
        blocks.batch(np.array([-1]))  # it would begin before the text


def test_a_part_knows_the_classes_of_the_whole(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("x,kind\n1,yes\n2,no\n3,yes\n4,no\n")
    table = CSVDataset(path, "kind")
    assert [part.classes for part in random_split(table, 0.5)] == [("no", "yes")] * 2
    assert not hasattr(Subset(Plain(), [0]), "classes")
