"""Mutants of a C source: small changes of its text, each of which should make some check fail.

A tokenizer is enough, because what does not compile is drawn again. Comments, strings, the
preprocessor's lines, static assertions and declarations are left alone. Nothing is built here.
"""

import hashlib
import re
from dataclasses import dataclass

TOKEN = re.compile(r"""
    (?P<skip>/\*.*?\*/ | //[^\n]* | "(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*'
           | ^[ \t]*\#(?:\\\n|/\*.*?\*/|[^\n])*)
  | (?P<number>(?:0[xX][\da-fA-F]+|(?:\d+\.\d*|\.\d+|\d+)(?:[eE][+-]?\d+)?)[uUlLfF]*)
  | (?P<name>[A-Za-z_]\w*)
  | (?P<op><<=|>>=|\+\+|--|->|\+=|-=|\*=|/=|%=|<<|>>|<=|>=|==|!=|&&|\|\||[^\s\w])
""", re.X | re.S | re.M)

#: operator -> what it becomes: its opposite, and its neighbour where there is one
OPERATORS = {
    "+": ("-",), "-": ("+",), "*": ("/",), "/": ("*",), "%": ("/",),
    "<": ("<=", ">="), "<=": ("<", ">"), ">": (">=", "<="), ">=": (">", "<"),
    "==": ("!=",), "!=": ("==",), "&&": ("||",), "||": ("&&",),
    "+=": ("-=", "="), "-=": ("+=",), "*=": ("/=",), "/=": ("*=",),
}
TYPES = {"const", "static", "inline", "int", "int64_t", "int32_t", "uint8_t", "uint32_t",
         "uint64_t", "size_t", "real", "real_bits", "float", "double", "char", "bool", "void",
         "enum", "struct", "typedef", "lanes", "return", "extern", "union", "unsigned"}


@dataclass(frozen=True)
class Mutant:
    """One change: ``text[start:end]`` becomes ``new``."""

    file: str
    kind: str  # operator, constant, bound, removed
    start: int
    end: int
    new: str
    line: int
    before: str  # the whole line, and what becomes of it
    after: str
    key: str  # names it as long as its line stays as it is

    def apply(self, text):
        return text[:self.start] + self.new + text[self.end:]


@dataclass(frozen=True)
class Token:
    """A token and where it lies."""

    kind: str
    text: str
    start: int
    end: int


def tokens(text):
    """What may be changed: no comments, no lines of the preprocessor, no declarations of types."""
    found = [Token(m.lastgroup, m.group(), m.start(), m.end()) for m in TOKEN.finditer(text)
             if m.lastgroup != "skip"]
    kept, i = [], 0
    while i < len(found):
        if found[i].text in ("_Static_assert", "static_assert", "__attribute__"):
            i = _closing(found, i + 1) + 1
        elif found[i].text == "typedef":
            while found[i].text not in (";", "{"):
                i += 1
        else:
            kept.append(found[i])
            i += 1
    return kept


def _closing(found, i):
    """The place of the bracket that closes the one at ``i``."""
    depth = 0
    for j in range(i, len(found)):
        depth += (found[j].text in "([{") - (found[j].text in ")]}")
        if depth == 0:
            return j
    return len(found) - 1


def mutants(file, text):
    """Every mutant of a source, in the order of the text."""
    found = tokens(text)
    changes = [*_operators(found), *_constants(found), *_loops(found), *_removed(found)]
    lines = text.split("\n")
    made, seen = [], {}
    for kind, start, end, new in sorted(set(changes), key=lambda c: (c[1], c[2], c[3])):
        line = text.count("\n", 0, start)
        before = lines[line].strip()
        changed = (text[:start] + new + text[end:]).split("\n")[line].strip()
        # The place within its line and not the line's number: other lines may come and go.
        identity = (file, before, kind, start - text.rfind("\n", 0, start), text[start:end], new)
        seen[identity] = seen.get(identity, -1) + 1
        key = hashlib.sha256(repr((*identity, seen[identity])).encode()).hexdigest()[:12]
        made.append(Mutant(file, kind, start, end, new, line + 1, before, changed, key))
    return made


def _operators(found):
    for last, token in zip([None, *found], found):
        if token.text not in OPERATORS:
            continue
        # A star after a type makes a pointer, which no other operator could.
        if token.text == "*" and (last is None or last.text in TYPES or last.text in "(,*;{})"):
            continue
        for new in OPERATORS[token.text]:
            yield "operator", token.start, token.end, new


def _constants(found):
    for token in found:
        if token.kind != "number":
            continue
        digits = token.text.rstrip("uUlLfF") if not token.text.startswith("0x") else token.text
        if re.fullmatch(r"\d+", digits):
            value = int(digits)
            for new in {0: ("1",), 1: ("0", "2")}.get(value, (str(value - 1), str(value + 1))):
                yield "constant", token.start, token.end, new
        elif not digits.startswith("0x"):
            for change in ("1.01", "-1"):
                yield "constant", token.start, token.end, f"({token.text} * ({change}))"


def _loops(found):
    """Bounds and steps of for loops."""
    for i, token in enumerate(found):
        if token.text != "for" or found[i + 1].text != "(":
            continue
        end = _closing(found, i + 1)
        semicolons = [j for j in range(i + 2, end) if found[j].text == ";"]
        if len(semicolons) != 2:
            continue
        first, second = semicolons
        condition, step = found[first + 1 : second], found[second + 1 : end]
        if condition and any(t.text in ("<", "<=", ">", ">=") for t in condition):
            for new in (" - 1", " + 1"):
                yield "bound", condition[-1].end, condition[-1].end, new
        for t in step:
            if t.text in ("++", "--"):
                yield "bound", t.start, t.end, f" {t.text[0]}= 2"
        if len(step) > 1 and step[1].text in ("+=", "-="):
            tail = next((t for t in step if t.text == ","), None)
            at = found[found.index(tail) - 1].end if tail else step[-1].end
            yield "bound", at, at, " + 1"


def _removed(found):
    """Statements without which the rest still compiles."""
    starts = {";", "{", "}", ")", ":"}
    for i in range(1, len(found)):
        if found[i - 1].text not in starts and found[i - 1].text != "else":
            continue
        words = []
        for j in range(i, len(found)):
            if found[j].text in ";{}":
                break
            words.append(found[j].text)
        if not words or found[j].text != ";":
            continue
        jump = words[0] in ("continue", "break") or words == ["return"]
        head = words[0] if words[0] != "*" else words[1] if len(words) > 1 else ""
        plain = re.match(r"[A-Za-z_]", head) and head not in TYPES and "for" not in words[:1]
        declares = len(words) > 1 and re.match(r"[A-Za-z_]", words[0]) and (
            re.match(r"[A-Za-z_]", words[1]) or (words[1] == "*" and "=" in words[2:5]))
        changes = words[0] != ")" and (any(w.endswith("=") and w not in ("==", "<=", ">=", "!=")
                                           for w in words) or "++" in words or words[1:2] == ["("])
        balanced = all(words.count(a) == words.count(b) for a, b in ("()", "[]"))
        if jump or (plain and not declares and changes and balanced
                    and words[0] not in ("if", "while", "switch", "do", "else", "case", "goto")):
            yield "removed", found[i].start, found[j].start, ""
