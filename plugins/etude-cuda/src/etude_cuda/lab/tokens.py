"""Cuts CUDA C++ text into tokens, so that the source pass (``source.py``) can read it.

It is no compiler: a token knows its text, where it begins and whether it is a word, a number, a
string or a sign. Comments and blanks give no token, and a preprocessor directive is one token with
all its continued lines, so that nothing inside of them is taken for code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

_PATTERN = re.compile(r"""
    (?P<blank>  [ \t\r\f\v\n]+ | \\\r?\n | //(?:\\\r?\n|[^\n])* | /\*.*?(?:\*/|\Z) )
  | (?P<raw>    (?:u8|[uUL])?R"(?P<mark>[^()\\\s]{0,16})\(.*?\)(?P=mark)" )
  | (?P<string> (?:u8|[uUL])?"(?:\\.|[^"\\\n])*"? )
  | (?P<number> \.?\d(?:[eEpP][+-]|'(?=\w)|[\w.])* )
  | (?P<char>   (?:u8|[uUL])?'(?:\\.|[^'\\\n])+'? )
  | (?P<word>   [^\W\d]\w* )
  | (?P<sign>   ::|->|. )
""", re.VERBOSE | re.DOTALL)

_DIRECTIVE = re.compile(r'#(?:\\\r?\n|"(?:\\.|[^"\\\n])*"|/\*.*?\*/|[^\n])*', re.DOTALL)

OPENING = {"(": ")", "[": "]", "{": "}"}
CLOSING = frozenset(OPENING.values())


class Token(NamedTuple):
    """A piece of the text. ``kind`` is word, number, string, char, sign or directive."""

    kind: str
    text: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.text)


def tokens_of(text: str, start: int = 0, end: int | None = None, *, directives: bool = True
              ) -> Iterator[Token]:
    """The tokens of a text between two positions. Inside a directive there are no others."""
    end = len(text) if end is None else end
    at, fresh = start, True  # fresh: nothing but blanks since the line began
    while at < end:
        if directives and fresh and text[at] == "#":
            found = _DIRECTIVE.match(text, at, end)
            assert found is not None
            yield Token("directive", found[0], at)
            at = found.end()
            continue
        found = _PATTERN.match(text, at, end)
        assert found is not None
        kind = found.lastgroup or ""
        if kind == "blank":
            fresh = fresh or ("\n" in found[0] and found[0][0] != "\\")
        else:
            fresh = False
            yield Token("string" if kind in ("raw", "mark") else kind, found[0], at)
        at = found.end()


def matching(tokens: Sequence[Token], at: int) -> int:
    """The index of the bracket that closes the one at ``at``; the last token if none does."""
    depth = 0
    for i in range(at, len(tokens)):
        if tokens[i].text in OPENING:
            depth += 1
        elif tokens[i].text in CLOSING:
            depth -= 1
            if depth == 0:
                return i
    return len(tokens) - 1


def opened_by(tokens: Sequence[Token], at: int) -> int:
    """The index of the bracket that the one at ``at`` closes; 0 if none does."""
    depth = 0
    for i in range(at, -1, -1):
        if tokens[i].text in CLOSING:
            depth += 1
        elif tokens[i].text in OPENING:
            depth -= 1
            if depth == 0:
                return i
    return 0


def after_angles(tokens: Sequence[Token], at: int) -> int:
    """The index after the ``>`` that closes the ``<`` at ``at``: a template's arguments."""
    depth, i = 0, at
    while i < len(tokens):
        text = tokens[i].text
        if text in OPENING:
            i = matching(tokens, i)
        elif text == "<":
            depth += 1
        elif text == ">":
            depth -= 1
            if depth == 0:
                return i + 1
        elif text == ";" or text in CLOSING:
            break
        i += 1
    return at


def before_angles(tokens: Sequence[Token], at: int) -> int:
    """The index of the ``<`` that the ``>`` at ``at`` closes; -1 if there is none."""
    depth, i = 0, at
    while i >= 0:
        text = tokens[i].text
        if text in CLOSING:
            i = opened_by(tokens, i)
        elif text == ">":
            depth += 1
        elif text == "<":
            depth -= 1
            if depth == 0:
                return i
        elif text == ";" or text in OPENING:
            break
        i -= 1
    return -1


def split(tokens: Sequence[Token], sign: str = ",", angles: bool = True) -> list[list[Token]]:
    """Tokens between the signs that stand in no bracket; template brackets count too."""
    parts: list[list[Token]] = [[]]
    i = 0
    while i < len(tokens):
        text = tokens[i].text
        last = i
        if text in OPENING:
            last = matching(tokens, i)
        elif text == "<" and angles:
            last = max(after_angles(tokens, i) - 1, i)
        elif text == sign:
            parts.append([])
            i += 1
            continue
        parts[-1] += tokens[i:last + 1]
        i = last + 1
    return parts


def written(tokens: Sequence[Token]) -> str:
    """The tokens as one line of text, with blanks where words would meet and after commas."""
    line = ""
    for token in tokens:
        meet = line[-1:].isalnum() or line[-1:] == "_"
        if line and ((meet and token.kind in ("word", "number", "string")) or line[-1] == ","):
            line += " "
        line += token.text
    return line
