"""Runs the command line: in this process, or in one of its own."""

import os
import subprocess
import sys

from click.testing import CliRunner

from etude.commands import etude as program


def run(*args, code=0):
    result = CliRunner().invoke(program, args, prog_name="etude")
    assert result.exit_code == code, result.output
    return result.output


def words(text):
    """The text without its line breaks, which depend on the width."""
    return " ".join(text.split())


def python(code, *args, **env):
    """Run Python code in a process of its own: (status, stdout, stderr)."""
    done = subprocess.run([sys.executable, "-c", code, *args], text=True, capture_output=True,
                          env={**os.environ, **env}, check=False)
    return done.returncode, done.stdout, done.stderr


MAIN = "import sys; from etude.__main__ import main; sys.argv = ['etude', *sys.argv[1:]]; main()"
