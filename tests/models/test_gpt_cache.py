"""A gpt that keeps keys and values says what it says without: token by token, captured or not."""

import copy
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module

import numpy as np
import pytest

import etude
from etude import models, nn
from etude.core.errors import ShapeError

V, SIZE = 11, 24
gpt_module = import_module("etude.models.gpt")  # etude.models.gpt is the function


@pytest.fixture
def model():
    etude.manual_seed(3)
    found = models.gpt(V, SIZE, layers=2, heads=2, embed_dim=16).to("float64")
    found.eval()
    return found


def tokens(n, length, seed=0):
    return etude.tensor(np.random.default_rng(seed).integers(0, V, (n, length)))


def in_pieces(model, x, lengths):
    """The logits of x, read through a cache in pieces of so many tokens."""
    cache, start, found = model.cache(x.shape[0]), 0, []
    with etude.no_grad():
        for length in lengths:
            found.append(model(x[:, start : start + length], cache).numpy())
            start += length
    assert cache.used == cache.length.item() == start
    return np.concatenate(found, 1)


@pytest.mark.parametrize("lengths", [[20], [1] * 20, [7, 1, 1, 1, 10], [1, 19], [19, 1]])
def test_logits_are_those_of_the_whole_text(model, lengths):
    x = tokens(3, 20)
    with etude.no_grad():
        whole = model(x).numpy()
    np.testing.assert_allclose(in_pieces(model, x, lengths), whole, rtol=1e-12, atol=1e-12)


def test_a_cache_that_was_cleared_remembers_nothing(model):
    x, other = tokens(2, 6), tokens(2, 9, seed=1)
    cache = model.cache(2)
    with etude.no_grad():
        first = model(x, cache).numpy()
        cache.clear()
        model(other, cache)
        cache.clear()
        assert cache.used == cache.length.item() == 0
        assert model(x, cache).tolist() == first.tolist()


def test_a_step_with_a_cache_is_captured_and_replayed(model):
    x, cache = tokens(2, SIZE), model.cache(2)
    step = etude.capture(lambda token: model(token, cache))
    with etude.no_grad():
        whole = model(x).numpy()
        for i in range(SIZE):
            np.testing.assert_allclose(step(x[:, i : i + 1]).numpy(), whole[:, i : i + 1],
                                       rtol=1e-12, atol=1e-12)
    assert step.traces == 1


def test_a_full_cache_says_so_and_keeps_what_it_has(model):
    x, cache = tokens(1, SIZE), model.cache()
    step = etude.capture(lambda token: model(token, cache))
    with etude.no_grad():
        model(x[:, :-2], cache)
        with pytest.raises(ShapeError, match="22 of 24 places are taken, and 3 more"):
            model(x[:, :3], cache)
        for i in (-2, -1):
            last = step(x[:, SIZE + i :][:, :1]).numpy()
        with pytest.raises(ShapeError, match="24 of 24 places are taken, and 1 more"):
            step(x[:, :1])
        assert cache.used == cache.length.item() == SIZE
        np.testing.assert_allclose(last, model(x).numpy()[:, -1:], rtol=1e-12, atol=1e-12)


def test_a_cache_is_for_inference(model):
    with pytest.raises(RuntimeError, match="no_grad"):
        model(tokens(1, 2), model.cache())


def test_a_cache_of_another_batch_or_model_is_refused(model):
    with etude.no_grad():
        with pytest.raises(ShapeError, match=r"made for keys and values \[1, 2, 24, 8\]"):
            model(tokens(2, 3), model.cache(1))
        with pytest.raises(ValueError, match="n must be"):
            model.cache(0)


def test_a_layer_that_cannot_keep_its_keys_says_so():
    layer = nn.MultiheadAttention(4, 2)
    with etude.no_grad(), pytest.raises(ValueError, match="batch_first=True"):
        layer.after(etude.zeros(1, 1, 4), None)


@pytest.mark.parametrize("many", [1, 10**9])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_the_text_is_that_of_a_model_that_reads_all_of_it_anew(model, monkeypatch, many,
                                                               temperature):
    monkeypatch.setattr(gpt_module, "MANY", many)
    x, count = tokens(2, 3), SIZE + 6  # beyond what the model sees at once
    generator, text = etude.Generator(5), x
    with etude.no_grad():
        for _ in range(count):
            logits = model(text[:, -SIZE:])[:, -1]
            text = etude.cat([text, gpt_module.sample(logits, temperature, None, generator)], 1)
    written = model.generate(x, count, temperature, generator=etude.Generator(5))
    assert written.tolist() == text.tolist()


def test_the_next_text_uses_the_same_cache_and_step_and_is_its_own(model, monkeypatch):
    monkeypatch.setattr(gpt_module, "MANY", 1)
    first = model.generate(tokens(2, 3), 8, 0)
    [reader] = vars(model)[gpt_module.READERS]
    other = model.generate(tokens(2, 5, seed=1), 8, 0)
    assert vars(model)[gpt_module.READERS] == [reader]
    assert reader.step.traces == 1
    assert model.generate(tokens(2, 3), 8, 0).tolist() == first.tolist()
    fresh = copy.deepcopy(model)
    assert vars(fresh)[gpt_module.READERS] == [None]
    assert fresh.generate(tokens(2, 5, seed=1), 8, 0).tolist() == other.tolist()


def test_new_weights_another_batch_and_another_dtype_are_seen(model, monkeypatch):
    monkeypatch.setattr(gpt_module, "MANY", 1)
    x = tokens(1, 3)
    model.generate(x, 8, 0)
    for change in (lambda: model.generate(tokens(3, 2), 8, 0), lambda: model.to("float32"),
                   lambda: model.load_state_dict(
                       models.gpt(V, SIZE, layers=2, heads=2, embed_dim=16).state_dict())):
        change()
        fresh = copy.deepcopy(model)
        monkeypatch.setattr(gpt_module, "MANY", 10**9)
        expected = fresh.generate(x, 8, 0).tolist()
        monkeypatch.setattr(gpt_module, "MANY", 1)
        assert model.generate(x, 8, 0).tolist() == expected


def test_threads_write_with_one_model(model, monkeypatch):
    monkeypatch.setattr(gpt_module, "MANY", 1)
    model.eval()
    starts = [tokens(2, 3, seed=s) for s in range(4)]
    expected = [model.generate(x, 12, 0).tolist() for x in starts]
    often = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for _ in range(5):  # each traces four times anew, while the others run
            vars(model)[gpt_module.READERS].clear()
            with ThreadPoolExecutor(4) as pool:
                found = list(pool.map(lambda x: model.generate(x, 12, 0).tolist(), starts))
            assert found == expected
    finally:
        sys.setswitchinterval(often)


def test_a_step_without_tokens_is_refused_and_counts_nothing(model):
    cache = model.cache()
    with etude.no_grad(), pytest.raises(ShapeError, match="no new token"):
        model(tokens(1, 5)[:, :0], cache)
    assert cache.used == 0


@pytest.mark.parametrize("count", [-1, 2.5, True])
def test_how_many_tokens_are_wanted_is_a_whole_number(model, count):
    with pytest.raises(ValueError, match=r"generate: count must be an integer >= 0"):
        model.generate(tokens(1, 3), count)
