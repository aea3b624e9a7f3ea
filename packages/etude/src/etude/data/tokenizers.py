"""Tokenizers: text to int64 token numbers and back. By character, and by byte pairs.

``decode(encode(text)) == text`` for every text that ``encode`` takes; the byte-pair tokenizer
takes every Python string there is. Its merges are learned by ``learn`` (``bpe.py``).
"""

from __future__ import annotations

import json
import os
import reprlib
from collections import Counter
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

import numpy as np

from etude.core.errors import DTypeError
from etude.core.given import integer, whole
from etude.data.bpe import LONGEST, Pair, learn, merge, pieces
from etude.data.files import bar, write_atomically

Tokens = np.ndarray[Any, np.dtype[np.int64]]

VERSION = 1  # of the JSON files
PIECES = 1 << 16  # how many different pieces of text a BPETokenizer remembers the tokens of


class _Tokenizer:
    """What both tokenizers share: their files, and the checks of ``decode``."""

    kind: str
    vocab_size: int

    def _state(self) -> dict[str, Any]:
        raise NotImplementedError

    @classmethod
    def _from_state(cls, state: dict[str, Any]) -> Self:
        raise NotImplementedError

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a JSON file, whole or not at all. OSError as from ``open``."""
        text = json.dumps({"tokenizer": self.kind, "version": VERSION, **self._state()})
        write_atomically(path, text.encode("ascii"))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read what ``save`` wrote. ValueError for a file that is damaged or of another kind."""
        try:
            state = json.loads(Path(path).read_bytes())
        except (ValueError, RecursionError) as e:  # not JSON, not Unicode; lists in lists in lists
            raise ValueError(f"{path}: not a tokenizer's JSON file, or one that was cut short "
                             f"({e}); save the tokenizer again") from None
        found = state.get("tokenizer") if isinstance(state, dict) else None
        if found != cls.kind:
            raise ValueError(f"{path}: {cls.__name__} reads files with \"tokenizer\": "
                             f"\"{cls.kind}\", this one has {reprlib.repr(found)}")
        if whole(state.get("version")) != VERSION:
            raise ValueError(f"{path}: version {reprlib.repr(state.get('version'))} of the file "
                             f"format; this Etude reads version {VERSION}")
        try:
            return cls._from_state(state)
        except (KeyError, TypeError, ValueError) as e:
            raise ValueError(f"{path}: damaged {cls.kind} tokenizer: {e}") from None

    def _numbers(self, tokens: Any) -> Tokens:
        """Token numbers as int64 (n), each checked."""
        x = np.asarray(tokens)
        if x.size and x.dtype.kind not in "iu":
            raise DTypeError(f"decode: tokens are integers, got {x.dtype}")
        flat = x.astype(np.int64).reshape(-1)
        if x.ndim > 1:
            raise ValueError(f"decode: one sequence of tokens at a time, got shape "
                             f"{list(x.shape)}; decode each row")
        wrong = np.flatnonzero((flat < 0) | (flat >= self.vocab_size))
        if wrong.size:
            at = int(wrong[0])
            raise ValueError(f"decode: token {flat[at]} at position {at} is outside the "
                             f"vocabulary of {self.vocab_size}")
        return flat

    def __repr__(self) -> str:
        return f"{type(self).__name__}(vocab_size={self.vocab_size})"


class CharTokenizer(_Tokenizer):
    """One token for each character; token i is ``characters[i]``.

    ``CharTokenizer.train(text)`` takes the characters that occur in a text, or in a list of them
    such as ``names()``, in Unicode's order.
    """

    kind = "char"

    def __init__(self, characters: str) -> None:
        if not characters:
            raise ValueError("CharTokenizer: needs at least one character, got none")
        twice = [c for c, n in Counter(characters).items() if n > 1]
        if twice:
            raise ValueError(f"CharTokenizer: each character stands for one token, but "
                             f"{twice[0]!r} is given more often than once")
        self.characters = characters
        self.vocab_size = len(characters)
        codes = _code_points(characters)
        self._codes = codes
        self._order = np.argsort(codes)
        self._sorted = codes[self._order]

    @classmethod
    def train(cls, text: str | Iterable[str]) -> Self:
        """The tokenizer of the characters in ``text``: one text, or several. What stands between
        several, such as the end of a line, is in none of them: put it into their list.
        """
        return cls("".join(sorted(set("".join(_texts("CharTokenizer", text))))))

    def encode(self, text: str) -> Tokens:
        """int64 (len(text)). ValueError for a character that is not in the vocabulary."""
        codes = _code_points(text)
        at = np.minimum(np.searchsorted(self._sorted, codes), self.vocab_size - 1)
        wrong = np.flatnonzero(self._sorted[at] != codes)
        if wrong.size:
            i = int(wrong[0])
            raise ValueError(f"encode: {text[i]!a} (U+{ord(text[i]):04X}) at position {i} is not "
                             f"among the {self.vocab_size} characters of this tokenizer. Train it "
                             f"on all of the text, or use BPETokenizer, which knows every one")
        return self._order[at].astype(np.int64)

    def decode(self, tokens: Any) -> str:
        """The text of a sequence of tokens: an array, a list or a Tensor of integers."""
        codes = self._codes[self._numbers(tokens)]
        return codes.tobytes().decode("utf-32-le", "surrogatepass")

    def _state(self) -> dict[str, Any]:
        return {"characters": list(self.characters)}

    @classmethod
    def _from_state(cls, state: dict[str, Any]) -> Self:
        given = state["characters"]
        if not isinstance(given, list) or not all(isinstance(c, str) and len(c) == 1
                                                  for c in given):
            raise ValueError(f"its characters must be a list of single ones, got "
                             f"{reprlib.repr(given)}")
        return cls("".join(given))


def _texts(tokenizer: str, given: str | Iterable[str]) -> list[str]:
    """The texts to learn from. TypeError for anything else."""
    texts = [given] if isinstance(given, str) else list(given)
    other = next((one for one in texts if not isinstance(one, str)), None)
    if other is not None:
        raise TypeError(f"{tokenizer}.train: takes a text, or a list of texts, got "
                        f"{reprlib.repr(other)} in it")
    return texts


def _code_points(text: str) -> np.ndarray[Any, np.dtype[np.uint32]]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")


class BPETokenizer(_Tokenizer):
    """Byte-pair tokens: 0..255 are the bytes of UTF-8, 256 + k is the k-th merge of two tokens.

    ``BPETokenizer.train(text, vocab_size)`` learns the merges. Every string can be encoded, also
    one that the merges were not learned from: at worst each byte is a token.
    Source: Sennrich et al. 2016, Neural Machine Translation of Rare Words with Subword Units,
    section 3.2; on bytes as in Radford et al. 2019 (GPT-2), section 2.2.
    """

    kind = "bpe"

    def __init__(self, merges: list[Pair]) -> None:
        self.merges = merges
        self.vocab_size = 256 + len(merges)
        #: The bytes of each token.
        self.vocabulary = [bytes([i]) for i in range(256)]
        for k, (a, b) in enumerate(merges):
            if not (0 <= a < 256 + k and 0 <= b < 256 + k):
                raise ValueError(f"merge {k} is ({a}, {b}), but only tokens 0 to {255 + k} exist "
                                 f"before it")
            if len(self.vocabulary[a]) + len(self.vocabulary[b]) > LONGEST:
                raise ValueError(f"merge {k}, ({a}, {b}), makes a token of more than {LONGEST} "
                                 f"bytes, the longest piece of a text")  # merges may double it
            self.vocabulary.append(self.vocabulary[a] + self.vocabulary[b])
        self._token = {pair: 256 + k for k, pair in enumerate(merges)}
        if len(self._token) != len(merges):
            raise ValueError("the same merge is given twice")
        self._tokens_of: Callable[[bytes], tuple[int, ...]] = lru_cache(PIECES)(self._merge)

    @classmethod
    def train(cls, text: str | Iterable[str], vocab_size: int = 512, progress: bool = True
              ) -> Self:
        """Learn ``vocab_size - 256`` merges from a text, or from several. Each makes one token of
        the two neighbours that occur together most often; of pairs that are equally frequent it
        takes the one with the smaller token numbers. Merges never cross the pieces of
        ``bpe.pieces``, which are roughly words.

        Learning stops early, with a smaller vocabulary, when no pair occurs twice. ``progress``
        shows a bar.
        """
        vocab_size = integer("BPETokenizer: vocab_size, with one token for each byte,",
                             vocab_size, 256)
        words = Counter(word for one in _texts("BPETokenizer", text) for word in pieces(one))
        merges = vocab_size - 256
        with bar("learning byte pairs", merges, progress) as advance:
            return cls(learn(words, merges, advance))

    def encode(self, text: str) -> Tokens:
        """int64 (n), n <= the number of bytes of the text in UTF-8."""
        found = [token for piece in pieces(text) for token in self._tokens_of(piece)]
        return np.array(found, np.int64)

    def decode(self, tokens: Any) -> str:
        """The text of a sequence of tokens: an array, a list or a Tensor of integers.

        Bytes that are no UTF-8, as in a sample cut within a character, become U+FFFD.
        """
        data = b"".join([self.vocabulary[t] for t in self._numbers(tokens).tolist()])
        try:
            return data.decode("utf-8", "surrogatepass")  # Python's strings may hold surrogates
        except UnicodeDecodeError:
            return data.decode("utf-8", "replace")

    def _merge(self, piece: bytes) -> tuple[int, ...]:
        """The tokens of one piece: its merges, in the order in which they were learned."""
        tokens = list(piece)
        while len(tokens) > 1:
            first = min(zip(tokens, tokens[1:]), key=lambda p: self._token.get(p, self.vocab_size))
            if first not in self._token:
                break
            tokens = merge(tokens, first, self._token[first])
        return tuple(tokens)

    def _state(self) -> dict[str, Any]:
        return {"merges": self.merges}

    @classmethod
    def _from_state(cls, state: dict[str, Any]) -> Self:
        given = state["merges"]
        if not isinstance(given, list) or not all(map(_is_pair, given)):
            raise ValueError(f"its merges must be a list of pairs of tokens, got "
                             f"{reprlib.repr(given)}")
        return cls([(a, b) for a, b in given])


def _is_pair(given: Any) -> bool:
    """Whether a value of a JSON file is two integers. True and 1.0 are none, though equal to 1."""
    return isinstance(given, list) and len(given) == 2 and all(type(t) is int for t in given)


def load_tokenizer(path: str | os.PathLike[str]) -> CharTokenizer | BPETokenizer:
    """Read what ``save`` of either wrote. ValueError for a file that is damaged."""
    try:
        state = json.loads(Path(path).read_bytes())
    except (ValueError, RecursionError):
        state = None  # CharTokenizer says what is wrong
    bpe = isinstance(state, dict) and state.get("tokenizer") == BPETokenizer.kind
    return BPETokenizer.load(path) if bpe else CharTokenizer.load(path)
