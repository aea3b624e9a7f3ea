"""The names that others give to the weights of our models: one small table for each layout.

Left is the name here, right the name there; ``#`` is the number of a block and stands for itself.
A name of a layer stands for all its weights; where a row has the whole name of a weight, that row
holds. ``T``: the matrix is stored transposed. A third part of a layout are names there that hold
nothing to learn, such as the causal mask, and a fourth copies of a weight under another name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from etude.core.errors import did_you_mean
from etude.nn.module import Module

GPT2 = """
tokens                             wte
positions                          wpe
blocks.#.norm1                     h.#.ln_1
blocks.#.attention.in_proj_weight  h.#.attn.c_attn.weight  T
blocks.#.attention.in_proj_bias    h.#.attn.c_attn.bias
blocks.#.attention.out_proj.weight h.#.attn.c_proj.weight  T
blocks.#.attention.out_proj.bias   h.#.attn.c_proj.bias
blocks.#.norm2                     h.#.ln_2
blocks.#.mlp.0.weight              h.#.mlp.c_fc.weight     T
blocks.#.mlp.0.bias                h.#.mlp.c_fc.bias
blocks.#.mlp.2.weight              h.#.mlp.c_proj.weight   T
blocks.#.mlp.2.bias                h.#.mlp.c_proj.bias
norm                               ln_f
"""
RESNET = """
0                                  conv1
1                                  bn1
{block}.conv1                      {layer}.conv1
{block}.norm1                      {layer}.bn1
{block}.conv2                      {layer}.conv2
{block}.norm2                      {layer}.bn2
{block}.shortcut                   {layer}.downsample
{head}                             fc
"""


@dataclass(frozen=True)
class Row:
    """One weight: its name here and there, and whether it is stored transposed there."""

    ours: str
    theirs: str
    transposed: bool = False


@dataclass(frozen=True)
class Layout:
    """A table. ``prefix`` stands before every name there."""

    name: str
    table: str
    prefix: str = ""
    nothing: str = "(?!)"  # a pattern of names there that hold nothing to learn
    copies: Mapping[str, str] = field(default_factory=dict)  # name there -> the weight here

    def rows(self, model: Module) -> list[Row]:
        """A row for each weight of ``model``; none if the layout is not for such a model."""
        table = _lines(_of_resnet(self.table, model) if "{" in self.table else self.table)
        found = []
        for ours in model.state_dict():
            row = _row(ours, table, self.prefix)
            if row is None:
                return []
            found.append(row)
        return found


def _lines(table: str) -> list[list[str]]:
    return [line.split() for line in table.splitlines() if line]


def _row(ours: str, table: list[list[str]], prefix: str) -> Row | None:
    """The row for one weight; the first line that holds."""
    for here, there, *how in table:
        pattern = re.escape(here).replace(r"\#", r"(\d+)") + r"(\..+)?"
        match = re.fullmatch(pattern, ours)
        if match:
            *numbers, rest = match.groups()
            theirs = there.replace("#", numbers[0]) if numbers else there
            return Row(ours, prefix + theirs + (rest or ""), "T" in how)
    return None


def _of_resnet(table: str, model: Module) -> str:
    """The table with a line for each block. Ours are numbered through; theirs begin again in each
    of three stages.
    """
    blocks = [name for name, m in model.named_children() if type(m).__name__ == "Block"]
    if not blocks or len(blocks) % 3:
        return ""
    per_stage = len(blocks) // 3
    head = str(max(int(name) for name, _ in model.named_children()))
    lines = []
    for line in table.splitlines():
        if "{block}" not in line:
            lines.append(line.replace("{head}", head))
            continue
        for i, block in enumerate(blocks):
            layer = f"layer{1 + i // per_stage}.{i % per_stage}"
            lines.append(line.format(block=block, layer=layer))
    return "\n".join(lines)


def _straight(table: str) -> str:
    """The table without its transposed rows: the same names, nn.Linear in the place of Conv1D."""
    return re.sub(r" +T$", "", table, flags=re.MULTILINE)


MASKS = r"(transformer\.)?h\.\d+\.attn\.(masked_)?bias"
HEAD = {"lm_head.weight": "tokens.weight"}

#: "gpt2": Hugging Face's, whose matrices are those of Conv1D. "nanogpt": the same names, with
#: Linear. "resnet": torchvision's. Without a prefix: of the model below the head.
LAYOUTS = (
    Layout("gpt2", GPT2, "transformer.", MASKS, HEAD),
    Layout("gpt2", GPT2, "", MASKS, HEAD),
    Layout("nanogpt", _straight(GPT2), "transformer.", MASKS, HEAD),
    Layout("nanogpt", _straight(GPT2), "", MASKS, HEAD),
    Layout("resnet", RESNET),
)
NAMES = tuple(dict.fromkeys(layout.name for layout in LAYOUTS))


def layouts(model: Module, names: str | Mapping[str, str] | None = None) -> list[
        tuple[Layout, list[Row]]]:
    """The layouts that have a place for every weight of ``model``, with their rows: all that are
    known, the one called ``names``, or a user's own, a dict of {name there: name here}. Where the
    dict says nothing, names are the same.
    """
    if isinstance(names, Mapping):
        return [(Layout("yours", ""), _of_user(names, model))]
    if names is not None and names not in NAMES:
        raise ValueError(f"load_torch: there is no layout {names!r}. Known are "
                         f"{', '.join(map(repr, NAMES))}; a dict of {{name there: name here}} says "
                         f"it for yours, and without names they are those of Etude")
    found = [(layout, layout.rows(model)) for layout in LAYOUTS if names in (None, layout.name)]
    if names is None:
        found.insert(0, (Layout("etude", ""), [Row(k, k) for k in model.state_dict()]))
    return [(layout, rows) for layout, rows in found if rows]


def _of_user(names: Mapping[str, str], model: Module) -> list[Row]:
    """ValueError for a name here that the model has not."""
    table = [[ours, theirs] for theirs, ours in names.items()]
    rows = [_row(k, table, "") or Row(k, k) for k in model.state_dict()]
    for line in table:
        if not any(_row(k, [line], "") for k in model.state_dict()):
            raise ValueError(f"load_torch: names says {line[1]!r} is {line[0]!r} here, but this "
                             f"{type(model).__name__} has no weight of that name"
                             f"{did_you_mean(line[0], model.state_dict())}")
    return rows


def shape_there(row: Row, shape: Any) -> tuple[int, ...]:
    """The shape in which the weight of a row is stored there."""
    return tuple(shape)[::-1] if row.transposed else tuple(shape)
