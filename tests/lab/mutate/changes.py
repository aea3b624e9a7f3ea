"""The mistakes that are made on purpose: changes of a CUDA text, each of which should be noticed.

Only device code is touched. A barrier, a fence or a __syncwarp goes; a guard lets everybody in; an
atomic function becomes the same thing done in two steps; indices are swapped. The tokenizer is
that of ``tests/mutate``. Nothing is built here.
"""

import hashlib
import re
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "mutate"))

from mutants import tokens

KINDS = ("barrier", "syncwarp", "fence", "guard", "atomic", "swap")
BARRIERS = {"__syncthreads": "barrier", "__syncwarp": "syncwarp", "__threadfence": "fence",
            "__threadfence_block": "fence"}
ON_DEVICE = {"__global__", "__device__", "ETUDE_DEVICE", "ETUDE_METHOD"}  # kernel.cuh has two
OTHER = {"x": "y", "y": "x"}
INDICES = {"threadIdx", "blockIdx"}

#: What atomic functions become: the same in two steps. It goes in front of the first line, so that
#: no line gets another number.
PLAIN = "".join(f"template <typename T, typename U> __device__ T plain_{name}(T *p, U v) "
                f"{{ T old = *p; *p = {new}; return old; }} " for name, new in (
                    ("Add", "old + v"), ("Sub", "old - v"), ("Exch", "v"), ("Or", "old | v"),
                    ("And", "old & v"), ("Min", "v < old ? (T)v : old"),
                    ("Max", "v > old ? (T)v : old"), ("Inc", "old >= v ? 0 : old + 1")))
PLAIN += ("template <typename T> __device__ T plain_CAS(T *p, T c, T v) "
          "{ T old = *p; if (old == c) *p = v; return old; } ")


@dataclass(frozen=True)
class Change:
    """One mistake: ``text[start:end]`` becomes ``new``."""

    file: str
    kind: str
    start: int
    end: int
    new: str
    line: int
    before: str  # the whole line, and what becomes of it
    after: str
    key: str  # names it as long as its line stays as it is

    def apply(self, text):
        """The whole text with the mistake in it."""
        changed = text[:self.start] + self.new + text[self.end:]
        return PLAIN + changed if self.kind == "atomic" else changed


def changes(file, text):
    """Every mistake that can be made in the device code of a file, in the order of the text."""
    found = tokens(text)
    made = []
    for body in _device(found):
        made += [*_barriers(body), *_guards(body, text), *_atomics(body), *_swaps(body, text)]
    lines, seen, out = text.split("\n"), {}, []
    for kind, start, end, new in sorted(set(made), key=lambda c: (c[1], c[2], c[3])):
        number = text.count("\n", 0, start)
        before = lines[number].strip()
        after = (text[:start] + new + text[end:]).split("\n")[number].strip()
        identity = (file, before, kind, start - text.rfind("\n", 0, start), text[start:end], new)
        seen[identity] = seen.get(identity, -1) + 1
        key = hashlib.sha256(repr((*identity, seen[identity])).encode()).hexdigest()[:12]
        out.append(Change(file, kind, start, end, new, number + 1, before, after, key))
    return out


def closing(found, i):
    """The place of the bracket that closes the one at ``i``."""
    depth = 0
    for j in range(i, len(found)):
        depth += (found[j].text in "([{") - (found[j].text in ")]}")
        if depth == 0:
            return j
    return len(found) - 1


def _device(found):
    """The bodies of functions that run on the device."""
    i = 0
    while i < len(found):
        if found[i].text not in ON_DEVICE:
            i += 1
            continue
        j = i
        while j < len(found) and found[j].text not in ("{", ";", "="):
            j = closing(found, j) + 1 if found[j].text == "(" else j + 1
        if j < len(found) and found[j].text == "{":
            end = closing(found, j)
            if any(t.text == ")" for t in found[i:j]):  # a function, and no array with values
                yield found[j + 1:end]
            j = end
        i = j + 1


def _barriers(body):
    """Statements that wait or order: they go."""
    for i, token in enumerate(body):
        kind, first = BARRIERS.get(token.text), i
        if token.text == "sync" and body[i - 1].text in (".", "->"):
            kind = "barrier"
            first = i - 2
            while body[first].text == ")":  # cg::this_grid().sync()
                first -= 1
            while (first and body[first - 1].text in (":", "(", ")", ".")) or (
                    first and body[first].text in (":", "(")):
                first -= 1
        if kind is None or i + 1 >= len(body) or body[i + 1].text != "(":
            continue
        end = closing(body, i + 1)
        if end + 1 < len(body) and body[end + 1].text == ";":
            yield kind, body[first].start, body[end].end, ""


def _guards(body, text):
    """Conditions of branches: whoever was kept out comes in, whoever was sent away stays."""
    for i, token in enumerate(body):
        if token.text == "if" and body[i + 1].text == "(":
            end = closing(body, i + 1)
            follows = [t.text for t in body[end + 1:end + 3]]
            leaves = {"return", "continue", "break"} & set(follows)
            yield "guard", body[i + 1].end, body[end].start, "false" if leaves else "true"
            yield from _parts(body, i + 2, end, leaves)
        elif token.text == "?":
            first = _start_of(body, i - 1)
            said = text[body[first].start:token.start].strip()
            if re.search(r"<|>|==|!=", said):
                yield "guard", body[first].start, token.start, "true "


def _parts(body, first, end, leaves):
    """The parts of a condition (a && b), each left out in turn: a guard on x only."""
    joint = "||" if leaves else "&&"
    cuts, i = [first], first
    while i < end:
        if body[i].text == joint:
            cuts.append(i + 1)
        i = closing(body, i) + 1 if body[i].text in "([{" else i + 1
    if len(cuts) > 1 and not any(t.text in ("&&", "||") and t.text != joint
                                 for t in body[first:end]):
        for a, b in zip(cuts, [*(c - 1 for c in cuts[1:]), end]):
            yield "guard", body[a].start, body[b - 1].end, "false" if leaves else "true"


def _start_of(body, i):
    """Where the condition before a question mark begins."""
    depth = 0
    while i >= 0:
        word = body[i].text
        depth += (word in ")]") - (word in "([")
        if depth < 0 or (depth == 0 and word in ("=", ",", ";", "{", "}", "return", "+=", ":")):
            return i + 1
        i -= 1
    return 0


def _atomics(body):
    """Atomic functions, done in two steps."""
    for token in body:
        name = re.fullmatch(r"atomic(Add|Sub|Exch|Or|And|Min|Max|Inc|CAS)(?:_block)?", token.text)
        if name:
            yield "atomic", token.start, token.end, f"plain_{name[1]}"


def _swaps(body, text):
    """One x for a y, the subscripts of [i][j], the parts of [i * n + j]."""
    for i, token in enumerate(body):
        here = [t.text for t in body[i:i + 3]]
        if here[:1] and here[0] in INDICES and here[1:2] == ["."] and here[2] in OTHER:
            yield "swap", body[i + 2].start, body[i + 2].end, OTHER[here[2]]
        if token.text != "[" or re.match(r"\s*(extern )?__(shared|constant)__",
                                         text[text.rfind("\n", 0, token.start) + 1:]):
            continue
        end = closing(body, i)
        inner = text[token.end:body[end].start]
        if end + 1 < len(body) and body[end + 1].text == "[":
            second = closing(body, end + 1)
            other = text[body[end + 1].end:body[second].start]
            if inner.strip() != other.strip() and inner.strip():
                yield "swap", token.end, body[second].start, f"{other}][{inner}"
        parts = re.fullmatch(r"([^+\[\]]+?) \* ([^+\[\]]+?) \+ (.+)", inner, re.S)
        if parts and _balanced(parts[1]) and _balanced(parts[3]):
            first, width, last = parts.groups()
            bracketed = last if re.fullmatch(r"\w+(\.\w+)?", last) else f"({last})"
            yield "swap", token.end, body[end].start, f"{bracketed} * {width} + {first}"


def _balanced(text):
    return all(text.count(a) == text.count(b) for a, b in ("()", "[]"))
