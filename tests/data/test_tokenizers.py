"""Tokenizers: nothing is lost, files are whole, and the merges are those of the definition."""

import io
import json
import time
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import etude
from etude.core.errors import DTypeError
from etude.data.bpe import LONGEST, pieces
from etude.data.text import names, shakespeare
from etude.data.tokenizers import BPETokenizer, CharTokenizer

LINE = "the cat sat on the mat, the cat sat; then the rat ran at the cat."
BPE = BPETokenizer.train(LINE * 3, 300, progress=False)

# Any Python string: every plane, and lone surrogates too.
ANY_TEXT = st.text(st.characters(codec=None, categories=None))


# ------------------------------------------------------------------------- characters


def test_characters_are_numbered_in_unicodes_order():
    tokenizer = CharTokenizer.train("hello")
    assert tokenizer.characters == "ehlo"
    assert tokenizer.vocab_size == 4
    tokens = tokenizer.encode("hole")
    assert tokens.dtype == np.int64
    assert tokens.tolist() == [1, 3, 2, 0]
    assert tokenizer.decode(tokens) == "hole"
    assert CharTokenizer("zab").encode("abz").tolist() == [1, 2, 0]


def test_it_learns_from_a_list_of_texts_too():
    tokenizer = CharTokenizer.train(names())
    assert tokenizer.characters == "abcdefghijklmnopqrstuvwxyz"
    assert tokenizer.decode(tokenizer.encode("ada")) == "ada"
    assert CharTokenizer.train([*names(), "\n"]).encode("ab\n").tolist() == [1, 2, 0]
    merged = BPETokenizer.train(["the cat", "the rat"], 260, progress=False)
    assert merged.decode(merged.encode("the cat")) == "the cat"
    with pytest.raises(TypeError, match="takes a text, or a list of texts, got 3 in it"):
        CharTokenizer.train(["a", 3])


@given(ANY_TEXT)
def test_any_text_comes_back_by_characters(text):
    tokenizer = CharTokenizer.train(text + "x")
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_an_unknown_character_is_named_with_its_place():
    tokenizer = CharTokenizer.train("abc")
    with pytest.raises(ValueError, match=r"'\\xe9' \(U\+00E9\) at position 2 is not among the 3 "):
        tokenizer.encode("ab\u00e9")
    with pytest.raises(ValueError, match=r"'z' \(U\+007A\) at position 0"):
        tokenizer.encode("z")
    with pytest.raises(ValueError, match="at least one character"):
        CharTokenizer("")
    with pytest.raises(ValueError, match="'a' is given more often"):
        CharTokenizer("aba")


# ------------------------------------------------------------------------- byte pairs


@given(ANY_TEXT)
@settings(max_examples=300)
def test_any_text_comes_back_by_byte_pairs(text):
    tokens = BPE.encode(text)
    assert BPE.decode(tokens) == text
    assert len(tokens) <= len(text.encode("utf-8", "surrogatepass"))


@given(ANY_TEXT)
def test_the_pieces_of_a_text_are_all_of_it(text):
    assert b"".join(pieces(text)) == text.encode("utf-8", "surrogatepass")


def by_definition(text, merges):
    """Count all pairs anew for each merge: slow, and plainly what is meant."""
    words = {word: list(word) for word in Counter(pieces(text))}
    times = Counter(pieces(text))
    found = []
    for k in range(merges):
        count = Counter()
        for word, tokens in words.items():
            for pair in zip(tokens, tokens[1:]):
                count[pair] += times[word]
        if not count or max(count.values()) < 2:
            break
        best = min(count, key=lambda p: (-count[p], p))
        found.append(best)
        for tokens in words.values():
            i = 0
            while i < len(tokens) - 1:
                if (tokens[i], tokens[i + 1]) == best:
                    tokens[i : i + 2] = [256 + k]
                i += 1
    return found


@given(st.text("ab \n", max_size=60))
def test_learned_merges_are_those_of_the_definition(text):
    assert BPETokenizer.train(text, 276, progress=False).merges == by_definition(text, 20)


def test_merges_of_real_text_are_those_of_the_definition():
    text = shakespeare()[:20_000]
    assert BPETokenizer.train(text, 306, progress=False).merges == by_definition(text, 50)


def test_encoding_replays_the_merges_in_the_order_they_were_learned():
    for piece in pieces("then the mattress chat"):
        tokens = list(piece)
        for k, pair in enumerate(BPE.merges):
            i = 0
            while i < len(tokens) - 1:
                if (tokens[i], tokens[i + 1]) == pair:
                    tokens[i : i + 2] = [256 + k]
                i += 1
        assert BPE.encode(piece.decode()).tolist() == tokens


def test_ties_go_to_the_smaller_tokens_whatever_the_order_of_the_text():
    one = BPETokenizer.train(" xy xy ab ab", 257, progress=False)
    other = BPETokenizer.train(" ab ab xy xy", 257, progress=False)
    assert one.merges == other.merges == [(ord(" "), ord("a"))]


def test_training_stops_when_nothing_repeats():
    tokenizer = BPETokenizer.train("abc", 1000, progress=False)
    assert tokenizer.vocab_size == 256
    assert tokenizer.encode("abc").tolist() == [97, 98, 99]
    assert BPETokenizer.train("", 300, progress=False).encode("").shape == (0,)


def test_a_thousand_merges_of_shakespeare_take_a_few_seconds_and_shorten_it():
    text = shakespeare()
    start = time.perf_counter()
    tokenizer = BPETokenizer.train(text, 1256, progress=False)
    assert time.perf_counter() - start < 20
    assert tokenizer.vocab_size == 1256
    tokens = tokenizer.encode(text)
    assert tokenizer.decode(tokens) == text
    assert len(text) / len(tokens) > 2.5
    assert b" Demetrius" in tokenizer.vocabulary


def test_long_text_without_spaces_does_not_take_long():
    text = "ab" * 50_000 + " " * 50_000 + "." * 50_000
    start = time.perf_counter()
    tokenizer = BPETokenizer.train(text, 300, progress=False)
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert time.perf_counter() - start < 5


def test_a_sample_cut_within_a_character_is_shown_all_the_same():
    tokens = BPETokenizer([]).encode("\u00e9t\u00e9")
    assert len(tokens) == 5
    assert BPETokenizer([]).decode(tokens[:4]) == "\u00e9t\ufffd"


def test_vocab_size_counts_from_the_bytes():
    with pytest.raises(ValueError, match="each byte, must be an integer >= 256, got 100"):
        BPETokenizer.train("abc", 100)


def test_training_shows_a_bar_on_a_terminal_and_nothing_elsewhere(monkeypatch, capsys):
    rich = pytest.importorskip("rich.console", reason="NOT RUN: needs the package rich")
    BPETokenizer.train(LINE, 260)
    assert capsys.readouterr() == ("", "")
    terminal = rich.Console(file=io.StringIO(), force_terminal=True, width=100)
    monkeypatch.setattr(rich, "Console", lambda **_: terminal)
    BPETokenizer.train(LINE, 260)
    assert "learning byte pairs" in terminal.file.getvalue()
    terminal.file.truncate(0)
    BPETokenizer.train(LINE, 260, progress=False)
    assert terminal.file.getvalue() == ""


# ------------------------------------------------------------------------- what decode takes


@pytest.mark.parametrize("tokenizer", [CharTokenizer("abcdefgh"), BPETokenizer([])], ids=repr)
def test_decode_takes_lists_arrays_and_tensors_and_refuses_the_rest(tokenizer):
    tokens = tokenizer.encode("bad")
    for form in (tokens, tokens.tolist(), tokens.astype(np.uint8), etude.tensor(tokens)):
        assert tokenizer.decode(form) == "bad"
    assert tokenizer.decode([]) == ""
    size = tokenizer.vocab_size
    with pytest.raises(ValueError, match=f"token {size} at position 1 is outside .* of {size}"):
        tokenizer.decode([0, size])
    with pytest.raises(ValueError, match="token -1 at position 0"):
        tokenizer.decode([-1])
    with pytest.raises(DTypeError, match="tokens are integers, got float64"):
        tokenizer.decode([0.5])
    with pytest.raises(ValueError, match=r"one sequence .* got shape \[1, 3\]; decode each row"):
        tokenizer.decode(tokens[None])


# ------------------------------------------------------------------------- files


@pytest.mark.parametrize("tokenizer", [BPE, CharTokenizer("ab\n\u00e9\ud800\udc00\U0001f600")],
                         ids=repr)
def test_a_saved_tokenizer_is_the_same_when_loaded(tokenizer, tmp_path):
    path = tmp_path / "tokenizer.json"
    tokenizer.save(path)
    loaded = type(tokenizer).load(path)
    assert loaded._state() == tokenizer._state()
    text = "a\nb" if isinstance(tokenizer, BPETokenizer) else tokenizer.characters
    assert loaded.encode(text).tolist() == tokenizer.encode(text).tolist()
    assert loaded.decode(loaded.encode(text)) == text
    assert [p.name for p in tmp_path.iterdir()] == ["tokenizer.json"]


def test_a_save_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "tokenizer.json"
    BPE.save(path)
    before = path.read_bytes()

    def full(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="no space left"):
        BPETokenizer([]).save(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["tokenizer.json"]


def test_files_that_are_not_what_they_should_be_are_refused(tmp_path):
    path = tmp_path / "t.json"
    BPE.save(path)
    whole = path.read_text()

    path.write_text(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"t\.json: not a tokenizer's JSON file, or one that"):
        BPETokenizer.load(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="not a tokenizer's JSON file"):
        BPETokenizer.load(path)
    path.write_text("[1, 2]")
    with pytest.raises(ValueError, match=r'reads files with "tokenizer": "bpe", .* has None'):
        BPETokenizer.load(path)
    CharTokenizer("ab").save(path)
    with pytest.raises(ValueError, match=r"BPETokenizer reads .*bpe.*, this one has 'char'"):
        BPETokenizer.load(path)
    path.write_text(json.dumps({**json.loads(whole), "version": 9}))
    with pytest.raises(ValueError, match="version 9 of the file format; this Etude reads"):
        BPETokenizer.load(path)


@pytest.mark.parametrize(("state", "reason"), [
    ({}, "'merges'"),
    ({"merges": [[97, 98], [300, 97]]}, r"merge 1 is \(300, 97\), but only tokens 0 to 256"),
    ({"merges": [[97, 98], [97, 98]]}, "the same merge is given twice"),
    ({"merges": [[97]]}, r"a list of pairs of tokens, got \[\[97\]\]"),
    ({"merges": 5}, "a list of pairs of tokens, got 5"),
    ({"merges": [["a", "b"]]}, "a list of pairs of tokens"),
    ({"merges": [[97.0, 98]]}, "a list of pairs of tokens"),
    ({"merges": [[True, 98]]}, "a list of pairs of tokens"),
    ({"merges": {"12": 0}}, "a list of pairs of tokens"),
])
def test_damaged_merges_are_refused(state, reason, tmp_path):
    path = tmp_path / "t.json"
    path.write_text(json.dumps({"tokenizer": "bpe", "version": 1, **state}))
    with pytest.raises(ValueError, match=f"t.json: damaged bpe tokenizer: .*{reason}"):
        BPETokenizer.load(path)
    with pytest.raises(FileNotFoundError):
        BPETokenizer.load(tmp_path / "missing.json")


def test_merges_that_double_a_token_again_and_again_do_not_fill_the_memory(tmp_path):
    path = tmp_path / "t.json"
    doubling = [[97, 97]] + [[256 + k, 256 + k] for k in range(60)]
    path.write_text(json.dumps({"tokenizer": "bpe", "version": 1, "merges": doubling}))
    with pytest.raises(ValueError, match=r"t.json: .*merge 8, \(263, 263\), makes a token"):
        BPETokenizer.load(path)
    assert len(BPETokenizer([tuple(m) for m in doubling[:8]]).vocabulary[-1]) == 256


def test_no_piece_of_a_text_is_longer_than_a_token_may_be():
    for sign in ("\U0001f600", "\U0002070e", "\u3000"):
        assert max(map(len, pieces(f" {sign * 300}"))) <= LONGEST
    assert max(map(len, pieces(" " + "\U0002070e" * 300))) == LONGEST


@pytest.mark.parametrize(("text", "reason"), [
    ("[" * 100_000, "not a tokenizer's JSON file"),
    ('{"tokenizer": "char", "version": true, "characters": ["a"]}', "version True of the file"),
    ('{"tokenizer": "char", "version": 1.0, "characters": ["a"]}', r"version 1\.0 of the file"),
    ('{"tokenizer": "char", "version": 1, "characters": "ab"}', "a list of single ones, got 'ab'"),
    ('{"tokenizer": "char", "version": 1, "characters": ["ab"]}', "a list of single ones"),
    ('{"tokenizer": "char", "version": 1, "characters": []}', "needs at least one character"),
])
def test_a_file_of_characters_is_taken_as_written_or_refused(text, reason, tmp_path):
    path = tmp_path / "t.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=f"t.json: .*{reason}"):
        CharTokenizer.load(path)
