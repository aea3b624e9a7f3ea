"""Hand-ins as a class makes them: solutions, starters, named mistakes, small ones, loops, crashes.

``write`` makes a folder of them for any assignment that has a solution. What each is stands in
``Made``, with what it has to earn where that is known.
"""

import ast
import random
import re
import zipfile
from dataclasses import dataclass, replace

from etude_course.source import parameters
from etude_course.source.regions import solution as without_marks

#: What a small change makes of an operator. A boundary (< for <=) is left where it is: in most
#: answers that changes nothing.
OPERATORS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
             ast.Lt: ast.Gt, ast.LtE: ast.GtE, ast.Gt: ast.Lt, ast.GtE: ast.LtE,
             ast.Eq: ast.NotEq}
C_CHANGES = ((" + ", " - "), (" - ", " + "), (" * ", " + "), ("= 0;", "= 1;"),
             ("i++", "i += 2"), ("expf(", "expm1f("), (" / ", " * "))
HANG = "while True:\n    pass\n"
CRASHES = ("import os\nos._exit(0)\n", "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n",
           "raise SystemExit(0)\n", "import sys\nsys.setrecursionlimit(10**8)\ndef f(): f()\nf()\n")


@dataclass(frozen=True)
class Made:
    """A hand-in. ``loses`` are the ids of the checks it fails, where that is known."""

    student: str
    kind: str
    files: dict
    loses: tuple | None = None


def class_for(source, size, seed=0, hang=0.05, crash=0.05):
    """``size`` hand-ins: a fifth solutions, a tenth starters, the rest mistakes."""
    rng = random.Random(seed)
    a = source.assignment
    untimed = [c.id for c in a.checks if c.kind != "speed"]
    main = a.files[0]
    solved = source.solutions()
    python = {main: solved[main]}
    also = [n for n in a.sources if n not in a.files]
    small = [m for m in mutations(source, main) if m != solved[main]]
    rng.shuffle(small)
    made = []
    for n in range(size):
        student, place = f"s{n:03}", n % 20
        if place < 3:
            made.append(Made(student, "solution", python, ()))
        elif place == 3 and also:
            made.append(Made(student, "solution in C", only_in(source, main, also[0]), ()))
        elif place < 6:
            made.append(Made(student, "starter", {main: source.starters()[main]},
                             tuple(untimed)))
        elif place < 12:
            mutant = a.mutants[n % len(a.mutants)]
            files = source.mutated(mutant)
            kept = {k: files[k] for k in {main, mutant.file}}
            made.append(Made(student, f"mutant {mutant.name}", kept, mutant.loses))
        elif place == 12 and also:
            made.append(Made(student, "changed C", {**only_in(source, main, also[0]),
                                                    also[0]: changed_c(source, also[0], rng)}))
        elif place < 18:
            made.append(Made(student, "changed", {main: small[n % len(small)]}))
        elif n % 2:
            made.append(Made(student, "hanging", {main: inside(source, main, HANG, rng)}))
        else:
            made.append(Made(student, "crashing", {main: inside(
                source, main, rng.choice(CRASHES), rng)}))
    return [rendered(a, each) for each in made]


def rendered(a, each):
    """With the student's own parameters in place."""
    values = parameters.drawn(a, "", each.student)
    return replace(each, files={name: parameters.render(text, values, name)
                                for name, text in each.files.items()})


def only_in(source, main, other):
    """The solution with the questions that may be answered in ``other`` answered there alone."""
    text = source.solutions()[main]
    tree = ast.parse(text)
    c_ops = set(re.findall(r"etude_(\w+?)_f32", source.solved(other)))
    lines = text.splitlines(keepends=True)
    for node in [n for n in reversed(tree.body) if isinstance(n, ast.FunctionDef)]:
        if node.name in c_ops:
            first = min([d.lineno for d in node.decorator_list] + [node.lineno])
            del lines[first - 1:node.end_lineno]
    return {main: "".join(lines), other: source.solutions()[other]}


def changed_c(source, name, rng):
    """The solution in C with one small change in a marked region."""
    text = source.solved(name)
    first, last = text.index("BEGIN SOLUTION"), text.index("END SOLUTION")
    old, new = rng.choice([c for c in C_CHANGES if c[0] in text[first:last]])
    inner = text[first:last].replace(old, new, 1)
    return without_marks(text[:first] + inner + text[last:], name)


def functions(source, main):
    return [n for n in ast.walk(ast.parse(source.solutions()[main]))
            if isinstance(n, ast.FunctionDef)]


def inside(source, main, code, rng):
    """The solution, one of whose functions begins with ``code``."""
    node = rng.choice(functions(source, main))
    lines = source.solutions()[main].splitlines(keepends=True)
    body = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
    pad = " " * body.col_offset
    lines.insert(body.lineno - 1, "".join(f"{pad}{line}\n" for line in code.splitlines()))
    return "".join(lines)


def mutations(source, main):
    """Every small change of the marked regions: an operator, a number, a statement left out."""
    text = source.solved(main)
    regions = [(text[:m.start()].count("\n") + 1, text[:m.end()].count("\n") + 1)
               for m in re.finditer(r"BEGIN SOLUTION.*?END SOLUTION", text, re.S)]
    count = len(list(ast.walk(ast.parse(text))))
    for place in range(count):
        for variant in range(2):
            tree = ast.parse(text)
            node = list(ast.walk(tree))[place]
            line = getattr(node, "lineno", 0)
            if any(first < line < last for first, last in regions) and change(node, variant):
                yield ast.unparse(tree) + "\n"


def change(node, variant):
    """Change a node in place; whether that was done."""
    if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS and not variant:
        node.op = OPERATORS[type(node.op)]()
    elif isinstance(node, ast.Compare) and type(node.ops[0]) in OPERATORS and not variant:
        node.ops[0] = OPERATORS[type(node.ops[0])]()
    elif isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        if isinstance(node.value, bool):
            node.value = not node.value
        else:
            node.value = -(node.value + 1) if variant or not node.value else 0
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and not variant:
        node.op = ast.UAdd()
    elif isinstance(node, ast.Return) and node.value is not None and not variant:
        node.value = ast.BinOp(node.value, ast.Mult(), ast.Constant(-2))
        ast.fix_missing_locations(node)
    elif isinstance(node, ast.AugAssign) and type(node.op) in OPERATORS and not variant:
        node.op = OPERATORS[type(node.op)]()
    else:
        return False
    return True


def write(folder, made):
    """The hand-ins as files, folders and archives, in turn."""
    folder.mkdir(parents=True, exist_ok=True)
    for n, each in enumerate(made):
        if n % 3 == 0 and len(each.files) == 1:
            [(name, text)] = each.files.items()
            (folder / f"{each.student}_{name}").write_text(text)
        elif n % 3 == 1:
            with zipfile.ZipFile(folder / f"{each.student}.zip", "w") as archive:
                for name, text in each.files.items():
                    archive.writestr(f"work/{name}", text)
        else:
            (folder / each.student).mkdir()
            for name, text in each.files.items():
                (folder / each.student / name).write_text(text)


def roster(made):
    return "id,name\n" + "".join(f"{m.student},Person {m.student}\n" for m in made)


