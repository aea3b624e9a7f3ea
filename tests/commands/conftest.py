"""Installed plugins, good ones and others in trouble, for the files here; they share shell.py."""

import importlib.util
import sys
import textwrap
from pathlib import Path

import pytest

from etude.backends import plugins

sys.path.insert(0, str(Path(__file__).parent))

PLUGINS = {
    "good": """
        import click, etude
        import numpy as np
        @etude.implements("relu")
        def relu(x):
            return np.maximum(x, 0)
        @etude.hookimpl
        def etude_backends():
            def load():
                return etude.Backend("good", "cpu", {"relu": lambda x, out=None: relu(x)},
                                     isa="python", dtypes={"relu": ("float32", "float64")})
            return [etude.BackendInfo("good", "cpu", (2, 0), load)]
        @etude.hookimpl
        def etude_commands():
            @click.command()
            def greet():
                "Say hello."
                click.echo("hello from a plugin")
            @click.command()
            def crash():
                raise KeyError("lost")
            @click.command()
            def ops():
                click.echo("not this one")
            return [greet, crash, ops, "no command"]
    """,
    "raises": """
        raise RuntimeError("boom at import")
    """,
    "future": """
        import etude
        @etude.hookimpl
        def etude_backends():
            return [etude.BackendInfo("future", "cpu", (3, 0), None)]
    """,
    "misspelt": """
        import etude
        @etude.hookimpl
        def etude_backend():
            return []
    """,
    "cardless": """
        import etude
        @etude.hookimpl
        def etude_backends():
            def load():
                raise etude.BackendError("no card was found on this machine")
            return [etude.BackendInfo("cardless", "card", (2, 0), load)]
    """,
    "explodes": """
        import etude
        @etude.hookimpl
        def etude_backends():
            def load():
                return 1 / 0
            return [etude.BackendInfo("explodes", "cpu", (2, 0), load)]
    """,
}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder of installed plugins, as pip would leave them: one good, the others in trouble."""
    folder = tmp_path_factory.mktemp("site")
    for name, source in PLUGINS.items():
        (folder / f"etude_test_{name}.py").write_text(textwrap.dedent(source))
        info = folder / f"etude_test_{name}-1.5.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: etude-test-{name}\n"
                                       f"Version: 1.5\n")
        (info / "entry_points.txt").write_text(f"[etude]\n{name} = etude_test_{name}\n")
    return folder


@pytest.fixture
def installed(site, monkeypatch):
    """These plugins, in this process."""
    monkeypatch.syspath_prepend(site)
    monkeypatch.setenv("ETUDE_PLUGINS", ",".join(PLUGINS))
    importlib.invalidate_caches()
    yield plugins.registry(refresh=True)
    monkeypatch.undo()
    for name in PLUGINS:
        sys.modules.pop(f"etude_test_{name}", None)
    importlib.invalidate_caches()
    plugins.registry(refresh=True)


@pytest.fixture
def alone(monkeypatch):
    """No plugin at all."""
    monkeypatch.setattr(plugins, "entry_points", lambda group: [])
    yield plugins.registry(refresh=True)
    monkeypatch.undo()
    plugins.registry(refresh=True)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder with small runs to train and to tune; the test is in it."""
    from runs_cases import write

    monkeypatch.chdir(tmp_path)
    write()
    return tmp_path
