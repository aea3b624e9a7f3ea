"""A profile as a flame graph: how wide a box is, is its share of the time; what it stands on called
it. Ops are coloured by phase, functions are grey, and what of a function has nothing above it is
Python between the ops. A step is shown: the mean of all.

Source: Gregg 2016, The flame graph, Communications of the ACM 59 (6). The picture is SVG and needs
nothing else; a pointer that rests on a box shows its name, and a click makes it the widest.
"""

from __future__ import annotations

import html
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from etude.measure.profile.text import seconds

if TYPE_CHECKING:
    from etude.measure.profile.report import Profile

WIDTH, LEVEL = 1000, 19  # pixels
LEAST = 0.0008  # of the width: narrower boxes are not drawn
LETTER = 6.3  # pixels
FUNCTION, INK = "#e4e6ee", "#22223b"
PALE = {"forward": "#a9d5c3", "backward": "#f0a9ab", "optimiser": "#cdb6e2", "data": "#f5c9a0",
        "captured": "#a9cbe8"}

#: Makes the clicked box as wide as the picture, and what lies beside it disappear.
SCRIPT = """
for (const svg of document.querySelectorAll("svg.flame")) {
  const boxes = [...svg.querySelectorAll("g")];
  svg.addEventListener("click", event => {
    const to = event.target.closest("g");
    const x0 = to ? +to.dataset.x : 0, w0 = to ? +to.dataset.w : 1;
    for (const box of boxes) {
      const x = (box.dataset.x - x0) / w0, w = box.dataset.w / w0;
      const left = Math.max(x, 0), wide = Math.min(x + w, 1) - left;
      box.style.display = wide > 0.0005 ? "" : "none";
      const rect = box.querySelector("rect"), text = box.querySelector("text");
      rect.setAttribute("x", 1000 * left);
      rect.setAttribute("width", Math.max(1000 * wide - 0.6, 0.4));
      text.setAttribute("x", 1000 * left + 4);
      const room = Math.floor((1000 * wide - 6) / 6.3), name = box.dataset.name;
      const cut = room > 3 ? name.slice(0, room - 2) + ".." : "";
      text.textContent = room >= name.length ? name : cut;
    }
  });
}
"""


@dataclass
class Box:
    """One box: its own seconds, and the boxes on it."""

    name: str
    phase: str = ""  # of an op
    own: float = 0.0
    above: dict[str, Box] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        return self.own + sum(box.seconds for box in self.above.values())


def boxes(p: Profile) -> Box:
    """The tree of a profile, for one step where there are steps."""
    steps = p.sums.steps or 1
    wall = p.span.wall - p.watching
    what = f"mean of {steps} steps" if steps > 1 else "the block"
    root = Box(f"{what}, {seconds(wall / steps)} without profiling")
    ops = {work.op for work in p.sums.work.values()}
    for path, spent in p.sums.paths.items():
        box = root
        for name in path:
            box = box.above.setdefault(name, Box(name))
        box.own += spent / steps
        if path and path[-1] in ops:
            box.phase = next((x for x in ("backward", "optimiser", "captured") if x in path),
                             "forward")
        elif path == ("waiting for data",):
            box.phase = "data"
    for phase in ("backward", "optimiser", "captured"):
        _colour(root, phase)
    root.own = max(0.0, wall / steps - root.seconds)
    return root


def _colour(box: Box, phase: str) -> None:
    """Give the box that stands for a phase its colour."""
    for name, above in box.above.items():
        if name == phase:
            above.phase = phase
        _colour(above, phase)


class Flame(str):
    """The picture, as the text of its SVG. A notebook shows it."""

    def _repr_html_(self) -> str:
        return str(self)


def flame(p: Profile) -> Flame:
    """Draw the tree of a profile."""
    root = boxes(p)
    drawn: list[tuple[Box, float, float, int]] = []
    _place(root, 0.0, 0, root.seconds or 1.0, drawn)
    height = LEVEL * (1 + max(level for *_, level in drawn))
    parts = [f'<svg class="flame" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} '
             f'{height}" font-family="sans-serif" font-size="11" style="width: 100%; '
             f'max-width: 1200px; height: auto; cursor: pointer">']
    for box, x, wide, level in drawn:
        y = height - LEVEL * (level + 1)
        room = int((WIDTH * wide - 6) / LETTER)
        told = box.name if room >= len(box.name) else (
            box.name[: room - 2] + ".." if room > 3 else "")
        title = f"{box.name}: {seconds(box.seconds)}, {wide:.1%}"
        if box.above and box.own > 0:
            title += f"; of it outside ops {seconds(box.own)}"
        name = html.escape(box.name, quote=True)
        parts.append(
            f'<g data-x="{x:.5f}" data-w="{wide:.5f}" data-name="{name}">'
            f"<title>{html.escape(title)}</title>"
            f'<rect x="{WIDTH * x:.2f}" y="{y}" width="{max(WIDTH * wide - 0.6, 0.4):.2f}" '
            f'height="{LEVEL - 1}" rx="2" fill="{PALE.get(box.phase, FUNCTION)}"/>'
            f'<text x="{WIDTH * x + 4:.2f}" y="{y + 13}" fill="{INK}">{html.escape(told)}</text>'
            f"</g>")
    parts.append(f"<script><![CDATA[{SCRIPT}]]></script></svg>")
    return Flame("".join(parts))


def _place(box: Box, x: float, level: int, whole: float,
           drawn: list[tuple[Box, float, float, int]]) -> None:
    """Put a box at ``x``, and those on it side by side, the widest first."""
    wide = box.seconds / whole
    if wide < LEAST:
        return
    drawn.append((box, x, wide, level))
    for above in sorted(box.above.values(), key=lambda b: -b.seconds):
        _place(above, x, level + 1, whole, drawn)
        x += above.seconds / whole
