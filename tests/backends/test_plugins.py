"""Discovery, with distributions made up on the spot: one broken plugin takes down nothing else.

Each test writes modules and their dist-info into a folder of its own and asks a new process.
"""

import json
import os
import subprocess
import sys
import textwrap

import pytest

GOOD = """
    import numpy as np
    import etude

    @etude.hookimpl
    def etude_backends():
        def load():
            return etude.Backend("{name}", "cpu", {{"exp": lambda x, out=None: x + 41}})
        return [etude.BackendInfo("{name}", "cpu", (1, 0), load)]
"""


class Site:
    """A folder of distributions, each with one entry point in the group etude."""

    def __init__(self, folder):
        self.folder = folder

    def add(self, name, text, version="1.2.3", target=None, dist=None):
        module = f"plugin_{name}_{dist or ''}"
        (self.folder / f"{module}.py").write_text(textwrap.dedent(text))
        info = self.folder / f"{dist or name}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {dist or name}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[etude]\n{name} = {target or module}\n")

    def run(self, code, **env):
        """The JSON that ``code`` prints last, in an environment with nothing of Etude's else."""
        clean = {k: v for k, v in os.environ.items() if not k.startswith("ETUDE_")}
        clean["PYTHONPATH"] = os.pathsep.join([str(self.folder), *sys.path])
        script = textwrap.dedent(PRELUDE) + textwrap.dedent(code)
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", script],
            env={**clean, **env}, capture_output=True, text=True, timeout=60, cwd=self.folder)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])


PRELUDE = """
    import json
    import etude
    from etude.backends.plugins import registry

    def states():
        return {p.name: [p.state, p.reason] for p in registry().plugins
                if p.name.startswith("t_")}

    def error(fn, *args, **kwargs):
        try:
            fn(*args, **kwargs)
        except Exception as e:
            return f"{type(e).__name__}: {e}"
        return "no error"
"""


@pytest.fixture
def site(tmp_path):
    site = Site(tmp_path)
    site.add("t_good", GOOD.format(name="good"))
    return site


#: entry point -> (module text, state, what its reason contains)
BROKEN = {
    "t_import": ("raise RuntimeError('import went wrong')", "RuntimeError: import went wrong"),
    "t_syntax": ("def (:", "SyntaxError: "),
    "t_missing": ("import nothing_like_that", "ModuleNotFoundError: No module named"),
    "t_exit": ("import sys; sys.exit('not here')", "SystemExit: not here"),
    "t_hook": ("""
        import etude
        @etude.hookimpl
        def etude_backends():
            raise ValueError("in the hook")
     """, "ValueError: in the hook"),
    "t_typo": ("""
        import etude
        @etude.hookimpl
        def etude_backend():
            return []
     """, "there is no hook called 'etude_backend'; known are etude_backends, etude_commands. "
              "Did you mean 'etude_backends'?"),
    "t_strange": ("""
        import etude
        @etude.hookimpl
        def qqqq():
            return []
     """, "there is no hook called 'qqqq'; known are etude_backends, etude_commands"),
    "t_unmarked": ("""
        def etude_backends():
            return []
     """, "the hook 'etude_backends' is not marked with @etude.hookimpl"),
    "t_newer": ("""
        import etude
        @etude.hookimpl
        def etude_backends():
            return [etude.BackendInfo("newer", "cpu", (1, 99), None)]
     """, "backend 'newer' is built for op interface 1.99, this Etude has 1.0; install matching "
          "versions of both"),
    "t_older": ("""
        import etude
        @etude.hookimpl
        def etude_backends():
            return [etude.BackendInfo("older", "cpu", (0, 9), None)]
     """, "built for op interface 0.9"),
    "t_twice": (GOOD.format(name="good"), "the name 'good' is taken by another backend"),
    "t_zreference": (GOOD.format(name="reference"), "the name 'reference' is taken by another"),
    "t_arguments": ("""
        import etude
        @etude.hookimpl
        def etude_backends(device):
            return []
     """, "PluginValidationError: "),
    "t_nolist": ("""
        import etude
        @etude.hookimpl
        def etude_backends():
            return 3
     """, "TypeError: 'int' object is not iterable"),
}


def test_every_way_to_be_broken_leaves_the_others_alone(site):
    for name, (text, _) in BROKEN.items():
        site.add(name, text)
    found = site.run("""
        with etude.use("good"):
            y = etude.zeros(1).exp().item()
        print(json.dumps([y, states()]))
    """)
    y, states = found
    assert y == 41
    assert states.pop("t_good") == ["active", ""]
    assert set(states) == set(BROKEN)
    for name, (_, reason) in BROKEN.items():
        assert states[name][0] == "broken", name
        assert reason in states[name][1], name


@pytest.mark.parametrize("name", ["t_import", "t_hook", "t_exit"])
def test_a_broken_plugin_keeps_its_traceback(site, name):
    site.add(name, BROKEN[name][0])
    detail, version = site.run(f"""
        p = next(p for p in registry().plugins if p.name == {name!r})
        print(json.dumps([p.detail, p.version]))
    """)
    assert "Traceback" in detail
    assert f"plugin_{name}_" in detail
    assert version == "1.2.3"


def test_importing_etude_loads_no_plugin(site):
    site.add("t_import", "import pathlib; pathlib.Path('loaded').touch()")
    site.run("print(json.dumps(etude.ones(2).exp().sum().item() > 0))")
    assert not (site.folder / "loaded").exists()
    site.run("print(json.dumps(states()))")
    assert (site.folder / "loaded").exists()


LOADS = {
    "t_absent": ("raise etude.BackendError('no such card: have you a driver?')", "unavailable",
                 "no such card: have you a driver?",
                 "BackendError: backend 'absent' is unavailable: no such card: have you a driver?"),
    "t_crash": ("1 / 0", "broken", "ZeroDivisionError: division by zero",
                "BackendError: backend 'crash' is broken: ZeroDivisionError: division by zero. "
                "'etude "
                "backends' shows more"),
    "t_none": ("return None", "broken", "TypeError: load() must return a Column, got NoneType",
               "BackendError: backend 'none' is broken: TypeError: load() must return a Column"),
    "t_exit": ("raise SystemExit(2)", "broken", "SystemExit: 2",
               "BackendError: backend 'exit' is broken: SystemExit: 2. 'etude backends' shows"),
    "t_typo": ("return etude.Backend('typo', 'cpu', {'sofmax': None})", "broken",
               "TypeError: there is no op called 'sofmax'. Did you mean 'softmax'?",
               "BackendError: backend 'typo' is broken: TypeError: there is no op called 'sofmax'"),
    "t_far": ("return etude.Backend('far', 'moon', {})", "broken",
              "TypeError: load() made a Column for 'moon', announced for 'cpu'",
              "BackendError: backend 'far' is broken: TypeError: load() made a Column for 'moon'"),
}


@pytest.mark.parametrize("name", LOADS)
def test_a_backend_that_does_not_load_says_why_each_time(site, name):
    body, state, reason, words = LOADS[name]
    site.add(name, f"""
        import etude
        @etude.hookimpl
        def etude_backends():
            def load():
                open("loads", "a").write("x")
                {body}
            return [etude.BackendInfo({name[2:]!r}, "cpu", (1, 0), load)]
    """)
    before, first, second, after = site.run(f"""
        before = states()[{name!r}]
        first = error(etude.use, {name[2:]!r})
        second = error(etude.use, {name[2:]!r})
        etude.set_default_backend("good")
        print(json.dumps([before, first, second, states()[{name!r}]]))
    """)
    assert before == ["active", ""]
    assert words in first
    assert second == first
    assert after == [state, reason]
    assert (site.folder / "loads").read_text() == "x"


def test_two_distributions_with_an_entry_point_of_one_name(site):
    site.add("t_good", GOOD.format(name="second"), dist="t_another")
    states = site.run("""
        print(json.dumps(sorted([p.state, p.reason.partition(":")[0]] for p in registry().plugins
                         if p.name == "t_good")))
    """)
    assert states == [["active", ""], ["broken", "ValueError"]]


def test_the_allow_list(site):
    site.add("t_other", GOOD.format(name="other"))
    ask = "print(json.dumps([states(), error(etude.use, 'good'), error(etude.use, 'other')]))"
    states, good, other = site.run(ask, ETUDE_PLUGINS=" t_other ,t_third")
    blocked = ["blocked", "not in the allow-list ETUDE_PLUGINS"]
    assert states == {"t_good": blocked, "t_other": ["active", ""]}
    assert "there is no backend 'good'" in good
    assert "Plugin 't_good' is blocked: not in the allow-list ETUDE_PLUGINS" in good
    assert other == "no error"
    states, *_ = site.run(ask, ETUDE_PLUGINS="")
    assert states == {"t_good": blocked, "t_other": blocked}


def test_the_environment_chooses_the_default_backend(site):
    ask = """
        def first():
            return etude.zeros(1).exp().item()
        print(json.dumps([error(first), first() if error(first) == "no error" else None]))
    """
    assert site.run(ask) == ["no error", 1]
    assert site.run(ask, ETUDE_BACKEND="good") == ["no error", 41]
    assert site.run(ask, ETUDE_BACKEND=" good , reference") == ["no error", 41]
    words, _ = site.run(ask, ETUDE_BACKEND="goood")
    assert words.startswith("BackendError: there is no backend 'goood'; known are reference, ")
    assert "Did you mean 'good'?" in words


def test_an_unknown_backend_tells_which_plugins_are_not_well(site):
    site.add("t_import", BROKEN["t_import"][0])
    words = site.run("print(json.dumps(error(etude.use, 'moonshine')))")
    assert "there is no backend 'moonshine'; known are reference" in words
    assert "Plugin 't_import' is broken: RuntimeError: import went wrong" in words


def test_a_device_gets_its_first_backend_by_itself(site):
    site.add("t_moon", """
        import etude
        import numpy as np
        from etude.core.array import DeviceArray

        def upload(x):
            return DeviceArray(x.copy(), "moon", x.shape, x.dtype)

        @etude.hookimpl
        def etude_backends():
            return [etude.BackendInfo("moonshine", "moon", (1, 0), lambda: etude.Backend(
                "moonshine", "moon", {}, upload=upload, download=lambda a: np.array(a.buffer)))]
    """)
    found = site.run("""
        x = etude.tensor([1.0, 2.0]).to("moon")
        print(json.dumps([x.device, x.tolist(), etude.current("moon").stack[0].name]))
    """)
    assert found == ["moon", [1, 2], "moonshine"]


def test_commands_are_gathered(site):
    site.add("t_command", """
        import etude
        @etude.hookimpl
        def etude_commands():
            return ["a command"]
    """)
    found = site.run("""
        print(json.dumps([p.commands for p in registry().plugins if p.name == "t_command"]))
    """)
    assert found == [["a command"]]
