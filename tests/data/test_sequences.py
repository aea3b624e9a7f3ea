"""Sequences: padding, cutting and masking."""

import numpy as np
import pytest

from etude.core.errors import DTypeError, ShapeError
from etude.data.loader import DataLoader
from etude.data.sequences import MaskTokens, PadCollate, PadTo, Truncate


def rng(seed=0):
    return np.random.default_rng(seed)


class Words:
    """(letters, label): sequences of 1, 2, 3, ... letters."""

    def __init__(self, n, dtype=np.int64, tail=()):
        self.n, self.dtype, self.tail = n, dtype, tail

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        return np.full((i + 1, *self.tail), i + 10, self.dtype), i


def test_truncate_and_pad_make_every_sequence_as_long():
    for n in (2, 5, 9):
        x = np.arange(n)
        y = PadTo(5, value=-1)(Truncate(5)(x))
        assert y.tolist() == [*range(min(n, 5)), *[-1] * (5 - n)]
        assert y.dtype == x.dtype
    assert PadTo(4)(np.ones((2, 3))).shape == (2, 4)
    with pytest.raises(ShapeError, match=r"of 6 steps is longer than 5; put Truncate\(5\) before"):
        PadTo(5)(np.arange(6))


def test_a_batch_is_padded_to_its_longest_and_tells_the_lengths():
    loader = DataLoader(Words(5), batch_size=3, collate=PadCollate(value=-1))
    (x, lengths, label), (x2, *_) = loader
    assert x.tolist() == [[10, -1, -1], [11, 11, -1], [12, 12, 12]]
    assert lengths.tolist() == [1, 2, 3]
    assert lengths.dtype == label.dtype == np.int64
    assert label.tolist() == [0, 1, 2]
    assert x2.shape == (2, 5)


def test_a_fixed_length_and_features_at_each_step():
    samples = [Words(4, np.float32, (6,))[i] for i in range(4)]
    x, lengths, _ = PadCollate(length=7)(samples)
    assert x.shape == (4, 7, 6)
    assert x.dtype == np.float32
    for i, n in enumerate(lengths):
        assert (x[i, :n] == i + 10).all()
        assert (x[i, n:] == 0).all()
    with pytest.raises(ShapeError, match="a sequence of 4 steps is longer than length=3"):
        PadCollate(length=3)(samples)


def test_sequences_that_do_not_go_together_are_refused():
    with pytest.raises(ShapeError, match=r"only in their length, got shapes \[2, 3\] and \[2, 4\]"):
        PadCollate()([(np.ones((2, 3)),), (np.ones((2, 4)),)])
    with pytest.raises(DTypeError, match="one dtype, got float64 and int64"):
        PadCollate()([(np.ones(2),), (np.ones(2, int),)])
    with pytest.raises(ShapeError, match=r"got shapes \[\] and \[\]"):
        PadCollate()([(1,), (2,)])


def test_masking_hides_the_share_asked_for_and_keeps_the_answers():
    x = rng(5).integers(2, 50, (40, 500))
    x[:, -100:] = 0  # padding
    mask = MaskTokens(mask=1, vocab_size=50, share=0.15, never=[0])
    before = x.copy()
    hidden, target = mask(x, rng())
    assert hidden.dtype == target.dtype == np.int64
    np.testing.assert_array_equal(x, before)
    chosen = target != -100
    np.testing.assert_array_equal(target[chosen], x[chosen])
    np.testing.assert_array_equal(hidden[~chosen], x[~chosen])
    assert not chosen[:, -100:].any()
    assert abs(chosen[:, :-100].mean() - 0.15) < 0.01
    now = hidden[chosen]
    assert abs((now == 1).mean() - 0.8) < 0.03
    assert abs((now == x[chosen]).mean() - 0.1) < 0.02
    again = mask(x, rng())
    np.testing.assert_array_equal(hidden, again[0])
    np.testing.assert_array_equal(target, again[1])


def test_masking_refuses_what_it_cannot_mask():
    with pytest.raises(DTypeError, match="tokens are integers, got float64"):
        MaskTokens(0, 10)(np.ones(3), rng())
    with pytest.raises(ValueError, match="MaskTokens draws random numbers"):
        MaskTokens(0, 10)(np.ones(3, int))
    with pytest.raises(ValueError, match="share is from 0 to 1, got 15"):
        MaskTokens(0, 10, share=15)


def test_in_a_loader_the_masked_batch_and_its_target_are_two_fields():
    loader = DataLoader(Words(1), transform=MaskTokens(1, 50, share=1.0), seed=0)
    ((hidden, target, label),) = loader
    assert target.tolist() == [[10]]
    assert hidden.shape == (1, 1)
    assert label.tolist() == [0]
