"""Downloads: checked, never half there, and honest about what went wrong. Served from here."""

import hashlib
import http.server
import importlib
import os
import resource
import signal
import subprocess
import sys
import threading
import time

import pytest

from etude.data.download import cache_folder, fetch
from etude.data.mnist import mnist

NAME = "data.bin"
CONTENT = bytes(range(256)) * 2000
SHA256 = hashlib.sha256(CONTENT).hexdigest()

#: The module, whose name in etude.data is that of its function.
module = importlib.import_module("etude.data.mnist")


class Server:
    """A server of the loopback address. ``files``: path -> bytes; what it was asked for is in
    ``asked``. With ``cut`` it breaks off after so many bytes, with ``slow`` it waits there.
    """

    def __init__(self):
        self.files, self.asked, self.cut, self.slow = {}, [], None, threading.Event()
        self.slow.set()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked.append(self.path)
                body = outer.files.get(self.path)
                self.send_response(404 if body is None else 200)
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                self.wfile.write((body or b"")[: outer.cut])
                self.wfile.flush()
                outer.slow.wait(30)

            def log_message(self, *args):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_port}/"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()


@pytest.fixture
def server(pooch, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    found = Server()
    yield found
    found.slow.set()
    found.http.shutdown()
    found.http.server_close()


def get(server, folder, *mirrors, sha256=SHA256):
    fetch("The set", {NAME: (len(CONTENT), sha256)},
          [server.url + m for m in mirrors or [""]], folder, progress=False)


def listing(folder):
    return sorted(p.name for p in folder.iterdir())


def test_a_file_arrives_whole_and_is_not_fetched_twice(server, tmp_path):
    server.files["/" + NAME] = CONTENT
    get(server, tmp_path / "new" / "folder")
    get(server, tmp_path / "new" / "folder")
    assert (tmp_path / "new" / "folder" / NAME).read_bytes() == CONTENT
    assert listing(tmp_path / "new" / "folder") == [NAME]
    assert server.asked == ["/" + NAME]


def test_a_damaged_file_that_is_there_is_fetched_again(server, tmp_path):
    server.files["/" + NAME] = CONTENT
    (tmp_path / NAME).write_bytes(CONTENT[:1000])
    get(server, tmp_path)
    assert (tmp_path / NAME).read_bytes() == CONTENT


def test_the_next_mirror_is_asked_when_one_fails(server, tmp_path):
    server.files["/second/" + NAME] = CONTENT
    get(server, tmp_path, "first/", "second/")
    assert server.asked == ["/first/" + NAME, "/second/" + NAME]
    assert listing(tmp_path) == [NAME]


def test_half_a_download_is_an_error_and_nothing_is_kept(server, tmp_path):
    server.files["/" + NAME] = CONTENT
    server.cut = len(CONTENT) // 2
    with pytest.raises(ConnectionError, match="The set: no mirror gave data"):
        get(server, tmp_path)
    assert listing(tmp_path) == []


def test_other_content_is_an_error_and_nothing_is_kept(server, tmp_path):
    server.files["/" + NAME] = b"<html>please log in</html>"
    with pytest.raises(ValueError, match=r"(?s)no mirror gave data.bin.*SHA256 hash .* does not "
                                         r"match.*Nothing was kept. Check the network and try"):
        get(server, tmp_path)
    assert listing(tmp_path) == []


def test_a_server_without_the_file_or_no_server_at_all(server, tmp_path):
    with pytest.raises(ConnectionError, match="404 Client Error"):
        get(server, tmp_path)
    server.http.shutdown()
    server.http.server_close()
    with pytest.raises(ConnectionError, match=r"(?s)refused.*by hand$") as error:
        get(server, tmp_path)
    assert f"put the file into {tmp_path} by hand" in str(error.value)
    assert listing(tmp_path) == []


def test_killed_in_the_middle_no_file_has_the_name(server, tmp_path):
    server.files["/" + NAME] = CONTENT
    server.cut = 300_000
    server.slow.clear()  # it sends 300,000 bytes, and then nothing
    code = (f"from etude.data.download import fetch; from pathlib import Path; "
            f"fetch('x', {{{NAME!r}: (1, {SHA256!r})}}, [{server.url!r}], "
            f"Path({str(tmp_path)!r}), False)")
    process = subprocess.Popen([sys.executable, "-c", code])
    try:
        end = time.time() + 30
        while time.time() < end and not any(p.stat().st_size for p in tmp_path.iterdir()):
            time.sleep(0.01)
        assert any(p.stat().st_size for p in tmp_path.iterdir()), "the download never began"
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert NAME not in listing(tmp_path)
    server.cut = None
    server.slow.set()
    get(server, tmp_path)
    assert (tmp_path / NAME).read_bytes() == CONTENT


def test_without_pooch_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(ImportError, match=r"The set needs pooch: pip install 'etude\[d"):
        fetch("The set", {NAME: (1, SHA256)}, ["http://127.0.0.1:1/"], tmp_path / "no")
    assert not (tmp_path / "no").exists()


def test_the_cache_is_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("ETUDE_DATA", str(tmp_path))
    assert cache_folder("x") == tmp_path / "x"
    monkeypatch.delenv("ETUDE_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "c"))
    assert cache_folder("x") == tmp_path / "c" / "etude" / "x"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder("x") == tmp_path / ".cache" / "etude" / "x"


def test_a_data_set_is_downloaded_when_asked_and_repaired(server, tmp_path, monkeypatch):
    from idx_files import write_four

    files = write_four(tmp_path / "served")
    server.files = {"/" + name: data for name, data in files.items()}
    known = {name: (len(data), hashlib.sha256(data).hexdigest()) for name, data in files.items()}
    monkeypatch.setattr(module, "MNIST",
                        module.MNIST._replace(files=known, mirrors=(server.url,)))
    monkeypatch.setenv("ETUDE_DATA", str(tmp_path / "cache"))
    with pytest.raises(FileNotFoundError, match="no such folder"):
        mnist()
    assert server.asked == []  # the network is used only when asked
    train, test = mnist(download=True, progress=False)
    assert (len(train), len(test)) == (20, 8)
    assert len(mnist(split="test")) == 8
    assert len(server.asked) == 4

    damaged = tmp_path / "cache" / "mnist" / "train-labels-idx1-ubyte.gz"
    damaged.write_bytes(damaged.read_bytes()[:20])
    with pytest.raises(ValueError, match="half a download"):
        mnist()
    assert len(mnist(download=True, progress=False)[0]) == 20
    assert server.asked[4:] == ["/train-labels-idx1-ubyte.gz"]


def test_the_bar_shows_the_bytes_on_a_terminal(server, tmp_path, monkeypatch):
    import io

    rich = pytest.importorskip("rich.console", reason="NOT RUN: needs the package rich")
    terminal = rich.Console(file=io.StringIO(), force_terminal=True, width=100)
    monkeypatch.setattr(rich, "Console", lambda **_: terminal)
    server.files["/" + NAME] = CONTENT
    fetch("The set", {NAME: (len(CONTENT), SHA256)}, [server.url], tmp_path)
    assert "The set: data.bin" in terminal.file.getvalue()
    assert "512.0/512.0 kB" in terminal.file.getvalue()


def test_a_disk_that_fills_up_is_named_with_the_file_and_keeps_nothing(server, tmp_path):
    server.files["/" + NAME] = CONTENT
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(OSError, match=f"'{tmp_path / NAME}'"):
            get(server, tmp_path, "", "")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert listing(tmp_path) == []
