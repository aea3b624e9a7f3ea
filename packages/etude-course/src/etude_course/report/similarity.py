"""How alike hand-ins are, by their tokens: winnowing, as MOSS does it.

Names, numbers and strings are made alike and comments dropped, so that renaming hides nothing. Of
the hashes of every K tokens in a row the least in each window is kept (Schleimer, Wilkerson and
Aiken: Winnowing, SIGMOD 2003): two texts that share K + WINDOW - 1 tokens in a row always share a
hash. What the starter has counts for nobody, and neither does what a third of the class has: that
is how the question is answered. A number near 1 is a reason to look at both, and no proof.

Copies that have gone round half the class would be lost so: files that are the same from the first
token to the last are always listed (``identical``), and ``left_out`` says who was not compared.
"""

from __future__ import annotations

import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations

from pygments.lexers import get_lexer_for_filename
from pygments.token import Token
from pygments.util import ClassNotFound

K = 8  # tokens in a hash
WINDOW = 4  # hashes in a window
COMMON = 1 / 3  # of the class
FEW = 8  # hashes that a hand-in must have before it is compared
ALIKE = 0.5  # shown from here on

Files = Mapping[str, str]  # name -> text


@dataclass(frozen=True)
class Pair:
    """Two hand-ins, or one and a text of ours: the part of the smaller one that both have."""

    first: str
    second: str
    part: float


@dataclass(frozen=True)
class Same:
    """Hand-ins with the same file, but for comments and layout, and ``renamed`` for names, numbers
    and strings.
    """

    file: str
    whose: tuple[str, ...]
    renamed: bool


def prints(files: Files) -> frozenset[int]:
    """The kept hashes of some files together."""
    kept: set[int] = set()
    for name, text in sorted(files.items()):
        kept |= _winnow(_tokens(name, text))
    return frozenset(kept)


def _tokens(name: str, text: str, renamed: bool = True) -> list[str]:
    """Kinds of tokens, or the tokens themselves where these say what is done; without ``renamed``
    the tokens themselves, all.
    """
    try:
        lexer = get_lexer_for_filename(name)
    except ClassNotFound:
        return text.split()
    found = []
    for kind, word in lexer.get_tokens(text):
        if kind in Token.Comment or kind in Token.Literal.String.Doc or not word.strip():
            continue
        if renamed and (kind in Token.Name or kind in Token.Literal):
            found.append(str(kind[:2]))
        else:
            found.append(word.strip())
    return found


def _winnow(tokens: list[str]) -> set[int]:
    hashes = [zlib.crc32("\0".join(tokens[i:i + K]).encode())
              for i in range(len(tokens) - K + 1)]
    if len(hashes) < WINDOW:
        return set(hashes[:1])
    return {min(hashes[i:i + WINDOW]) for i in range(len(hashes) - WINDOW + 1)}


def between(handins: Mapping[str, Files], starter: Files) -> list[Pair]:
    """The pairs that are alike, the most alike first."""
    own = _own(handins, starter)
    holders: dict[int, list[str]] = defaultdict(list)
    for who, kept in own.items():
        for value in kept:
            holders[value].append(who)
    shared = Counter(pair for whose in holders.values() for pair in combinations(whose, 2))
    found = [Pair(a, b, n / min(len(own[a]), len(own[b]))) for (a, b), n in shared.items()]
    return _sorted(p for p in found if p.part >= ALIKE)


def identical(handins: Mapping[str, Files], starter: Files) -> list[Same]:
    """The groups of hand-ins whose file is the same, the largest first. A starter is nobody's."""
    found: dict[tuple[str, tuple[str, ...]], Same] = {}
    for renamed in (False, True):
        groups: dict[tuple[str, tuple[str, ...]], list[str]] = defaultdict(list)
        for who, files in handins.items():
            for name, text in files.items():
                groups[name, tuple(_tokens(name, text, renamed))].append(who)
        begun = {(name, tuple(_tokens(name, text, renamed))) for name, text in starter.items()}
        for key, whose in groups.items():
            group = key[0], tuple(sorted(whose))
            if len(whose) > 1 and key[1] and key not in begun:
                found.setdefault(group, Same(*group, renamed))
    return sorted(found.values(), key=lambda s: (-len(s.whose), s.file, s.whose))


def left_out(handins: Mapping[str, Files], starter: Files) -> list[str]:
    """Who was not compared, since too little is left without the starter and what is common."""
    own = _own(handins, starter)
    return sorted(who for who in handins if who not in own)


def to_ours(handins: Mapping[str, Files], starter: Files,
            ours: Mapping[str, Files]) -> list[Pair]:
    """The hand-ins that are like a text of ours: a solution, or the reference."""
    begun = prints(starter)
    texts = {name: prints(files) - begun for name, files in ours.items()}
    found = []
    for who, files in handins.items():
        mine = prints(files) - begun
        for name, kept in texts.items():
            if min(len(mine), len(kept)) >= FEW:
                found.append(Pair(who, name, len(mine & kept) / min(len(mine), len(kept))))
    return _sorted(p for p in found if p.part >= ALIKE)


def _own(handins: Mapping[str, Files], starter: Files) -> dict[str, frozenset[int]]:
    """What each has that neither the starter nor a third of the class has."""
    begun = prints(starter)
    all_ = {who: prints(files) - begun for who, files in handins.items()}
    often = Counter(value for kept in all_.values() for value in kept)
    most = max(3, len(all_) * COMMON)
    own = {who: frozenset(v for v in kept if often[v] <= most) for who, kept in all_.items()}
    return {who: kept for who, kept in own.items() if len(kept) >= FEW}


def _sorted(pairs: Iterable[Pair]) -> list[Pair]:
    return sorted(pairs, key=lambda p: (-p.part, p.first, p.second))
