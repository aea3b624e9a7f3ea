"""Writes what the page "The gallery" shows, from the front matter of the chapters: a time line of
the systems, and what each chapter shows.
"""

import textwrap
from html import escape

from etude import gallery
from op_pages import replace

WIDTH, LEFT = 400, 92  # of the picture; where the names begin
LETTERS = 44  # that fit between there and the right edge
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
    """The systems from top to bottom, each led to its place on a scale of years."""
    ideas = [textwrap.wrap(c.idea, LETTERS) for c in chapters]
    rows, y = [], TOP
    for lines in ideas:
        rows.append(y)
        y += LINE * (1 + len(lines)) + GAP
    place = scale(chapters, rows)
    first, last = chapters[0].year, chapters[-1].year
    out = [f'<svg viewBox="0 0 {WIDTH} {y}" role="img" aria-labelledby="gallery-title" '
           f'xmlns="http://www.w3.org/2000/svg">',
           f'<title id="gallery-title">{len(chapters)} systems from {first} to {last}, each with '
           f'its idea</title>', f"<style>{STYLE}</style>",
           f'<path class="g-line" d="M{YEAR + 10} {place[first]:.0f} V{place[last]:.0f}"/>']
    for year, at in place.items():
        out.append(f'<text class="g-year" x="{YEAR}" y="{at + 5:.0f}">{year}</text>'
                   f'<circle class="g-dot" cx="{YEAR + 10}" cy="{at:.0f}" r="3.5"/>')
    for c, lines, top in zip(chapters, ideas, rows):
        out += row(c, lines, top, place[c.year])
    return "\n".join([*out, "</svg>"]) + "\n"


def scale(chapters, rows):
    """Year -> its height on the scale. A year lies as far down as time says, and no nearer to the
    year before it than its text needs.
    """
    years = range(chapters[0].year, chapters[-1].year + 1)
    step = (rows[-1] - rows[0]) / max(len(years) - 1, 1)
    return {year: rows[0] + i * step for i, year in enumerate(years)}


def row(chapter, lines, top, at):
    """The name of a system, a link to its chapter, its idea in lines, and the way to its year."""
    x, middle = YEAR + 10, LEFT - 10
    yield (f'<path class="g-lead" d="M{x} {at:.0f} C{x + 22} {at:.0f} {x + 12} {top} {middle} '
           f'{top}"/>')
    yield (f'<a href="tutorials/gallery/{chapter.name}.html"><text class="g-name" x="{LEFT}" '
           f'y="{top + 5}">{escape(chapter.system)}</text></a>')
    for i, line in enumerate(lines, 1):
        yield f'<text class="g-say" x="{LEFT}" y="{top + 5 + i * LINE}">{escape(line)}</text>'
