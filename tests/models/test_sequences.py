"""gpt and char_rnn: shapes and sizes, causality, and text drawn from them."""

import math

import numpy as np
import pytest
from scipy import stats

import etude
from etude import models, nn, optim
from etude.models.gpt import sample

V, BLOCK = 7, 6


def gpt(seed=0, **settings):
    etude.manual_seed(seed)
    model = models.gpt(V, **{"block_size": BLOCK, "layers": 2, "heads": 2, "embed_dim": 8,
                             **settings})
    with etude.no_grad():  # wide enough apart that texts differ
        model.tokens.weight.copy_(nn.functional.randn(V, 8))
    return model


def tokens(*shape, seed=0):
    return etude.tensor(np.random.default_rng(seed).integers(0, V, shape))


# ------------------------------------------------------------------ what the models are


def test_gpt_has_the_parameters_of_its_paper():
    layers, e, v, block = 3, 12, 11, 5
    per_layer = 4 * e * e + 4 * e + 8 * e * e + 5 * e + 4 * e  # attention, mlp, two norms
    model = models.gpt(v, block, layers, 3, e)
    assert sum(p.numel() for p in model.parameters()) == (
        v * e + block * e + layers * per_layer + 2 * e)
    assert model(etude.zeros(2, 4, dtype="int64")).shape == (2, 4, v)


def test_gpt_starts_as_in_the_paper():
    etude.manual_seed(0)
    model = models.gpt(500, 64, layers=8, heads=2, embed_dim=64)
    for name, p in model.named_parameters():
        x = p.detach().numpy()
        if x.ndim == 1:
            assert np.all(x == ("norm" in name and name.endswith("weight"))), name
        else:
            residual = name.endswith(("out_proj.weight", "mlp.2.weight"))
            std = 0.02 / math.sqrt(16) if residual else 0.02
            assert x.std() == pytest.approx(std, rel=0.05), name


def test_gpt_before_training_knows_nothing():
    etude.manual_seed(0)
    model = models.gpt(50, BLOCK, 2, 2, 16)
    loss = etude.cross_entropy(model(tokens(8, BLOCK)).reshape(-1, 50),
                               tokens(8, BLOCK, seed=1).reshape(-1))
    assert loss.item() == pytest.approx(math.log(50), rel=0.01)


@pytest.mark.parametrize("at", range(BLOCK))
def test_gpt_is_causal(at):
    model, x = gpt(), tokens(3, BLOCK)
    before = model(x).detach().numpy()
    changed = x.numpy().copy()
    changed[:, at] = (changed[:, at] + 1) % V
    after = model(etude.tensor(changed)).detach().numpy()
    assert np.array_equal(before[:, :at], after[:, :at])
    assert (before[:, at:] != after[:, at:]).any(-1).all()


def test_gpt_counts_positions():
    model = gpt()
    same = etude.tensor([[3] * BLOCK])
    y = model(same).detach().numpy()[0]
    assert all(not np.array_equal(a, b) for a, b in zip(y, y[1:], strict=False))


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_char_rnn_is_causal_and_learns_an_alphabet(cell):
    etude.manual_seed(0)
    model = models.char_rnn(V, hidden=16, layers=2, cell=cell)
    x = etude.tensor([[i % V for i in range(12)]])
    before = model(x).detach().numpy()
    assert before.shape == (1, 12, V)
    other = etude.tensor([[i % V if i < 8 else 0 for i in range(12)]])
    assert np.array_equal(before[:, :8], model(other).detach().numpy()[:, :8])
    steps = optim.Adam(model.parameters(), lr=0.02)
    for _ in range(60):
        steps.zero_grad()
        loss = etude.cross_entropy(model(x[:, :-1]).reshape(-1, V), x[:, 1:].reshape(-1))
        loss.backward()
        steps.step()
    assert loss.item() < 0.1


def test_char_rnn_knows_three_cells():
    with pytest.raises(ValueError, match="cell must be one of 'rnn', 'lstm', 'gru', got 'cnn'"):
        models.char_rnn(5, cell="cnn")


# ------------------------------------------------------------------ generate


def test_temperature_0_takes_the_likeliest_token_each_time():
    model, x = gpt().eval(), tokens(2, 3)
    text = model.generate(x, 5, temperature=0)
    assert text.shape == (2, 8)
    expected = x.numpy()
    for _ in range(5):
        logits = model(etude.tensor(expected[:, -BLOCK:])).detach().numpy()[:, -1]
        expected = np.concatenate([expected, logits.argmax(1)[:, None]], 1)
    assert np.array_equal(text.numpy(), expected)


def test_top_k_of_1_does_so_at_any_temperature():
    model, x = gpt(), tokens(2, 3)
    greedy = model.generate(x, 6, temperature=0).tolist()
    assert model.generate(x, 6, temperature=3.0, top_k=1).tolist() == greedy


def test_one_seed_makes_one_text():
    model, x = gpt(), tokens(1, 2)

    def write(seed):
        return model.generate(x, 20, generator=etude.Generator(seed)).tolist()

    assert write(3) == write(3) != write(4)
    texts = []
    for _ in range(2):
        etude.manual_seed(5)
        texts.append(model.generate(x, 20).tolist())
    assert texts[0] == texts[1]


def test_a_text_goes_on_as_if_it_had_been_read_whole():
    model, x = gpt(), tokens(1, 2)
    generator = etude.Generator(3)
    part = model.generate(x, 4, generator=generator)
    rest = model.generate(part, 4, generator=generator)
    assert rest.tolist() == model.generate(x, 8, generator=etude.Generator(3)).tolist()


def test_the_prompt_stays_and_only_its_last_block_is_read():
    model = gpt()
    x = tokens(1, 3 * BLOCK)
    long = model.generate(x, 5, temperature=0)
    assert long[:, : 3 * BLOCK].tolist() == x.tolist()
    short = model.generate(x[:, -BLOCK:], 5, temperature=0)
    assert long[:, -5:].tolist() == short[:, -5:].tolist()
    assert model.generate(x, 0).tolist() == x.tolist()


def test_writing_uses_no_dropout_and_leaves_each_layer_in_its_mode():
    model = gpt(dropout=0.5)
    model.blocks[0].eval()
    modes = [m.training for m in model.modules()]
    x = tokens(1, 3)
    assert model.generate(x, 6, temperature=0).tolist() == model.generate(
        x, 6, temperature=0).tolist()
    assert [m.training for m in model.modules()] == modes
    with pytest.raises(IndexError):
        model.generate(etude.tensor([[V]]), 1)
    assert [m.training for m in model.modules()] == modes


def test_texts_of_a_batch_do_not_see_each_other():
    model, x = gpt(), tokens(3, 4)
    together = model.generate(x, 5, temperature=0).tolist()
    assert together == [model.generate(x[i : i + 1], 5, temperature=0).tolist()[0]
                        for i in range(3)]


@pytest.mark.parametrize(("make", "error", "message"), [
    (lambda m: m(tokens(1, BLOCK + 1)), ValueError, "7 tokens, but the model reads at most block"),
    (lambda m: m.generate(tokens(1, 2), 1, temperature=-1), ValueError, "temperature must be >= 0"),
    (lambda m: m.generate(tokens(1, 2), 1, temperature=math.nan), ValueError, "must be >= 0"),
    (lambda m: m.generate(tokens(1, 2), 1, top_k=0), ValueError, "top_k >= 1, got 1.0 and 0"),
    (lambda m: m.generate(tokens(1, 0), 1), ValueError, r"at least one token .*, got \[1, 0\]"),
    (lambda m: m.generate("ab", 1), TypeError, "x must be a Tensor of tokens, got str; of a text"),
    (lambda m: m.generate(tokens(3), 1), ValueError, r"x must be \(N, T\) with .*, got \[3\]"),
    (lambda m: m(etude.tensor([[V]])), IndexError, "got the token 7; its tokens run from 0 to 6"),
])
def test_what_cannot_be_read_or_written_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make(gpt())


# ------------------------------------------------------------------ sample

LOGITS = [0.3, -1.0, 2.0, 0.0, 1.1]
MANY = 20_000


def drawn(logits=LOGITS, dtype="float64", **settings):
    rows = etude.tensor(np.tile(logits, (MANY, 1)), dtype=dtype)
    return sample(rows, generator=etude.Generator(2), **settings).numpy().ravel()


def probabilities(temperature=1.0, top_k=None):
    p = np.exp(np.array(LOGITS) / temperature)
    if top_k is not None:
        p[np.argsort(p)[:-top_k]] = 0
    return p / p.sum()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("settings", [{}, {"temperature": 0.5}, {"temperature": 4.0},
                                      {"top_k": 3}, {"temperature": 2.0, "top_k": 2},
                                      {"top_k": 99}], ids=str)
def test_tokens_are_drawn_with_their_probabilities(settings, dtype):
    expected = probabilities(settings.get("temperature", 1.0),
                             min(settings.get("top_k", 5), 5)) * MANY
    counts = np.bincount(drawn(dtype=dtype, **settings), minlength=5)
    assert not counts[expected == 0].any()
    possible = expected > 0
    assert stats.chisquare(counts[possible], expected[possible]).pvalue > 0.01
    # The test of the test: another temperature would be seen.
    other = probabilities(1.2 * settings.get("temperature", 1.0), min(settings.get("top_k", 5), 5))
    assert stats.chisquare(counts[possible], other[possible] * MANY).pvalue < 0.01


def test_neighbouring_draws_are_independent():
    x = drawn()
    table = np.zeros((5, 5))
    np.add.at(table, (x[::2], x[1::2]), 1)
    assert stats.chi2_contingency(table).pvalue > 0.01


def test_impossible_tokens_are_never_drawn():
    logits = [-math.inf, 0.0, -math.inf, 0.0, -math.inf]
    assert set(drawn(logits)) == {1, 3}
    assert set(drawn([-math.inf, -math.inf, 5.0, -math.inf, -math.inf])) == {2}


@pytest.mark.parametrize(("u", "token"), [(0.0, 1), (0.25, 1), (0.5, 3), (1 - 2**-53, 3)])
def test_at_the_edges_too_the_token_drawn_is_a_possible_one(u, token, monkeypatch):
    monkeypatch.setattr(nn.functional, "rand", lambda *shape, **_: etude.full(shape, u, "float64"))
    logits = etude.tensor([[-math.inf, 0, -math.inf, 0, -math.inf]], dtype="float64")
    assert sample(logits).tolist() == [[token]]


def test_top_k_takes_exactly_k_of_equals_the_first():
    assert set(drawn([1.0, 2.0, 2.0, 2.0, 0.0], top_k=2)) == {1, 2}
    assert set(drawn([0.0, 0.0, 0.0, 0.0, 0.0], top_k=1)) == {0}


def test_a_token_with_a_probability_of_one_in_a_million_is_not_forced():
    counts = np.bincount(drawn([0.0, -14.0, 0.0]), minlength=3)
    assert counts[1] <= 3
    assert abs(counts[0] - counts[2]) < 4 * math.sqrt(MANY)
