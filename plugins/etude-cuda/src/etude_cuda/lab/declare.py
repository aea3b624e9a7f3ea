"""Reads declarations of variables, as far as the source pass (``source.py``) has to know them.

    __shared__ float tile[16][17], *row;

is read as the words before the declarators (a type and what qualifies it) and the declarators,
each with the position of its name. From these, types and references can be written anew: the
declarator without its name is a type, and with ``(&name)`` for its name a reference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from etude_cuda.lab.tokens import Token, after_angles, matching, split, written

SPACES = frozenset({"__shared__", "__device__", "__constant__", "__managed__"})
_STORAGE = frozenset({"static", "extern", "inline", "constexpr", "register", "thread_local",
                      "__forceinline__", "__restrict__", "__restrict", "__inline__"}) | SPACES
_ALIGNED = frozenset({"alignas", "__align__", "__attribute__"})
_QUALIFIERS = frozenset({"const", "volatile", "__restrict__", "__restrict"})
_BUILT_IN = frozenset({"void", "bool", "char", "short", "int", "long", "float", "double", "signed",
                       "unsigned", "__int128", "auto"})
_ELABORATED = frozenset({"struct", "class", "union", "enum"})


@dataclass
class Declarator:
    """One name of a declaration, with what stands around it: ``*p``, ``a[16][17]``, ``(*q)[4]``."""

    tokens: list[Token]
    name_at: int
    initial: list[Token] = field(default_factory=list)

    @property
    def name(self) -> str:
        """What is declared."""
        return self.tokens[self.name_at].text

    @property
    def open_ended(self) -> bool:
        """Whether the first extent is empty: ``s[]``."""
        after = [t.text for t in self.tokens[self.name_at + 1:self.name_at + 3]]
        return after == ["[", "]"]

    def form(self, name: str, drop_first: bool = False) -> str:
        """The declarator with another name, "" for none; perhaps without its empty extent."""
        rest = self.tokens[self.name_at + (3 if drop_first else 1):]
        return written(self.tokens[:self.name_at]) + name + written(rest)


@dataclass
class Declaration:
    """A declaration of variables. ``kind`` is the type with const and volatile, as one text."""

    words: set[str]  # static, extern, __shared__ ...
    kind: str
    body: str  # of a struct that is defined on the spot: "struct {...}", else ""
    declarators: list[Declarator]


def read_declaration(tokens: Sequence[Token]) -> Declaration | None:
    """The declaration that a statement (without its semicolon) is; None if it is another thing,
    such as a function.
    """
    words: set[str] = set()
    qualifiers: list[str] = []
    kind: list[Token] = []
    body = ""
    i = 0
    while i < len(tokens):
        token = tokens[i]
        following = tokens[i + 1].text if i + 1 < len(tokens) else ""
        if token.text in _ALIGNED and following == "(":
            i = matching(tokens, i + 1) + 1  # the lab aligns every array to 128 bytes
        elif token.text in _STORAGE:
            words.add(token.text)
            i += 1
        elif token.text in _QUALIFIERS:
            qualifiers.append(token.text)
            i += 1
        elif token.text in _ELABORATED and not kind:
            i, kind, body = _elaborated(tokens, i)
        elif token.text == "decltype" and following == "(" and not kind:
            end = matching(tokens, i + 1)
            kind = list(tokens[i:end + 1])
            i = end + 1
        elif token.text in _BUILT_IN and all(t.text in _BUILT_IN for t in kind):
            kind.append(token)
            i += 1
        elif (token.kind == "word" or token.text == "::") and not (kind or body):
            end = _end_of_name(tokens, i)
            kind = list(tokens[i:end])
            i = end
        else:
            break
    declarators = _declarators(tokens[i:])
    if not (kind or body) or declarators is None:
        return None
    return Declaration(words, " ".join([*qualifiers, written(kind)]).strip(), body, declarators)


def _elaborated(tokens: Sequence[Token], at: int) -> tuple[int, list[Token], str]:
    """After ``struct Name`` or ``struct Name {...}``: where it ends, its name, its text."""
    i = at + 1
    while i < len(tokens) and tokens[i].text in _ALIGNED:
        i = matching(tokens, i + 1) + 1
    name: list[Token] = []
    if i < len(tokens) and tokens[i].kind == "word":
        end = _end_of_name(tokens, i)
        name, i = list(tokens[i:end]), end
    if i < len(tokens) and tokens[i].text in ("{", ":"):
        while tokens[i].text != "{":
            i += 1
        end = matching(tokens, i)
        return end + 1, name, written(tokens[at:end + 1])
    return i, [tokens[at], *name], ""


def _end_of_name(tokens: Sequence[Token], at: int) -> int:
    """The index after a name with its namespaces and template arguments: ``a::b<int>::c``."""
    i = at
    if tokens[i].text == "typename":
        i += 1
    while i < len(tokens):
        if tokens[i].text == "::":
            i += 1
        if i < len(tokens) and tokens[i].text == "template":
            i += 1
        if i >= len(tokens) or tokens[i].kind != "word":
            break
        i += 1
        if i < len(tokens) and tokens[i].text == "<":
            i = max(after_angles(tokens, i), i)
        if i >= len(tokens) or tokens[i].text != "::":
            break
    return i


def _declarators(tokens: Sequence[Token]) -> list[Declarator] | None:
    found = []
    for part in split(tokens, angles=False):
        name_at = next((i for i, t in enumerate(part)
                        if t.kind == "word" and t.text not in _QUALIFIERS | SPACES), -1)
        if name_at < 0:
            return None
        if any(t.text not in "*&(" and t.text not in _QUALIFIERS for t in part[:name_at]):
            return None
        end = name_at + 1
        while end < len(part) and part[end].text in ("[", ")"):
            end = matching(part, end) + 1 if part[end].text == "[" else end + 1
        after = part[end:]
        if after and after[0].text not in ("=", "{"):
            return None  # a function, or one of a hundred things that are no variable
        found.append(Declarator(part[:end], name_at, after))
    return found
