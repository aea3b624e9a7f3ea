"""Discovery, with distributions made up on the spot: one broken plugin takes down nothing else.

Each test writes modules and their dist-info into a folder of its own and asks a new process.
"""

import json
import os
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import pytest

from etude.backends import plugins

GOOD = """
    import numpy as np
    import etude

    @etude.hookimpl
    def etude_backends():
        def load():
            return etude.Column("{name}", "cpu", {{"exp": lambda x, out=None: x + 41}})
        return [etude.BackendInfo("{name}", "cpu", (2, 0), load)]
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

    def run(self, code, told=None, **env):
        """The JSON that ``code`` prints last, in an environment with nothing of Etude's else.

        What it writes to stderr is added to the list ``told``.
        """
        clean = {k: v for k, v in os.environ.items() if not k.startswith("ETUDE_")}
        clean["PYTHONPATH"] = os.pathsep.join([str(self.folder), *sys.path])
        script = textwrap.dedent(PRELUDE) + textwrap.dedent(code)
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", script],
            env={**clean, **env}, capture_output=True, text=True, timeout=60, cwd=self.folder)
        assert done.returncode == 0, done.stderr
        if told is not None:
            told.append(done.stderr)
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
     """, "there is no hook called 'etude_backend'; known are etude_backends, etude_commands, "
              "etude_teams. Did you mean 'etude_backends'?"),
    "t_strange": ("""
        import etude
        @etude.hookimpl
        def qqqq():
            return []
     """, "there is no hook called 'qqqq'; known are etude_backends, etude_commands, etude_teams"),
    "t_unmarked": ("""
        def etude_backends():
            return []
     """, "the hook 'etude_backends' is not marked with @etude.hookimpl"),
    "t_newer": ("""
        import etude
        @etude.hookimpl
        def etude_backends():
            return [etude.BackendInfo("newer", "cpu", (2, 99), None)]
     """, "backend 'newer' is built for op interface 2.99, this Etude has 2.3; install a newer "
          "version of etude"),
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
    "t_noinfo": ("""
        import etude
        @etude.hookimpl
        def etude_backends():
            return ["noinfo"]
     """, "etude_backends must return a list of BackendInfo, got 'noinfo' in it"),
    "t_interface": ("""
        import etude
        @etude.hookimpl
        def etude_backends():
            return [etude.BackendInfo("interface", "cpu", "1.0", None)]
     """, "backend 'interface': interface must be two numbers such as (2, 3), got '1.0'"),
    "t_noname": ("""
        import etude
        @etude.hookimpl
        def etude_backends():
            return [etude.BackendInfo(None, "cpu", (2, 0), None)]
     """, "a backend is called None"),
    "t_commands": ("""
        import etude
        @etude.hookimpl
        def etude_commands():
            return 3
     """, "TypeError: 'int' object is not iterable"),
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
    "t_typo": ("return etude.Column('typo', 'cpu', {'sofmax': None})", "broken",
               "TypeError: there is no op called 'sofmax'. Did you mean 'softmax'?",
               "BackendError: backend 'typo' is broken: TypeError: there is no op called 'sofmax'"),
    "t_entry": ("return etude.Column('entry', 'cpu', {'exp': 3})", "broken",
                "TypeError: its entry for exp is 3, which cannot be called; it must be a function "
                "of the op's arrays and attributes",
                "BackendError: backend 'entry' is broken: TypeError: its entry for exp is 3"),
    "t_noout": ("return etude.Column('noout', 'cpu', {'exp': lambda x: x}, checks=True)", "broken",
                "TypeError: its entry for exp has no parameter out, and checks=True promises the "
                "full interface: exp(*arrays, out=None, **attrs)",
                "BackendError: backend 'noout' is broken: TypeError: its entry for exp has no"),
    "t_far": ("return etude.Column('far', 'moon', {})", "broken",
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
            return [etude.BackendInfo({name[2:]!r}, "cpu", (2, 0), load)]
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


def test_each_of_two_backends_of_a_plugin_has_its_own_reason(site):
    site.add("t_two", """
        import etude
        def absent(what):
            raise etude.BackendError(f"no {what}")
        @etude.hookimpl
        def etude_backends():
            return [etude.BackendInfo(n, "cpu", (2, 0), lambda n=n: absent(n))
                    for n in ("card", "driver")]
    """)
    lines = site.run("""
        from etude.commands.backends import lines
        error(etude.use, "card")
        error(etude.use, "driver")
        print(json.dumps([[x.backend, x.state, x.reason] for x in lines() if x.plugin == "t_two"]))
    """)
    assert lines == [["card", "unavailable", "no card"], ["driver", "unavailable", "no driver"]]


# ------------------------------------------------------------------ names that two want


def test_two_distributions_with_an_entry_point_of_one_name(site):
    site.add("t_good", GOOD.format(name="second"), dist="t_another")
    plugins, y = site.run("""
        found = [[p.origin, p.state, p.reason] for p in registry().plugins if p.name == "t_good"]
        with etude.use("second"):
            print(json.dumps([found, etude.zeros(1).exp().item()]))
    """)
    assert plugins == [
        ["t_another 1.2.3", "active", ""],
        ["t_good 1.2.3", "broken",
         "the entry point 't_good' of t_good 1.2.3 was not loaded: t_another 1.2.3 has one of that "
         "name and comes first. Rename one, or uninstall one"]]
    assert y == 41


@pytest.mark.parametrize("name", ["t_aaa", "cpu"])
def test_nobody_takes_the_name_of_a_backend_of_ours(site, name):
    """Neither by its own entry point of that name nor by one that is earlier in the alphabet."""
    site.add("cpu", GOOD.format(name="cpu").replace("41", "1"), dist="Etude_CPU")
    site.add(name, GOOD.format(name="cpu"), dist="a_stranger")
    found, y = site.run("""
        found = {p.origin: [p.state, p.reason] for p in registry().plugins}
        with etude.use("cpu"):
            print(json.dumps([found, etude.zeros(1).exp().item()]))
    """)
    assert y == 1
    assert found["Etude_CPU 1.2.3"] == ["active", ""]
    state, reason = found["a_stranger 1.2.3"]
    assert state == "broken"
    assert "Etude_CPU 1.2.3" in reason
    assert "a_stranger 1.2.3" in reason


def test_the_distributions_that_come_first_are_those_of_this_repository():
    root = Path(__file__).parents[2]
    projects = [tomllib.loads(path.read_text())["project"]
                for path in root.glob("p*/*/pyproject.toml")]
    assert projects
    ours = {p["name"] for p in projects if plugins.GROUP in p.get("entry-points", {})}
    assert ours == set(plugins.OWN)


def test_a_damaged_file_of_entry_points_costs_its_own_plugin_only(site):
    site.add("t_damaged", GOOD.format(name="damaged"))
    entries = site.folder / "t_damaged-1.2.3.dist-info" / "entry_points.txt"
    entries.write_text("[etude]\ngarbage\n")
    found = site.run("""
        with etude.use("good"):
            print(json.dumps([[p.name, p.state, p.reason] for p in registry().plugins
                              if p.state != "active"]))
    """)
    (name, state, reason), = found
    assert (name, state) == ("t_damaged", "broken")
    assert reason.startswith("its file entry_points.txt cannot be read: ")


def test_a_distribution_without_metadata_is_loaded_all_the_same(site):
    site.add("t_bare", GOOD.format(name="bare"))
    (site.folder / "t_bare-1.2.3.dist-info" / "METADATA").unlink()
    assert site.run("print(json.dumps(states()))")["t_bare"] == ["active", ""]


# ------------------------------------------------------------------ plugins that misbehave

HOOK = """
    import etude, os, signal, sys, threading, time
    class Own(BaseException):
        pass
    class Mute(Exception):
        def __str__(self):
            raise ValueError("no message")
    def act():
        {body}
    {at_import}
    @etude.hookimpl
    def etude_backends():
        def load():
            {at_load}
            return etude.Column("{name}", "cpu", {{"exp": lambda x, out=None: x + 1}})
        return [etude.BackendInfo("{name}", "cpu", (2, 0), load)]
"""


def acting(name, body, when):
    at_import, at_load = ("act()", "pass") if when == "import" else ("pass", "act()")
    return HOOK.format(name=name, body=body, at_import=at_import, at_load=at_load)


HANGS = {
    "sleep": "time.sleep(600)",
    "loop": "\n        while True: pass",
    "lock": "threading.Event().wait()",
    "child": "__import__('subprocess').run(['sleep', '600'])",
    "deaf": """
        try: time.sleep(600)
        except BaseException: pass
        time.sleep(600)
    """,
}


def all_of(site, bodies, when, code="", **options):
    """name -> (state, reason, traceback, what ``use`` said), with each as a plugin of its own."""
    for name, body in bodies.items():
        site.add(f"t_{name}", acting(name, body, when))
    y, found, *more = site.run(f"""
        said = {{name: error(etude.use, name) for name in {list(bodies)}}}
        with etude.use("good"):
            y = etude.zeros(1).exp().item()
        found = {{p.name[2:]: [p.state, p.reason, p.detail, said[p.name[2:]]]
                 for p in registry().plugins if p.name[2:] in said}}
        more = []
    """ + textwrap.indent(textwrap.dedent(code), " " * 8) + """
        print(json.dumps([y, found, *more]))
    """, **options)
    assert y == 41
    assert set(found) == set(bodies)
    return (found, *more) if more else found


@pytest.mark.parametrize("when", ["import", "load"])
def test_a_plugin_that_hangs_is_stopped_and_named(site, when):
    for name, (state, reason, detail, said) in all_of(
            site, HANGS, when, ETUDE_PLUGIN_SECONDS="0.5").items():
        assert state == "broken", name
        assert reason.startswith("TimeLimit: it was stopped when 0.5 s were over. If it needs "
                                 "longer, set ETUDE_PLUGIN_SECONDS to more")
        assert "in act" in detail
        assert repr(name) in said
        assert "TimeLimit: it was stopped" in said


def test_a_plugin_that_hangs_is_left_behind_in_another_thread(site):
    """And what it offers when it is done after all changes nothing."""
    site.add("t_ill", acting("ill", "time.sleep(1.5)", "import"))
    site.add("t_slow", acting("slow", "time.sleep(1.5)", "load"))
    first, slow, second = site.run("""
        import threading, time
        def ask():
            answers.append(states()["t_ill"])
            answers.append(error(etude.use, "slow"))
        answers = []
        worker = threading.Thread(target=ask)
        worker.start()
        worker.join()
        time.sleep(1.5)
        print(json.dumps([*answers, states()["t_ill"]]))
        assert "ill" not in registry().backends
        assert error(etude.use, "slow") == answers[1]
    """, ETUDE_PLUGIN_SECONDS="0.5")
    assert first == second
    assert first[0] == "broken"
    assert first[1].startswith("TimeLimit: it was stopped when 0.5 s were over")
    assert "TimeLimit" in slow


def test_what_cannot_be_interrupted_is_named_at_least(site):
    """A call in C that no signal ends: here, one for which the signal is blocked."""
    body = ("signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM]); time.sleep(4.5); "
            "signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGALRM])")
    told = []
    all_of(site, {"blocked": body}, "import", told=told, ETUDE_PLUGIN_SECONDS="0.5")
    assert "etude: the plugin 't_blocked' has been loading for more than 0.5 s and" in told[0]


RAISES = {
    "own": ("raise Own('its own kind')", "Own: its own kind"),
    "keyboard": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "generator": ("raise GeneratorExit('odd')", "GeneratorExit: odd"),
    "exit": ("sys.exit(0)", "SystemExit: 0"),
    "mute": ("raise Mute", "Mute"),
}


@pytest.mark.parametrize("when", ["import", "load"])
def test_whatever_a_plugin_raises_is_its_own_trouble(site, when):
    found = all_of(site, {name: body for name, (body, _) in RAISES.items()}, when)
    for name, (state, reason, detail, _) in found.items():
        assert state == "broken", name
        assert reason.startswith(RAISES[name][1])
        assert "in act" in detail


def test_a_real_ctrl_c_while_a_plugin_loads_is_a_ctrl_c(site):
    site.add("t_ill", acting("ill", "os.kill(os.getpid(), signal.SIGINT); time.sleep(9)", "load"))
    assert site.run("""
        import signal
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a background ignores it
        try:
            etude.use("ill")
        except KeyboardInterrupt:
            print(json.dumps("stopped"))
    """) == "stopped"


CHANGES = {
    "chdir": ("os.chdir('/')", "changed the working directory"),
    "close": ("sys.stdout.close()", "closed sys.stdout"),
    "close_fd": ("os.close(1)", "closed or replaced the file descriptor of sys.stdout"),
    "dup": ("os.dup2(os.open(os.devnull, os.O_WRONLY), 1)",
            "closed or replaced the file descriptor of sys.stdout"),
    "devnull": ("sys.stdout = open(os.devnull, 'w')", "replaced sys.stdout"),
    "wrap": ("sys.stdout = __import__('io').TextIOWrapper(sys.stdout.buffer)",
             "replaced sys.stdout"),
    "none": ("sys.stdout = None", "replaced sys.stdout"),
    "stderr": ("sys.stderr.close(); os.close(2)", "closed sys.stderr"),
    "stdin": ("sys.stdin = None", "replaced sys.stdin"),
    "both": ("os.chdir('/'); sys.stderr = None",
             "changed the working directory, replaced sys.stderr"),
}


@pytest.mark.parametrize("when", ["import", "load"])
def test_what_a_plugin_changes_around_it_is_put_back_and_told(site, when):
    """And the plugin is of use all the same."""
    told = []
    found, folder, y = all_of(site, {name: body for name, (body, _) in CHANGES.items()}, when, """
        import gc, os, sys
        gc.collect()
        assert not sys.stdin.closed
        print("on stderr", file=sys.stderr)
        with etude.use("devnull"):
            more = [os.getcwd(), etude.zeros(1).exp().item()]
    """, told=told)
    for name, (state, reason, _, said) in found.items():
        assert reason == f"it {CHANGES[name][1]} while it was loaded; this was put back", name
        assert (state, said) == ("broken", "no error")
    assert (folder, y) == (str(site.folder.resolve()), 1)
    assert "on stderr" in told[0]


def test_a_plugin_may_use_signals_context_variables_and_alarms(site):
    """It runs where its caller does, and finds nothing of the guard afterwards."""
    site.add("t_ill", acting("ill", "", "load").replace("def act():", """
    import contextvars
    from etude.core.random import manual_seed
    mark = contextvars.ContextVar("mark", default=0)
    def act():
        mark.set(7)
        signal.signal(signal.SIGUSR1, lambda *_: None)
        signal.signal(signal.SIGALRM, lambda *_: None)
        assert threading.current_thread() is threading.main_thread()
    """))
    mark, interrupt, alarm, usr1, threads, state = site.run("""
        import signal, sys, threading
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a background ignores it
        etude.use("ill")
        mark = sys.modules["plugin_t_ill_"].mark.get()
        print(json.dumps([
            mark, signal.getsignal(signal.SIGINT) is signal.default_int_handler,
            callable(signal.getsignal(signal.SIGALRM)), callable(signal.getsignal(signal.SIGUSR1)),
            threading.active_count(), states()["t_ill"]]))
    """)
    assert (mark, interrupt, alarm, usr1, threads) == (7, True, True, True, 1)
    assert state == ["active", ""]


@pytest.mark.parametrize("limit", ["soon", "0", "nan", "inf"])
def test_a_time_limit_that_is_none(site, limit):
    states = site.run("print(json.dumps(states()))", ETUDE_PLUGIN_SECONDS=limit)
    assert states["t_good"] == [
        "broken", f"BackendError: ETUDE_PLUGIN_SECONDS={limit} is no time limit: give a number of "
                  f"seconds above 0, or leave it away for 20"]


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
            return [etude.BackendInfo("moonshine", "moon", (2, 0), lambda: etude.Column(
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
