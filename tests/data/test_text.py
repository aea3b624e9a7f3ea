"""The text that comes with Etude, and blocks of it to learn from."""

from pathlib import Path

import numpy as np
import pytest

import etude.data
from etude.core.errors import DTypeError, ShapeError
from etude.data.loader import DataLoader
from etude.data.text import LanguageModelDataset, names, shakespeare, text_split

FOLDER = Path(etude.data.__file__).parent


def test_names_are_a_few_thousand_words_each_once_in_order():
    found = names()
    assert len(found) == 5163
    assert found == sorted(set(found))
    assert set("".join(found)) == set("abcdefghijklmnopqrstuvwxyz")
    assert {"ada", "grace", "alan", "william"} <= set(found)


def test_shakespeare_is_four_plays_without_a_publishers_words():
    text = shakespeare()
    assert len(text) == 439_693
    assert len(set(text)) == 72
    for line in ("AS YOU LIKE IT", "MACBETH", "A MIDSUMMER NIGHT'S DREAM",
                 "TWELFTH NIGHT; OR, WHAT YOU WILL"):
        assert f"\n{line}\n" in "\n" + text
    assert "Tomorrow, and tomorrow" in text or "To-morrow, and to-morrow" in text
    for word in ("gutenberg", "etext", "copyright", "\r", "\t"):
        assert word not in text.lower()


def test_packaged_data_is_small_and_every_file_of_it_has_its_licence():
    files = [*FOLDER.glob("*.gz"), *FOLDER.glob("*.npz")]
    assert {f.name for f in files} >= {"names.txt.gz", "shakespeare.txt.gz", "digits.npz"}
    assert sum(f.stat().st_size for f in files) < 400_000
    for file in files:
        name = file.name.split(".")[0]
        licence = (FOLDER / f"{name}.LICENSE.txt").read_text()
        assert file.name in licence
        assert "ublic domain" in licence or "CC BY" in licence


# ------------------------------------------------------------------------- blocks of tokens


def test_y_is_x_one_step_later_and_an_epoch_reads_the_text_once():
    data = LanguageModelDataset(np.arange(100, 123), block=5)
    assert len(data) == 4  # 23 tokens: 4 blocks of 5 with the token after each
    x, y = data[1]
    assert x.tolist() == [105, 106, 107, 108, 109]
    assert y.tolist() == [106, 107, 108, 109, 110]
    seen = np.concatenate([data[i][0] for i in range(4)])
    assert seen.tolist() == list(range(100, 120))


def test_the_last_block_is_there_when_the_tokens_just_reach():
    assert len(LanguageModelDataset(np.arange(21), block=5)) == 4
    assert len(LanguageModelDataset(np.arange(20), block=5)) == 3
    data = LanguageModelDataset(np.arange(21), block=5)
    assert data[3][1].tolist() == [16, 17, 18, 19, 20]
    assert data[-1][1].tolist() == [16, 17, 18, 19, 20]
    with pytest.raises(IndexError, match="sample 4 of a LanguageModelDataset with 4"):
        data[4]


def test_stride_one_starts_everywhere():
    data = LanguageModelDataset(list(range(10)), block=3, stride=1)
    assert len(data) == 7
    assert [int(data[i][0][0]) for i in range(7)] == list(range(7))


def test_a_loader_gets_batches_of_int64_blocks():
    data = LanguageModelDataset(np.arange(50, dtype=np.int32), block=4)
    x, y = next(iter(DataLoader(data, batch_size=3)))
    assert x.shape == y.shape == (3, 4)
    assert x.dtype == y.dtype == np.int64
    assert x.tolist()[1] == [4, 5, 6, 7]
    assert y.tolist()[1] == [5, 6, 7, 8]
    np.testing.assert_array_equal(data.batch(np.array([2, 0]))[1], [data[2][1], data[0][1]])


def test_what_is_no_sequence_of_tokens_is_refused():
    with pytest.raises(DTypeError, match="got text; encode it first"):
        LanguageModelDataset("to be", block=2)
    with pytest.raises(DTypeError, match="tokens are integers, got float64"):
        LanguageModelDataset(np.ones(9), block=2)
    with pytest.raises(ShapeError, match=r"at least block \+ 1 = 9 tokens, got shape \[8\]"):
        LanguageModelDataset(np.arange(8), block=8)
    with pytest.raises(ValueError, match="block must be an integer >= 1, got 0"):
        LanguageModelDataset(np.arange(8), block=0)
    with pytest.raises(ValueError, match="stride must be an integer >= 1, got -1"):
        LanguageModelDataset(np.arange(8), block=2, stride=-1)


def test_text_split_cuts_and_does_not_shuffle():
    train, validation = text_split(shakespeare(), 0.1)
    assert train + validation == shakespeare()
    assert len(validation) == round(0.1 * 439_693)
    a, b = text_split(np.arange(10), 0.25)
    assert (a.tolist(), b.tolist()) == (list(range(8)), [8, 9])
    with pytest.raises(ValueError, match="a share between 0 and 1, got 1"):
        text_split("abc", 1)
    with pytest.raises(ValueError, match="2 elements are too few"):
        text_split("ab", 0.1)
