"""How a byte-pair tokenizer cuts text into pieces and learns its merges.

Plan: count each different piece once. Keep, for every pair of neighbouring tokens, how often it
occurs and in which pieces, so that a merge touches only the pieces that hold the pair; a heap
gives the most frequent pair. 1,000 merges on half a megabyte take about a second.
"""

from __future__ import annotations

import heapq
import re
from collections import Counter, defaultdict
from collections.abc import Callable

Pair = tuple[int, int]

# A space goes with the word after it. The limit on the length keeps the work per piece small for
# text without spaces; every character is matched by one of the four, so nothing is lost.
PIECE = re.compile(r" ?\w{1,64}| ?[^\w\s]{1,64}|\s{1,64}(?!\S)|\s{1,64}")
LONGEST = 1 + 64 * 4  # bytes of a piece, and so of a token: a space, and signs of 4 bytes in UTF-8


def pieces(text: str) -> list[bytes]:
    """``text`` cut into words, runs of signs and runs of space, as UTF-8; joined, the text."""
    return [p.encode("utf-8", "surrogatepass") for p in PIECE.findall(text)]


def merge(tokens: list[int], pair: Pair, token: int) -> list[int]:
    """``tokens`` with each occurrence of ``pair``, from the left, replaced by ``token``."""
    out: list[int] = []
    i = 0
    while i < len(tokens):
        if i + 1 < len(tokens) and (tokens[i], tokens[i + 1]) == pair:
            out.append(token)
            i += 2
        else:
            out.append(tokens[i])
            i += 1
    return out


def learn(words: Counter[bytes], merges: int, advance: Callable[[float], None]) -> list[Pair]:
    """The first ``merges`` merges for pieces that occur as often as ``words`` says.

    Each is the most frequent pair, with ties to the smaller token numbers, so the order of the
    text does not matter. Fewer are returned if no pair is left that occurs twice.
    """
    spelling = [list(word) for word in words]  # of piece i, in tokens
    times = list(words.values())
    count: Counter[Pair] = Counter()
    where: defaultdict[Pair, set[int]] = defaultdict(set)  # pieces that have or had the pair
    for i, tokens in enumerate(spelling):
        for pair in zip(tokens, tokens[1:]):
            count[pair] += times[i]
            where[pair].add(i)
    heap = [(-n, pair) for pair, n in count.items()]
    heapq.heapify(heap)

    found: list[Pair] = []
    while heap and len(found) < merges:
        n, best = heapq.heappop(heap)
        if -n != count[best]:
            continue  # an old count: the pair was pushed again when it changed
        if -n < 2:
            break
        changed: set[Pair] = set()
        for i in where.pop(best):
            before = spelling[i]
            after = merge(before, best, 256 + len(found))
            spelling[i] = after
            for pair in zip(before, before[1:]):
                count[pair] -= times[i]
                changed.add(pair)
            for pair in zip(after, after[1:]):
                count[pair] += times[i]
                where[pair].add(i)
                changed.add(pair)
        for pair in changed:
            if count[pair] > 0:
                heapq.heappush(heap, (-count[pair], pair))
        found.append(best)
        advance(1)
    return found
