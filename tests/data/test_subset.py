"""Subset and random_split: every sample once, the same again with the same seed."""

import numpy as np
import pytest

import etude
from etude.data.dataset import TensorDataset
from etude.data.loader import DataLoader
from etude.data.subset import Subset, random_split
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
