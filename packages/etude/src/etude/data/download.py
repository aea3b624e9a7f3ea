"""Downloads of the files of a data set: only when asked for, checked, and never half there.

pooch (the extra ``etude[download]``) does the work: it writes to a temporary file, compares the
SHA-256, and only then gives the file its name. ``cache_folder`` says where files are kept.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from etude.data.files import bar, naming, user_cache

TIMEOUT = 30  # seconds without a byte from the server
CHUNK = 1 << 16  # bytes between two updates of the bar
AS_IT_IS = {"Accept-Encoding": "identity"}  # a .gz must not be unpacked on the way


def cache_folder(name: str) -> Path:
    """Where the files of data set ``name`` are kept: $ETUDE_DATA/name, else the user's cache."""
    root = os.environ.get("ETUDE_DATA")
    return Path(root) / name if root else user_cache() / name


def fetch(title: str, files: Mapping[str, tuple[int, str]], mirrors: Sequence[str], folder: Path,
          progress: bool = True) -> None:
    """Bring ``files``, name -> (bytes, SHA-256), into ``folder``, from the first of the
    ``mirrors`` (addresses that end in "/") that has them whole. Files that are there already are
    checked, and fetched again if they are not what they should be.

    Raises ImportError without pooch, ConnectionError if no mirror gives a file, ValueError if
    what one gives has the wrong checksum. Then the file is not in ``folder``.
    """
    try:
        import pooch  # type: ignore[import-untyped, unused-ignore]
    except ImportError:
        raise ImportError(f"downloading {title} needs pooch: pip install 'etude[download]'"
                          ) from None
    pooch.get_logger().setLevel("ERROR")
    folder.mkdir(parents=True, exist_ok=True)
    for name, (size, sha256) in files.items():
        path = folder / name
        if _sha256(path) == sha256:
            continue
        path.unlink(missing_ok=True)
        with bar(f"{title}: {name}", size, progress, of_bytes=True) as advance:
            _from_mirrors(title, path, sha256, mirrors, advance)


def _from_mirrors(title: str, path: Path, sha256: str, mirrors: Sequence[str],
                  advance: Callable[[float], None]) -> None:
    import pooch  # type: ignore[import-untyped, unused-ignore]
    import requests  # type: ignore[import-untyped, unused-ignore]

    def download(url: str, target: str, _: Any) -> None:
        # Unlike pooch's own download this closes the connection after an error, and counts bytes.
        with requests.get(url, stream=True, timeout=TIMEOUT, headers=AS_IT_IS) as response:
            response.raise_for_status()
            with naming(path), open(target, "wb") as file:
                for chunk in response.iter_content(CHUNK):
                    file.write(chunk)
                    advance(len(chunk))

    problems: list[tuple[str, Exception]] = []
    for mirror in mirrors:
        try:
            pooch.retrieve(mirror + path.name, f"sha256:{sha256}", fname=path.name,
                           path=path.parent, downloader=download)
            return
        except (requests.RequestException, ValueError) as e:
            problems.append((mirror, e))
    told = "\n".join(f"  {mirror}{path.name}: {_short(e)}" for mirror, e in problems)
    network = all(isinstance(e, requests.RequestException) for _, e in problems)
    kind = ConnectionError if network else ValueError
    raise kind(f"{title}: no mirror gave {path.name} as it should be:\n{told}\nNothing was kept. "
               f"Check the network and try again, or put the file into {path.parent} by hand")


def _short(error: Exception) -> str:
    """What an error says, on one line; requests wraps the cause in errors of its own."""
    inner = error.args[0] if error.args else None
    cause = getattr(inner, "reason", None) or error
    text = " ".join(str(cause).split())
    return text if len(text) <= 200 else text[:200] + " ..."


def _sha256(path: Path) -> str | None:
    import hashlib  # here, so that import etude stays quick

    if not path.is_file():
        return None
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
