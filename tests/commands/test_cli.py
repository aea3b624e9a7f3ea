"""The command line: what it shows on a terminal and to programs, and how it copes with trouble."""

import importlib.util
import json
import math
import os
import shlex
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from shell import MAIN, python, run, words

import etude
from etude.backends import plugins
from etude.commands import PACKAGES, backends, facts, plugin_commands
from etude.core.dispatch import OPS
from etude.core.table import TABLE
from etude.core.tensor import Tensor

# ------------------------------------------------------------------ the program


def test_help_names_every_command_and_gives_examples():
    text = run("--help")
    for command in ("tour", "backends", "ops", "config"):
        assert f"\n  {command} " in text
        assert "Example" in run(command, "--help")
    assert "etude ops softmax" in text
    assert max(map(len, text.splitlines())) <= 80


def test_the_version_is_that_of_the_package():
    assert etude.__version__ in run("--version")


def test_python_m_etude_is_the_same_program():
    done = subprocess.run([sys.executable, "-m", "etude", "--version"], text=True,
                          capture_output=True, check=True)
    assert done.stdout == run("--version")


def test_an_unknown_command_suggests_the_one_that_was_meant():
    text = words(run("backnds", code=2))
    assert "There is no command 'backnds'. Did you mean 'backends'?" in text


@pytest.mark.parametrize("command", ["check", "zoo"])
def test_a_command_of_a_package_that_is_not_installed_names_the_package(alone, command):
    text = words(run(command, "cpu", code=2))
    assert f"'etude {command}' comes with the package etude-check" in text
    assert "pip install etude-check, or in a clone of Etude pip install packages/etude-" in text


def test_every_command_that_names_its_package_is_one_of_that_package():
    if importlib.util.find_spec("etude_check") is None:
        pytest.skip("NOT RUN: needs the package etude-check")
    assert set(PACKAGES) <= set(plugin_commands())


def test_config_finds_the_header():
    folder = Path(run("config", "--include").strip())
    assert (folder / "etude.h").is_file()


@pytest.mark.parametrize("missing", ["click", "rich"])
def test_without_click_or_rich_it_says_what_to_install(missing):
    status, _, told = python(f"import sys; sys.modules[{missing!r}] = None\n" + MAIN)
    assert status == 1
    assert told.strip() == (f"etude: the command line needs click and rich, and {missing} is not "
                            f"installed. Install both with: pip install 'etude[cli]'")


def test_import_etude_imports_neither_click_nor_rich():
    status, _, told = python("import sys, etude; sys.exit(sorted({'click', 'rich', 'matplotlib'} "
                             "& set(sys.modules)) or 0)")
    assert status == 0, told


# ------------------------------------------------------------------ backends


def test_backends_puts_the_reference_first_with_all_ops(alone):
    text = run("backends")
    first = text.splitlines()[2].split()
    assert first[:3] == ["reference", "active", "cpu"]
    assert not alone.backends
    assert "pip install etude-cpu" in text


def test_backends_says_what_is_wrong_with_each_plugin(installed):
    text = run("backends")
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 80
    told = words(text)
    assert "broken: plugin 'raises' 1.5 RuntimeError: boom at import" in told
    assert "broken: plugin 'future' 1.5 backend 'future' is built for op interface 3.0" in told
    assert "this Etude has 2.3; install a newer version of etude" in told
    assert ("broken: plugin 'misspelt' 1.5 there is no hook called 'etude_backend'; known are "
            "etude_backends, etude_commands, etude_teams. Did you mean 'etude_backends'?") in told
    assert ("unavailable: backend 'cardless' of plugin 'cardless' 1.5 no card was found on this "
            "machine") in told
    assert "broken: backend 'explodes' of plugin 'explodes' 1.5 ZeroDivisionError" in told
    good = next(line for line in text.splitlines() if line.startswith("good"))
    assert good.split()[1:4] == ["active", "cpu", "python"]
    assert f" 1/{len(backends.countable())} " in good
    assert "Traceback" not in text
    assert "'etude backends --verbose' shows the traceback" in told


def test_backends_verbose_shows_the_tracebacks(installed):
    text = run("backends", "--verbose")
    assert text.count("Traceback (most recent call last)") == 2
    assert 'raise RuntimeError("boom at import")' in text


def test_backends_json_has_the_same_for_programs(installed):
    found = json.loads(run("backends", "--json"))
    lines = {line["backend"] or line["plugin"]: line for line in found["backends"]}
    assert found["backends"][0]["backend"] == "reference"
    assert set(found["backends"][0]["ops"]) == set(found["ops"])
    states = {"good": "active", "raises": "broken", "future": "broken", "misspelt": "broken",
              "cardless": "unavailable", "explodes": "broken"}
    assert {name: lines[name]["state"] for name in states} == states
    assert lines["good"]["ops"] == {"relu": ["float32", "float64"]}
    assert "boom at import" in lines["raises"]["reason"]
    assert "Traceback" in lines["raises"]["traceback"]
    assert "Did you mean 'etude_backends'?" in lines["misspelt"]["reason"]


def test_a_plugin_outside_the_allow_list_is_blocked(installed, monkeypatch):
    monkeypatch.setenv("ETUDE_PLUGINS", "good")
    plugins.registry(refresh=True)
    told = words(run("backends"))
    assert "blocked: plugin 'raises' 1.5 not in the allow-list ETUDE_PLUGINS" in told
    assert "boom" not in told


def test_broken_plugins_leave_etude_and_the_others_alone(site):
    code = ("import etude\n"
            "with etude.use('good') as chosen, etude.receipt() as receipt:\n"
            "    print(etude.tensor([-1.0, 2.0]).relu().tolist(), receipt.columns())\n"
            "try: etude.use('future')\n"
            "except etude.BackendError as error: print(error)\n")
    status, out, err = python(code, PYTHONPATH=str(site))
    assert status == 0, err
    assert out.startswith("[0.0, 2.0] {'good': 1}\n")
    assert "Plugin 'future' is broken: backend 'future' is built for op interface 3.0" in out


def test_the_installed_program_does_the_same_in_a_process_of_its_own(site):
    status, out, err = python(MAIN, "backends", PYTHONPATH=str(site))
    assert status == 0, err
    assert "Did you mean 'etude_backends'?" in words(out)


# ------------------------------------------------------------------ commands of plugins


def test_a_plugin_adds_a_command(installed):
    assert "Say hello." in run("--help")
    assert run("greet") == "hello from a plugin\n"


def test_a_plugins_command_that_fails_is_laid_at_its_door(installed):
    told = words(run("crash", code=1))
    assert "'crash' comes from the plugin 'good' 1.5, and failed there with KeyError" in told


def test_a_plugin_cannot_take_the_name_of_a_command(installed):
    assert "not this one" not in run("ops", "softmax")


def test_what_is_no_command_costs_a_warning(site):
    status, out, told = python(MAIN, "greet", PYTHONPATH=str(site))
    assert (status, out) == (0, "hello from a plugin\n")
    assert "plugin 'good' offers a command 'ops', but that name is taken; left out" in told
    assert "plugin 'good' offers 'no command' as a command" in told


@pytest.fixture
def trouble(tmp_path):
    """A folder with one plugin whose commands are broken in every way, and one that hangs."""
    sources = {"awkward": """
        import click, etude
        class Sly(click.Command):
            def get_short_help_str(self, limit=45):
                raise RuntimeError("no help")
        class Mute:
            def __repr__(self):
                raise RuntimeError("no repr")
        @click.command()
        @click.option("--n", default=lambda: 1 / 0)
        def parse(n): ...
        @click.command()
        def fine():
            click.echo("fine")
        @etude.hookimpl
        def etude_commands():
            return [Sly("sly"), Mute(), click.Command(None), click.Command(3), click.Command(""),
                    click.Command("number", help=3), None, parse, fine]
    """, "hangs": """
        import time
        time.sleep(600)
    """, "nolist": """
        import etude
        @etude.hookimpl
        def etude_commands():
            raise RuntimeError("no list")
    """}
    for name, source in sources.items():
        (tmp_path / f"etude_test_{name}.py").write_text(textwrap.dedent(source))
        info = tmp_path / f"etude_test_{name}-1.5.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\n")
        (info / "entry_points.txt").write_text(f"[etude]\n{name} = etude_test_{name}\n")
    return {"PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]),
            "ETUDE_PLUGIN_SECONDS": "0.5"}


def test_plugins_in_any_trouble_leave_the_help_and_the_other_commands_alone(trouble):
    status, out, told = python(MAIN, "--help", **trouble)
    assert status == 0
    assert "\n  backends " in out
    assert "\n  fine\n" in out
    assert "Traceback" not in told
    assert told.count("which is no click command with a name; left out") == 4
    assert told.count("whose name is no text; left out") == 1
    assert told.count("whose help fails with ") == 2
    assert python(MAIN, "fine", **trouble)[:2] == (0, "fine\n")
    status, _, told = python(MAIN, "parse", **trouble)
    assert status == 1
    assert "'parse' comes from the plugin 'awkward' 1.5, and failed there with Zero" in told
    status, _, told = python(MAIN, "wanted", **trouble)
    assert status == 2
    assert "(Plugin 'hangs' is broken: TimeLimit: it was stopped when 0.5 s were over." in told
    assert "(Plugin 'nolist' is broken: RuntimeError: no list)" in told
    status, out, told = python(MAIN, "backends", **trouble)
    assert status == 0, told
    assert "broken: plugin 'hangs' 1.5 TimeLimit: it was stopped when 0.5 s" in words(out)


@pytest.mark.parametrize("args", [("--help",), ("backends",), ("ops",), ("backends", "--json")])
@pytest.mark.parametrize("how", [">&-", "2>&-", ">&- 2>&-", "<&-", "| head -c 1 > /dev/null",
                                 "| true", "> /dev/full"])
def test_nobody_listens(args, how):
    """No stdout, no stderr, a pipe whose reader has left, a full disk: no traceback of ours."""
    if "/dev/full" in how and not Path("/dev/full").exists():
        pytest.skip("NOT RUN: this system has no /dev/full")
    command = shlex.join([sys.executable, "-c", MAIN, *args])
    done = subprocess.run(["bash", "-c", f"{command} {how}"], text=True, capture_output=True)
    assert "Traceback" not in done.stderr
    assert "Error" not in done.stderr
    if "full" in how:
        assert done.returncode == 1
        assert done.stderr == ("etude: the output could not be written: No space left on "
                               "device\n")
    else:
        assert done.returncode == 0
        assert done.stderr == ""


# ------------------------------------------------------------------ ops


def test_ops_lists_every_op_under_its_family():
    lines = run("ops").splitlines()
    assert max(map(len, lines)) <= 80
    listed = {line.split()[0] for line in lines if line.startswith("  ")}
    assert listed == set(TABLE)
    assert {op.family for op in TABLE.values()} <= {line.split()[0] for line in lines if line}


def test_ops_says_who_implements_each(installed):
    relu = next(line for line in run("ops").splitlines() if line.startswith("  relu "))
    assert relu.endswith("good")


def test_ops_of_one_family():
    listed = [line.split()[0] for line in run("ops", "--family", "softmax").splitlines()
              if line.startswith("  ")]
    assert listed == ["softmax", "softmax_backward", "log_softmax", "log_softmax_backward"]


def test_a_card_prints_what_etude_h_says_of_the_type():
    text = words(run("ops", "scaled_dot_product_attention"))
    for part in ("mask_kind 0: mask is NULL; 1: bool", "b / count * outer + b % count * inner",
                 "top is 0 where the largest score is infinite"):
        assert part in text


def test_the_card_of_softmax():
    text = run("ops", "softmax")
    for part in (
        "softmax(x, dim=-1)", "y_i = exp(x_i - max x)", "x: float32 or float64", "dim = -1",
        "y may be written over x", "softmax_backward", "10,240 FLOP", "16,384 bytes",
        "x float32[32, 64]", "softmax([nan, 0, ...]) -> [nan, ...]",
        "ops/softmax.py:", "return e / total(e, dim, keepdims=True)",
    ):
        assert part in text, part
    assert "\x1b" not in text


def test_the_card_says_who_has_the_op(installed):
    assert "good yes, f32 f64 (python)" in words(run("ops", "relu"))
    assert "good no: the reference stands in" in words(run("ops", "exp"))


def test_the_source_on_the_card_is_where_it_says():
    source = json.loads(run("ops", "softmax", "--json"))["source"]
    line = Path(source["file"]).read_text().splitlines()[source["line"] - 1]
    assert source["text"].startswith(line)


@pytest.mark.parametrize("name", sorted(TABLE))
def test_every_op_has_a_card_with_an_example_that_costs_what_the_op_says(name):
    op, card = TABLE[name], json.loads(run("ops", name, "--json"))
    assert card["doc"]
    assert run("ops", name)
    if op.cls in ("view", "create"):
        assert card["cost"] is None
        return
    call = facts.example(op)
    assert list(call.arrays) == list(card["cost"]["arrays"])
    assert card["cost"]["flops"] == op.flops(*call.arrays.values(), **call.attrs)
    assert card["cost"]["bytes"] == op.bytes(*call.arrays.values(), **call.attrs)


@pytest.mark.parametrize("name", [op.name for op in TABLE.values() if not op.internal])
def test_an_op_is_differentiable_as_often_as_its_card_says(name):
    op = TABLE[name]
    call = facts.example(op)
    if call is None:
        assert op.cls in ("view", "create")
        return
    inputs = [Tensor(np.full(s.shape, 1 if s.dtype == bool else 0.5, s.dtype),
                     requires_grad=s.dtype.kind == "f") for s in call.arrays.values()]
    y = OPS[name](*inputs, **call.attrs)
    y = y[0] if isinstance(y, tuple) else y  # only the first is differentiable
    if facts.times(op) == 0 and y.requires_grad:
        with pytest.raises(RuntimeError, match=f"backward through '{name}'"):
            y.sum().backward()
        return
    assert y.requires_grad == (facts.times(op) > 0)
    for _ in range(int(min(facts.times(op), 2))):
        first = etude.grad(y.sum(), [t for t in inputs if t.requires_grad][:1], create_graph=True,
                           allow_unused=True)[0]
        if first is None or not first.requires_grad:
            break  # linear: the derivative is a constant
        y = first


def test_a_fused_backward_without_a_rule_ends_the_line():
    assert facts.times(TABLE["softmax_backward"]) == 0
    assert facts.times(TABLE["softmax"]) == math.inf
    assert "softmax in primitives" in facts.differentiable(TABLE["softmax_backward"])


@pytest.fixture
def cube(tmp_path):
    """An op entered from a file of its own; gone again afterwards."""
    path = tmp_path / "cube_family.py"
    path.write_text('"""Cubes."""\nfrom etude.core.table import op\n\n\n'
                    '@op("map", saves="x", flops=lambda x: 2 * x.size)\n'
                    'def cube(x):\n    """y = x^3, elementwise."""\n    return x * x * x\n')
    spec = importlib.util.spec_from_file_location(path.stem, path)
    sys.modules[path.stem] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield
    del TABLE["cube"], sys.modules[path.stem]


def test_a_new_op_has_a_card_with_no_list_edited(cube):
    assert "cube_family  Cubes" in run("ops")
    text = run("ops", "cube")
    assert "y = x^3, elementwise." in text
    assert "4,096 FLOP, at least 16,384 bytes" in text
    assert "return x * x * x" in text


def test_an_op_that_is_not_there_suggests_one_that_is():
    assert "There is no op called 'sofmax'. Did you mean 'softmax'?" in run("ops", "sofmax", code=1)
    assert "There is no op called 'map', but a family" in run("ops", "map", code=1)
    assert "Did you mean 'softmax'?" in run("ops", "--family", "softmx", code=1)
