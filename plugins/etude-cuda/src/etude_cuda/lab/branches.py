"""Does a barrier stand in a branch that some threads pass by, to return without it?

At run time ``if (i >= n) return;`` before a barrier and an ``if`` around it are one: threads that
returned count as arrived. The first is a guard that many programs have; the second is luck, which
ends as soon as a barrier follows. The source tells them apart, so that is asked here.
"""

from __future__ import annotations

from collections.abc import Iterable

from etude_cuda.lab.events import Finding
from etude_cuda.lab.quotes import Quotes
from etude_cuda.lab.symbols import Symbols
from etude_cuda.lab.tokens import Token, opened_by, tokens_of

KIND = "barrier-in-branch"


def only_in_branches(found: Iterable[Finding], symbols: Symbols, quotes: Quotes) -> list[Finding]:
    """The findings without the barriers that stand in no branch, or behind a guard."""
    return [f for f in found if f.kind != KIND or _stands_in_branch(f, symbols, quotes)]


def _stands_in_branch(f: Finding, symbols: Symbols, quotes: Quotes) -> bool:
    frame = symbols.place(f.places[0].pc, f.places[0].stack)
    return in_branch("\n".join(quotes.lines(frame.file)), frame.line)


def in_branch(text: str, line: int) -> bool:
    """Whether the barrier on a line is in an ``if`` or ``else`` of its function, which no
    ``return`` precedes. False where the line has no barrier of its own, as in a macro.
    """
    tokens = list(tokens_of(text))
    lines = text.split("\n")
    begin = sum(len(one) + 1 for one in lines[:line - 1])
    end = begin + len(lines[line - 1]) if 0 < line <= len(lines) else begin
    barrier = next((i for i, t in enumerate(tokens) if begin <= t.start < end
                    and t.text.startswith("__syncthreads")), None)
    return barrier is not None and _is_in_branch(tokens, barrier)


def _is_in_branch(tokens: list[Token], barrier: int) -> bool:
    """Outwards from the barrier to the head of its function. A guard may stand in a block that has
    been closed again, so those are looked through for a return as well.
    """
    found, closed = _is_branch(tokens, barrier), 0
    for at in range(barrier - 1, -1, -1):
        text = tokens[at].text
        if text == "return":
            return False
        if text == "}":
            closed += 1
        elif text == "{" and closed:
            closed -= 1
        elif text == "{":
            if _is_function(tokens, at):
                return found
            found = found or _is_branch(tokens, at)
    return False


def _is_branch(tokens: list[Token], at: int) -> bool:
    """Whether the block or the statement that begins there belongs to an if or an else."""
    return _keyword(tokens, at) in ("if", "else")


def _is_function(tokens: list[Token], at: int) -> bool:
    """Whether the brace there opens the body of a function: ``f(int n) {``."""
    word = _keyword(tokens, at)
    return word.isidentifier() and word not in ("if", "else", "do", "for", "while", "switch",
                                                "constexpr")


def _keyword(tokens: list[Token], at: int) -> str:
    """What stands before a block: "if" for ``if (...) {``, "f" for ``f(...) {``; else ""."""
    before = tokens[at - 1].text if at else ""
    if before == "else":
        return before
    if before != ")":
        return ""
    opened = opened_by(tokens, at - 1)
    return tokens[opened - 1].text if opened else ""
