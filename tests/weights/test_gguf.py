"""A gpt as GGUF: its own reader finds the sizes, the vocabulary and every weight as they were."""

import json
import sys
import urllib.request

import numpy as np
import pytest

import etude
from etude import data, models
from etude.weights.gguf import PRINTED, TENSORS, printed, vocabulary

TEXT = "the cat sat on the mat, and the dog did not. " * 20


@pytest.fixture
def gguf():
    return pytest.importorskip("gguf", reason="NOT RUN: needs the package gguf")


def gpt(vocab):
    return models.gpt(vocab, 16, 2, 4, 8)


def contents(reader):
    return {name: field.contents() for name, field in reader.fields.items()}


def test_the_reader_of_gguf_finds_everything(gguf, tmp_path):
    tokenizer = data.BPETokenizer.train(TEXT, 266, progress=False)
    model = gpt(tokenizer.vocab_size)
    path = tmp_path / "m.gguf"
    etude.save_gguf(path, model, tokenizer, name="cats")
    reader = gguf.GGUFReader(path)
    found = contents(reader)
    sizes = {"context_length": 16, "embedding_length": 8, "block_count": 2,
             "feed_forward_length": 32, "attention.head_count": 4, "vocab_size": 266}
    assert {k: found[f"gpt2.{k}"] for k in sizes} == sizes
    assert found["gpt2.attention.layer_norm_epsilon"] == pytest.approx(1e-5)
    assert found["general.architecture"] == "gpt2"
    assert found["general.name"] == "cats"
    assert found["tokenizer.ggml.model"] == "gpt2"
    assert found["tokenizer.ggml.add_bos_token"] is False
    assert (found["tokenizer.ggml.tokens"], found["tokenizer.ggml.merges"]) == vocabulary(tokenizer)
    tensors = {t.name: t for t in reader.tensors}
    state = model.state_dict()
    assert len(tensors) == len(state)
    for row in TENSORS.rows(model):
        ours = state[row.ours].numpy()
        assert tensors[row.theirs].shape.tolist() == list(ours.shape[::-1])  # fastest axis first
        np.testing.assert_array_equal(tensors[row.theirs].data, ours)


def test_the_names_are_those_that_gguf_lists_for_the_architecture(gguf):
    known = gguf.get_tensor_name_map(gguf.MODEL_ARCH.GPT2, 2)
    listed = {name for _, name in known.mapping.values()}
    for row in TENSORS.rows(gpt(7)):
        assert row.theirs.rpartition(".")[0] in listed


def test_equal_models_are_equal_files(gguf, tmp_path):
    model = gpt(5)
    files = []
    for name in ("a", "b"):
        etude.save_gguf(tmp_path / name, model)
        files.append((tmp_path / name).read_bytes())
    assert files[0] == files[1]
    assert contents(gguf.GGUFReader(tmp_path / "a"))["tokenizer.ggml.model"] == "no_vocab"


# ------------------------------------------------------------------ vocabulary


def spelt(text):
    return [printed(c.encode()) for c in text]


def test_each_byte_has_a_character_of_its_own():
    assert len(set(PRINTED)) == 256
    assert printed(b" a\n") == "\u0120a\u010a"  # as in the vocabulary of GPT-2
    assert printed("\u00e9".encode()) == "\u00c3\u00a9"


def merged(symbols, merges):
    """What a byte-pair tokenizer makes of symbols: the earliest merge first, again and again."""
    rank = {tuple(m.split(" ")): i for i, m in enumerate(merges)}
    while True:
        pairs = [p for p in zip(symbols, symbols[1:]) if p in rank]
        if not pairs:
            return symbols
        best = min(pairs, key=rank.get)
        i = next(i for i, p in enumerate(zip(symbols, symbols[1:])) if p == best)
        symbols = [*symbols[:i], "".join(best), *symbols[i + 2 :]]


@pytest.mark.parametrize("text", ["plain", "caf\u00e9 \u20ac 5, \u00ea\u00eb", "\u4e2d\u6587\u4e2e",
                                  "\U0001f600\U0001f601\u20ac\u20ac!"])
def test_characters_of_several_bytes_become_one_token_by_merges(text):
    tokenizer = data.CharTokenizer.train(text)
    tokens, merges = vocabulary(tokenizer)
    assert tokens == spelt(tokenizer.characters)
    found = merged([printed(bytes([b])) for b in text.encode()], merges)
    assert [tokens.index(t) for t in found] == tokenizer.encode(text).tolist()


def test_byte_pairs_keep_their_numbers_and_merges():
    tokenizer = data.BPETokenizer.train(TEXT, 266, progress=False)
    tokens, merges = vocabulary(tokenizer)
    assert len(tokens) == len(set(tokens)) == 266
    word = " the"
    found = merged([printed(bytes([b])) for b in word.encode()], merges)
    assert [tokens.index(t) for t in found] == tokenizer.encode(word).tolist()


# ------------------------------------------------------------------ what is refused


def test_two_tokens_of_the_same_bytes():
    """a, then bc; ab, then c: both are abc."""
    a, b, c = b"abc"
    tokenizer = data.BPETokenizer([(b, c), (a, 256), (a, b), (258, c)])
    with pytest.raises(ValueError, match="tokens 257 and 259 of the tokenizer are both b'abc', "):
        vocabulary(tokenizer)


@pytest.mark.usefixtures("gguf")
def test_what_is_no_gpt_of_float32_with_its_tokenizer(tmp_path):
    path = tmp_path / "m.gguf"
    for model, tokenizer, kind, words in (
            (models.mlp(3, 2), None, TypeError, "GGUF is for language models; this is a Sequenti"),
            (gpt(5), "abcde", TypeError, "must be a CharTokenizer or BPETokenizer, got str"),
            (gpt(5), data.CharTokenizer("ab"), ValueError, "has 2 tokens, and the model 5; give"),
            (gpt(5).double(), None, ValueError, "are float64, and llama.cpp computes in float")):
        with pytest.raises(kind, match=words):
            etude.save_gguf(path, model, tokenizer)
    assert list(tmp_path.iterdir()) == []


def test_without_gguf_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(ImportError, match=r"pip install 'etude\[gguf\]'"):
        etude.save_gguf(tmp_path / "m.gguf", gpt(5))


# ------------------------------------------------------------------ llama.cpp itself


@pytest.mark.parametrize("kind", ["characters", "byte pairs"])
def test_llama_cpp_writes_what_etude_writes(kind, gguf, tmp_path):
    """20 tokens at temperature 0, after a start with characters of several bytes."""
    llama = pytest.importorskip("xllamacpp", reason="NOT RUN: needs the package xllamacpp")
    text = TEXT.replace("dog", "d\u00f6g \u20ac")
    tokenizer = (data.CharTokenizer.train(text) if kind == "characters"
                 else data.BPETokenizer.train(text, 270, progress=False))
    etude.manual_seed(0)
    model = models.gpt(tokenizer.vocab_size, 64, 2, 4, 32)
    with etude.no_grad():
        for p in model.parameters():  # so far from 0 that no two tokens are about equally likely
            p.copy_(p * 5)
    path = tmp_path / "m.gguf"
    etude.save_gguf(path, model, tokenizer)
    start = "the d\u00f6g \u20ac"
    tokens = tokenizer.encode(start)
    ours = model.generate(etude.tensor(tokens[None]), 20, temperature=0).tolist()[0][len(tokens):]
    assert len(set(ours)) > 3
    settings = llama.CommonParams()
    settings.model.path = str(path)
    settings.n_ctx, settings.n_parallel, settings.cpuparams.n_threads = 64, 1, 1
    server = llama.Server(settings)
    ask = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
    for prompt in (start, tokens.tolist()):
        question = {"prompt": prompt, "n_predict": 20, "temperature": 0.0, "top_k": 1,
                    "ignore_eos": True, "return_tokens": True}
        with ask(f"{server.listening_address}/completion", json.dumps(question).encode()) as answer:
            assert json.load(answer)["tokens"] == ours
