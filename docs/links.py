"""Links that lead nowhere: in the Markdown files of the repository, and in the built pages.

``conf.py`` looks at the built pages when they are finished, tests/docs at the Markdown. Both look
at links inside alone: whether another site still has a page is not to decide whether a build
passes.
"""

import re
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

CODE = re.compile(r"^(`{3,}|~{3,}).*?^\1[`~]*$|`[^`\n]*`", re.S | re.M)
LINK = re.compile(r"\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.M)
LABEL = re.compile(r"^\(([\w-]+)\)=$", re.M)


def in_markdown(path: Path, written: Mapping[Path, str] | None = None) -> Iterator[str]:
    """The links of a Markdown file that lead nowhere. ``written`` are pages that a build writes,
    with their text: they count as there.
    """
    made = written or {}
    for link in LINK.findall(CODE.sub("", path.read_text())):
        parts = urlsplit(link)
        if parts.scheme or parts.netloc:
            continue
        target = (path.parent / unquote(parts.path)).resolve() if parts.path else path.resolve()
        text = made.get(target)
        if (text is None and not target.exists()) or (parts.fragment and target.suffix == ".md"
              and unquote(parts.fragment) not in anchors(text or target.read_text())):
            yield link


def anchors(text: str) -> set[str]:
    """What a # may name in a Markdown text: its headings, as GitHub writes them, and its labels."""
    found = set(LABEL.findall(text))
    for heading in HEADING.findall(re.sub(r"^(`{3,}).*?^\1$", "", text, flags=re.S | re.M)):
        words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower().replace(" ", "-")
        slug, n = re.sub(r"[^\w-]", "", words), 0
        while slug + (f"-{n}" if n else "") in found:
            n += 1
        found.add(slug + (f"-{n}" if n else ""))
    return found


class _Page(HTMLParser):
    """The links of a page, and the places in it that links may name."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.places = {"", "top"}
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" or (name == "name" and tag == "a"):
                self.places.add(value or "")
            elif name in ("href", "src", "xlink:href") and value:
                self.links.append(value)


def in_pages(folder: Path) -> Iterator[str]:
    """"page: link" for each link of the built pages in ``folder`` that leads nowhere."""
    folder = folder.resolve()
    pages = {path: _Page(path) for path in sorted(folder.rglob("*.html"))}
    for path, page in pages.items():
        for link in dict.fromkeys(page.links):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            # The pages of sources link back to objects that some page shows without a place.
            place = "" if "_modules" in path.parts else unquote(parts.fragment)
            if not target.is_file() or (target in pages and place not in pages[target].places):
                yield f"{path.relative_to(folder)}: {link}"
