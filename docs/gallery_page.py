"""Writes what the page "The gallery" shows, from the front matter of the chapters: a time line of
the systems, and what each chapter shows.
"""

import textwrap
from html import escape

from etude import gallery
from op_pages import replace

WIDTH, LEFT = 400, 92  # of the picture; where the names begin
LETTERS = 39  # that fit between there and the right edge, in a wide font too
TOP, LINE, GAP = 14, 18, 16  # the first row, a line of text, what lies between two rows
YEAR = 34  # the right edge of the years

STYLE = """
  .g-name { font: 600 16px var(--font-stack, sans-serif);
            fill: var(--color-brand-content, #0a4bff); }
  .g-say { font: 14px var(--font-stack, sans-serif);
           fill: var(--color-foreground-secondary, #5a5c63); }
  .g-year { font: 13px var(--font-stack, sans-serif); fill: var(--color-foreground-muted, #6b6f76);
            text-anchor: end; }
  .g-line { stroke: var(--color-foreground-muted, #6b6f76); fill: none; stroke-width: 1.2; }
  .g-lead { stroke: var(--color-foreground-border, #878787); fill: none; stroke-width: 1;
            stroke-opacity: .6; }
  .g-dot { fill: var(--color-brand-primary, #0a4bff); }
"""


def write(folder):
    """``gallery.svg`` and ``gallery_list.md`` in ``folder``."""
    chapters = gallery.chapters()
    replace(folder / "gallery.svg", timeline(chapters))
    replace(folder / "gallery_list.md", "\n".join(map(entry, chapters)))


def entry(chapter):
    """Who, what is shown, and what fails with the idea switched off."""
    return (f"[{chapter.system}](tutorials/gallery/{chapter.path.name}) ({chapter.year}, "
            f"{chapter.makers})\n"
            f": Shown: {chapter.figure}. Switched off: {chapter.without}.\n")


def timeline(chapters):
    """The systems from top to bottom, beside their years; a year without any has its dot too."""
    ideas = [textwrap.wrap(c.idea, LETTERS) for c in chapters]
    rows, bottom = places(chapters, ideas)
    at = scale(chapters, rows)
    first, last = chapters[0].year, chapters[-1].year
    out = [f'<svg viewBox="0 0 {WIDTH} {bottom}" role="img" aria-labelledby="gallery-title" '
           f'xmlns="http://www.w3.org/2000/svg">',
           f'<title id="gallery-title">{len(chapters)} systems from {first} to {last}, each with '
           f'its idea</title>', f"<style>{STYLE}</style>",
           f'<path class="g-line" d="M{YEAR + 10} {at[first]:.0f} V{at[last]:.0f}"/>']
    for year, y in at.items():
        out.append(f'<text class="g-year" x="{YEAR}" y="{y + 5:.0f}">{year}</text>'
                   f'<circle class="g-dot" cx="{YEAR + 10}" cy="{y:.0f}" r="3.5"/>')
    for c, lines, top in zip(chapters, ideas, rows):
        out += row(c, lines, top, at[c.year])
    return "\n".join([*out, "</svg>"]) + "\n"


def places(chapters, ideas):
    """The height of each row, and the end of the last one. Between two years is room for those
    that have no system.
    """
    rows, y, year = [], TOP, chapters[0].year
    for c, lines in zip(chapters, ideas):
        rows.append(max([y, *[top + LINE * (c.year - year) for top in rows[-1:]]]))
        y, year = rows[-1] + LINE * (1 + len(lines)) + GAP, c.year
    return rows, y


def scale(chapters, rows):
    """Year -> its height: the middle of its rows, and in even steps between two such years."""
    own = {}
    for c, top in zip(chapters, rows):
        own.setdefault(c.year, []).append(top)
    known = {year: sum(tops) / len(tops) for year, tops in own.items()}
    at = {}
    for year, following in zip(known, [*list(known)[1:], None]):
        at[year] = known[year]
        if following is not None:
            step = (known[following] - known[year]) / (following - year)
            at |= {year + i: known[year] + i * step for i in range(1, following - year)}
    return at


def row(chapter, lines, top, at):
    """The name of a system, a link to its chapter, its idea in lines, and the way to its year."""
    x, middle = YEAR + 10, LEFT - 10
    yield (f'<path class="g-lead" d="M{x} {at:.0f} C{x + 22} {at:.0f} {x + 16} {top} {middle} '
           f'{top}"/>')
    yield (f'<a href="tutorials/gallery/{chapter.name}.html"><text class="g-name" x="{LEFT}" '
           f'y="{top + 5}">{escape(chapter.system)}</text></a>')
    for i, line in enumerate(lines, 1):
        yield f'<text class="g-say" x="{LEFT}" y="{top + 5 + i * LINE}">{escape(line)}</text>'
