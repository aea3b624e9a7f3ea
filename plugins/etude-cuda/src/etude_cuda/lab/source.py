"""The source pass: from CUDA C++ to what g++ reads, with every line still at its place.

    k<<<grid, block>>>(x, n);        ::lab::Launch("k", __FILE__, __LINE__, grid, block)(...);
    __shared__ float tile[256];      a lab::Shared<float[256]>, and a reference to its memory
    extern __shared__ float s[];     float *s, from lab::dynamic_shared
    __constant__ float w[9];         followed by a lab::Symbol, for cudaMemcpyToSymbol

These are all that is rewritten: the other words of CUDA are macros, types and functions of the
headers in c_src/lab/include. Files included with quotes are passed as well. What the lab does not
have is refused by name and line (``refusals.py``). Comments, strings and ``#if 0`` are left alone.

It also tells which kernels there are and what they take (``Kernel``).

Here a text becomes a text; ``files.py`` passes a file and what it includes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from etude_cuda.lab.declare import SPACES, Declaration, Declarator, read_declaration
from etude_cuda.lab.refusals import INCLUDES, ON_DEVICE, SOME, WORDS
from etude_cuda.lab.tokens import (
    CLOSING,
    OPENING,
    Token,
    after_angles,
    before_angles,
    matching,
    opened_by,
    split,
    tokens_of,
    written,
)

NULLS = frozenset({"0", "NULL", "nullptr"})
_KEYWORDS = frozenset({"return", "else", "do", "case", "goto", "throw"})
#: Functions of the runtime that take a kernel -> which argument it is.
KERNEL_TAKEN = {
    "cudaLaunchKernel": 0, "cudaLaunchCooperativeKernel": 0, "cudaFuncSetAttribute": 0,
    "cudaFuncSetCacheConfig": 0, "cudaFuncGetAttributes": 1,
    "cudaOccupancyMaxActiveBlocksPerMultiprocessor": 1,
    "cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags": 1,
    "cudaOccupancyAvailableDynamicSMemPerBlock": 1,
    "cudaOccupancyMaxPotentialBlockSize": 2, "cudaOccupancyMaxPotentialBlockSizeVariableSMem": 2,
}
_NOT_PARAMETERS = frozenset({"__launch_bounds__", "__attribute__", "alignas", "__align__",
                             "decltype", "noexcept", "__cluster_dims__", "__maxnreg__"})


@dataclass(frozen=True)
class Parameter:
    """A parameter of a kernel: ``const float *``, ``x``."""

    type: str
    name: str


@dataclass(frozen=True)
class Kernel:
    """A ``__global__`` function that a file defines."""

    name: str
    template: str  # "typename T, int N", or ""
    parameters: tuple[Parameter, ...]
    file: str
    line: int
    scope: tuple[str, ...] = ()  # the namespaces around it

    def __str__(self) -> str:
        inside = ", ".join(f"{p.type}{'' if p.type.endswith('*') else ' '}{p.name}"
                           for p in self.parameters)
        template = f"<{self.template}>" if self.template else ""
        return f"{self.name}{template}({inside})"


@dataclass(frozen=True)
class Refusal:
    """Something that the lab does not have, at its line. Where it is not ``sure`` (an #if may take
    it out), it counts if the compiler stumbles over that line.
    """

    what: str
    instead: str
    file: str
    line: int
    quote: str
    sure: bool = True

    def __str__(self) -> str:
        return (f"{self.file}:{self.line}: the lab has no {self.what}. {self.instead}\n"
                f"    {self.line} | {self.quote}")


@dataclass
class Passed:
    """What became of a text."""

    text: str
    kernels: list[Kernel]
    refusals: list[Refusal]
    volatile: bool  # whether the word is in it
    macros: set[str]  # the names that it defines


Resolve = Callable[[str, bool], str | None]  # of an include: its name, whether in quotes


def passed(text: str, path: str, resolve: Resolve = lambda name, quoted: None) -> Passed:
    """The pass over one text. ``path`` is what messages call it, ``resolve`` says which file
    stands for an included one, None for the one that it names.
    """
    walk = _Pass(text, path, resolve)
    walk.run()
    name = path.replace("\\", "\\\\").replace('"', '\\"')
    return Passed(f'#line 1 "{name}"\n' + walk.rewritten(), walk.kernels, walk.refusals,
                  walk.volatile, walk.macros)


@dataclass
class _Scope:
    """An open brace: file, class, function or other (an initialiser)."""

    kind: str
    device: bool  # code that only runs on the device
    on_device: bool  # code that also runs there
    begin: int  # where the statement began in which it was opened
    name: str = ""  # of a namespace


@dataclass
class _Condition:
    """An open #if: the scopes where it stands, whether it is no real condition (a guard of a
    header, or ``#if 1``), and whether its first branch is always taken.
    """

    scopes: list[_Scope]
    sure: bool
    always: bool


class _Pass:
    """One walk over the tokens of a text; edits are collected and made in the end."""

    def __init__(self, text: str, path: str, resolve: Resolve) -> None:
        self.text, self.path, self.resolve = text, path, resolve
        self.kernels: list[Kernel] = []
        self.refusals: list[Refusal] = []
        self.volatile = False
        self.macros: set[str] = set()
        self._edits: list[tuple[int, int, str]] = []
        self._tokens: list[Token] = []
        self._scopes = [_Scope("file", False, False, 0)]
        self._conditions: list[_Condition] = []
        self._begin = 0  # where the statement begins
        self._declared = -1  # the beginning of the statement last read as a declaration
        self._macro: tuple[str, ...] | None = None  # parameters of the macro whose body is read

    def rewritten(self) -> str:
        """The text after the edits."""
        parts, at = [], 0
        for start, end, new in sorted(self._edits):
            parts += [self.text[at:start], new]
            at = end
        return "".join(parts) + self.text[at:]

    # ------------------------------------------------------------------ the walk

    def run(self) -> None:
        """Walk over the whole text."""
        self._tokens = list(tokens_of(self.text))
        self._walk()

    def _walk(self) -> None:
        i = 0
        while i < len(self._tokens):
            i = self._step(i)

    def _step(self, i: int) -> int:
        """Deal with the token at ``i``; which is next."""
        token = self._tokens[i]
        text = token.text
        if token.kind == "directive":
            return self._directive(i)
        if text == "{":
            self._open(i)
        elif text == "}":
            self._close(i)
        elif text == ";" or (text == ":" and self._is_label(i)):
            self._begin = i + 1
        elif text == "<" and self._is_launch(i):
            return self._launch(i)
        elif token.kind == "word":
            return self._word(i)
        return i + 1

    def _word(self, i: int) -> int:
        text = self._tokens[i].text
        if text == "volatile":
            self.volatile = True
        if text == "__shared__":
            return self._shared(i)
        if text in SPACES and self._declared != self._begin:
            self._declared = self._begin
            return self._variable(i)
        if text == "__noinline__" and not (i and self._tokens[i - 1].text == "("):
            # As a macro it would break g++'s own headers, which mean an attribute by it.
            self._edit(self._tokens[i].start, self._tokens[i].end, "LAB_NOINLINE")
        if text in KERNEL_TAKEN:
            self._plain_kernel(i, KERNEL_TAKEN[text])
        self._refused(i)
        return i + 1

    def _is_label(self, i: int) -> bool:
        """``public:``, ``case 3:``, ``default:``"""
        return i == self._begin + 1 or self._tokens[self._begin].text == "case"

    def _open(self, i: int) -> None:
        head = [t for t in self._tokens[self._begin:i] if t.kind != "directive"]
        words = {t.text for t in head}
        inside = self._scopes[-1]
        device, on_device = inside.device, inside.on_device
        if inside.kind == "function" or self._macro is not None:
            kind = "function"
            if "__device__" in words and "]" in words:  # a lambda for the device
                device, on_device = "__host__" not in words, True
        elif inside.kind == "other":
            kind = "other"
        else:
            kind = _kind_of_brace(head)
            if kind == "function":
                on_device = bool(words & {"__global__", "__device__"})
                device = on_device and "__host__" not in words
                if "__global__" in words:
                    self._kernel(head)
        name = written(head[1:]) if kind == "file" and head[0].text == "namespace" else ""
        self._scopes.append(_Scope(kind, device, on_device, self._begin, name))
        self._begin = i + 1

    def _close(self, i: int) -> None:
        scope = self._scopes[-1]
        if len(self._scopes) > 1:
            self._scopes.pop()
        self._begin = scope.begin if scope.kind == "other" else i + 1

    # ------------------------------------------------------------------ directives

    def _directive(self, i: int) -> int:
        token = self._tokens[i]
        found = re.match(r"#\s*(\w+)\s*(.*)", token.text, re.DOTALL)
        if not found:
            return i + 1
        name, rest = found[1], re.sub(r"/\*.*?\*/|//.*", "", found[2], flags=re.DOTALL).strip()
        if i == self._begin:  # a statement does not begin with a directive
            self._begin = i + 1
        if name in ("if", "ifdef", "ifndef"):
            return self._condition(i, name, rest)
        if name in ("else", "elif") and self._conditions:
            self._scopes = list(self._conditions[-1].scopes)
            if self._conditions[-1].always:
                return self._end_of_branch(i + 1)
        elif name == "endif" and self._conditions:
            self._conditions.pop()
        elif name == "include":
            self._include(token, rest)
        elif name == "define":
            self._define(token)
        return i + 1

    def _condition(self, i: int, name: str, rest: str) -> int:
        """An #if: ``#if 0`` is passed over, and the #else of ``#if 1``."""
        never = name == "if" and rest in ("0", "false")
        always = name == "if" and rest in ("1", "true")
        guard = name == "ifndef" and self._is_guard(i, rest)
        self._conditions.append(_Condition(list(self._scopes), never or always or guard, always))
        return self._end_of_branch(i + 1) if never else i + 1

    def _is_guard(self, i: int, name: str) -> bool:
        """Whether ``#ifndef NAME`` guards a header: ``#define NAME`` follows at once."""
        after = self._tokens[i + 1] if i + 1 < len(self._tokens) else None
        return after is not None and bool(re.match(rf"#\s*define\s+{re.escape(name)}\b",
                                                   after.text))

    def _end_of_branch(self, i: int) -> int:
        """The index of the #else, #elif or #endif that ends the branch which begins at ``i``."""
        depth = 0
        while i < len(self._tokens):
            found = re.match(r"#\s*(if|else|elif|endif)", self._tokens[i].text)
            if found and depth == 0 and found[1] != "if":
                return i
            if found:
                depth += {"if": 1, "endif": -1}.get(found[1], 0)
            i += 1
        return i

    def _include(self, token: Token, rest: str) -> None:
        found = re.match(r'(?:"([^"]+)"|<([^>]+)>)', rest)
        if not found:
            return
        name, quoted = found[1] or found[2], bool(found[1])
        to = self.resolve(name, quoted)
        if to is not None:
            at = token.text.index(name, token.text.index("include") + len("include"))
            start = token.start + at - 1
            self._edit(start, start + len(name) + 2, f'"{to}"')
            return
        for pattern, what, instead in INCLUDES:
            if re.fullmatch(pattern, name):
                self._refuse(token, f"{what} (<{name}>)", instead)

    def _define(self, token: Token) -> None:
        """Pass over the body of a macro: launches and shared arrays may be in it."""
        head = re.match(r"#\s*define\s+(\w+)(\([^)]*\))?", token.text)
        if head:
            self.macros.add(head[1])
        if not head or not re.search(r"<\s*<\s*<|__shared__|__noinline__", token.text):
            return
        outside = self._tokens, self._begin, self._scopes, self._declared
        names = head[2].strip("()") if head[2] else ""
        self._macro = tuple(n for n in re.split(r"[\s,\\]+", names.replace("...", " __VA_ARGS__"))
                            if n)
        self._tokens = list(tokens_of(self.text, token.start + head.end(), token.end,
                                      directives=False))
        self._begin, self._scopes = 0, [_Scope("function", False, False, 0)]
        self._declared = -1
        self._walk()
        self._tokens, self._begin, self._scopes, self._declared = outside
        self._macro = None

    # ------------------------------------------------------------------ launches

    def _is_launch(self, i: int) -> bool:
        """Three ``<``, two of them together, that do not belong to an operator's name."""
        three = self._tokens[i:i + 3]
        if len(three) < 3 or any(t.text != "<" for t in three) or i == 0:
            return False
        together = three[0].end == three[1].start or three[1].end == three[2].start
        return together and self._tokens[i - 1].text != "operator"

    def _launch(self, i: int) -> int:
        """``k<<<configuration>>>(arguments)``. The configuration and the arguments stay in place;
        what is between them is written anew.
        """
        close = self._end_of_configuration(i + 3)
        begin = self._begin_of_callee(i - 1)
        if close < 0 or begin < 0:
            return i + 1
        callee = self._tokens[begin:i]
        name = written(callee)
        if self._scopes[-1].device:
            self._refuse(callee[0], f"launch inside device code ({name}<<<...>>>: dynamic "
                         "parallelism)", "Launch from the host, or call a __device__ function.")
            return i + 3
        opened = close + 3
        closed = matching(self._tokens, opened)
        arguments = self._tokens[opened + 1:closed]
        comma = ", " if arguments else ""
        if self._macro is not None and written(arguments) == "__VA_ARGS__":
            comma = " __VA_OPT__(,) "
        self._replace(begin, i + 2, f"::lab::Launch({self._quoted(callee)}, __FILE__, __LINE__, ")
        self._replace(close, opened, f")([&](auto &...lab_a) LAB_QUIET {{ {name}(lab_a...); }}"
                      f"{comma}")
        for part in split(arguments):
            if len(part) == 1 and part[0].text in NULLS:
                self._edit(part[0].start, part[0].end, "::lab::Null{}")
        return i + 3

    def _end_of_configuration(self, i: int) -> int:
        """The index of the first of the three ``>`` before the arguments; -1 if there are none."""
        tokens = self._tokens
        while i + 3 < len(tokens):
            text = tokens[i].text
            if text in OPENING:
                i = matching(tokens, i)
            elif text in CLOSING or text == ";":
                break
            elif (text == ">" == tokens[i + 1].text == tokens[i + 2].text
                  and tokens[i + 3].text == "("):
                return i
            i += 1
        return -1

    def _begin_of_callee(self, i: int) -> int:
        """Where the expression begins that ends at ``i`` and names a kernel; -1 if none does."""
        tokens = self._tokens
        while i >= 0:
            if tokens[i].text == ">":
                i = before_angles(tokens, i) - 1
            while i >= 0 and tokens[i].text == "]":
                i = opened_by(tokens, i) - 1
            if i < 0:
                return -1
            if tokens[i].text == ")":
                i = opened_by(tokens, i)
                called = i > 0 and tokens[i - 1].kind == "word" and not _is_control(tokens[i - 1])
                i -= called
            elif tokens[i].kind != "word":
                return -1
            before = tokens[i - 1].text if i else ""
            if before == "template":
                i -= 1
                before = tokens[i - 1].text if i else ""
            if before == "#" and i > 1 and tokens[i - 2].text == "#":  # a ## b, in a macro
                i -= 3
            elif before in ("::", ".", "->"):
                global_name = before == "::" and (i < 2 or not (
                    tokens[i - 2].text == ">" or (tokens[i - 2].kind == "word"
                                                  and tokens[i - 2].text not in _KEYWORDS)))
                if global_name:
                    return i - 1
                i -= 2
            else:
                return i
        return -1

    def _quoted(self, callee: Sequence[Token]) -> str:
        """The name of a kernel as a string. Parameters of a macro are written as #parameter."""
        if not any(t.text in (self._macro or ()) for t in callee):
            return _string(written(callee))
        parts, plain = [], ""
        for token in callee:
            if token.text in (self._macro or ()):
                parts += [_string(plain)] * bool(plain) + [f"#{token.text}"]
                plain = ""
            elif token.text != "#":
                plain += token.text
        return " ".join(parts + [_string(plain)] * bool(plain))

    def _plain_kernel(self, i: int, number: int) -> None:
        """``(const void *)k`` becomes ``k`` where a function of the runtime takes a kernel: the lab
        needs its type.
        """
        i += 1
        if self._tokens[i].text == "<":
            i = max(after_angles(self._tokens, i), i)
        if self._tokens[i].text != "(":
            return
        parts = split(self._tokens[i + 1:matching(self._tokens, i)])
        part = parts[number] if number < len(parts) else []
        texts = [t.text for t in part]
        if texts[:4] == ["(", "void", "*", ")"]:
            end = 4
        elif texts[:5] in (["(", "const", "void", "*", ")"], ["(", "void", "const", "*", ")"]):
            end = 5
        elif texts[:1] in (["reinterpret_cast"], ["static_cast"]):
            end = after_angles(part, 1)
        else:
            return
        self._edit(part[0].start, part[end - 1].end, "")

    # ------------------------------------------------------------------ declarations

    def _statement(self, begin: int) -> int:
        """The index of the semicolon that ends the statement which begins at ``begin``."""
        i = begin
        while i < len(self._tokens) and self._tokens[i].text != ";":
            text = self._tokens[i].text
            if text in CLOSING:
                return i
            i = matching(self._tokens, i) + 1 if text in OPENING else i + 1
        return i

    def _shared(self, i: int) -> int:
        end = self._statement(i)
        found = read_declaration([t for t in self._tokens[self._begin:end]
                                  if t.kind != "directive"])
        if found is None:
            return i + 1
        if "extern" in found.words:
            lines = [self._dynamic(d, found) for d in found.declarators]
        else:
            lines = self._named_body(found)
            for one in found.declarators:
                if one.initial or one.open_ended:
                    self._refuse(self._tokens[i], *_WRONG_SHARED[bool(one.initial)])
                    return end
                lines.append(self._static(one, found))
        semicolon = end < len(self._tokens) and self._tokens[end].text == ";"
        self._replace(self._begin, end if semicolon else end - 1, " ".join(lines))
        self._begin = end + 1
        return end + 1 if semicolon else end

    def _named_body(self, found: Declaration) -> list[str]:
        """A struct that is defined where the shared variable is, under a name of its own."""
        if not found.body:
            return []
        if found.kind.rpartition(" ")[2] in ("", "volatile", "const"):
            name = f"lab_t_{found.declarators[0].name}"
            word, _, rest = found.body.partition("{")
            found.kind = f"{found.kind} {name}".strip()
            found.body = f"{word.strip()} {name} {{{rest}"
        return [f"{found.body};"]

    def _static(self, one: Declarator, found: Declaration) -> str:
        kind = f"{found.kind} {one.form('')}".strip()
        name, label = self._names(one.name)
        return (f"static ::lab::Shared<{kind}> {name}{{{label}, __FILE__, __LINE__}}; "
                f"{found.kind} {one.form(f'(&{one.name})')} = {name}.here();")

    def _dynamic(self, one: Declarator, found: Declaration) -> str:
        """``extern __shared__``: a pointer in a function, an object that becomes one elsewhere."""
        _, label = self._names(one.name)
        if not one.open_ended:
            kind = f"{found.kind} {one.form('')}".strip()
            return (f"{found.kind} {one.form(f'(&{one.name})')} = "
                    f"*::lab::dynamic_shared<{kind}>({label});")
        kind = f"{found.kind} {one.form('', drop_first=True)}".strip()
        if self._scopes[-1].kind == "function":
            extents = len(one.tokens) > one.name_at + 3
            form = one.form(f"(*{one.name})" if extents else f"*{one.name}", drop_first=True)
            return f"{found.kind} {form} = ::lab::dynamic_shared<{kind}>({label});"
        return f"static ::lab::DynamicShared<{kind}> {one.name}{{{label}}};"

    def _names(self, name: str) -> tuple[str, str]:
        """What the object behind a variable is called, and the variable's name as a string."""
        if name in (self._macro or ()):
            return f"lab_s_##{name}", f"#{name}"
        return f"lab_s_{name}", f'"{name}"'

    def _variable(self, i: int) -> int:
        """A variable in the device's memory: after its declaration it is announced."""
        end = self._statement(i)
        if end >= len(self._tokens) or self._tokens[end].text != ";":
            return i + 1
        statement = [t for t in self._tokens[self._begin:end] if t.kind != "directive"]
        if statement[0].text == "template" or any(t.text == "__shared__" for t in statement):
            return i + 1
        found = read_declaration(statement)
        inside = self._scopes[-1].kind
        if found is None or inside in ("class", "other") or "extern" in found.words:
            return i + 1
        if inside == "function" and "static" not in found.words:
            return i + 1
        space = next(s for s in ("managed", "constant", "device") if f"__{s}__" in found.words)
        symbols = "".join(
            f' static ::lab::Symbol lab_y_{one.name}{{(void *)&{one.name}, sizeof {one.name},'
            f' "{one.name}", ::lab::Symbol::{space}, __FILE__, __LINE__}};'
            for one in found.declarators)
        at = self._tokens[end].end
        self._edit(at, at, symbols)
        return i + 1

    def _kernel(self, head: Sequence[Token]) -> None:
        i, template = 0, ""
        while i < len(head) and head[i].text == "template":
            end = after_angles(head, i + 1)
            template = written(head[i + 2:end - 1])
            i = max(end, i + 1)
        marked = next(at for at, t in enumerate(head) if t.text == "__global__")
        for at in range(max(i, marked) + 1, len(head)):
            if head[at].text in _NOT_PARAMETERS:
                continue
            named = head[at - 1].kind == "word" and head[at - 1].text not in _NOT_PARAMETERS
            if head[at].text == "(" and named:
                inside = head[at + 1:matching(head, at)]
                parameters = tuple(p for part in split(inside) if (p := _parameter(part)))
                scope = tuple(s.name for s in self._scopes if s.name)
                self.kernels.append(Kernel(head[at - 1].text, template, parameters, self.path,
                                           self._line(head[at - 1].start), scope))
                return

    # ------------------------------------------------------------------ refusals

    def _refused(self, i: int) -> None:
        token = self._tokens[i]
        following = self._tokens[i + 1].text if i + 1 < len(self._tokens) else ""
        said = f"{token.text}{following if following in ('(', '<', '::') else ' '}"
        tables = [ON_DEVICE] * self._scopes[-1].on_device + [WORDS, SOME]
        for table in tables:
            for pattern, what, instead in table:
                if re.match(pattern, said):
                    self._refuse(token, f"{what} ({token.text})", instead, table is not SOME)
                    return

    def _refuse(self, token: Token, what: str, instead: str, sure: bool = True) -> None:
        sure = sure and all(c.sure for c in self._conditions) and self._macro is None
        line = self._line(token.start)
        quote = self.text.splitlines()[line - 1].strip()
        self.refusals.append(Refusal(what, instead, self.path, line, quote, sure))

    # ------------------------------------------------------------------ positions and edits

    def _line(self, at: int) -> int:
        return self.text.count("\n", 0, at) + 1

    def _edit(self, start: int, end: int, new: str) -> None:
        self._edits.append((start, end, new))

    def _replace(self, first: int, last: int, new: str) -> None:
        """Write ``new`` for some tokens, with as many line ends as there were."""
        start, end = self._tokens[first].start, self._tokens[last].end
        line_end = "\\\n" if self._macro is not None else "\n"
        self._edit(start, end, new + line_end * self.text.count("\n", start, end))


#: Whether a shared variable has an initial value -> what is wrong with it.
_WRONG_SHARED = {
    True: ("initial values of __shared__ variables, nor has CUDA",
           "Declare it, let one thread write it, then __syncthreads()."),
    False: ("__shared__ arrays without an extent",
            "Give it a constant extent, or write extern __shared__ and the third argument of "
            "the launch."),
}


def _is_control(token: Token) -> bool:
    return token.text in ("if", "for", "while", "switch") or token.text in _KEYWORDS


def _string(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _kind_of_brace(head: Sequence[Token]) -> str:
    """What a brace at the level of a file or a class opens, by what stands before it."""
    i = 0
    while i < len(head) and head[i].text == "template":
        i = max(after_angles(head, i + 1), i + 1)
    rest = head[i:]
    texts = [t.text for t in rest]
    if "namespace" in texts or (texts[:1] == ["extern"] and len(rest) == 2):
        return "file"
    depth, called = 0, False
    for token, before in zip(rest, ["", *texts], strict=False):
        if token.text == "(" and depth == 0:
            called |= before not in _NOT_PARAMETERS
        if token.text in "([":
            depth += 1
        elif token.text in ")]":
            depth -= 1
        elif token.text == "=" and depth == 0 and "operator" not in texts:
            return "other"
    if depth > 0:
        return "other"
    if called:
        return "function"
    return "class" if set(texts) & {"struct", "class", "union"} else "other"


def _parameter(part: Sequence[Token]) -> Parameter | None:
    """A parameter from its tokens; None for an empty list, and for ``void``."""
    tokens = list(part)
    default = next((i for i, t in enumerate(tokens) if t.text == "="), len(tokens))
    tokens = [t for t in tokens[:default]
              if t.text not in ("__restrict__", "__restrict", "__grid_constant__")]
    if not tokens or written(tokens) == "void":
        return None
    extents = next((i for i, t in enumerate(tokens) if t.text == "["), len(tokens))
    pointer = " *" if extents < len(tokens) else ""
    tokens = tokens[:extents]
    name = ""
    if len(tokens) > 1 and tokens[-1].kind == "word" and tokens[-1].text not in (
            "int", "float", "double", "char", "long", "short", "unsigned", "bool", "const"):
        name = tokens.pop().text
    kind = re.sub(r"(?<=[\w>])([*&]+)", r" \1", written(tokens)) + pointer
    return Parameter(kind, name)
