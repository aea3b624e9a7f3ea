"""CSVDataset: a table in a text file, one sample a line.

Legend: N samples, F features. It reads numbers and class names and guesses nothing: text in a
feature, a gap or a line that is too short is an error, which names the line. To clean a table, use
a tool made for that.
"""

from __future__ import annotations

import csv
import difflib
import io
import math
import os
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from etude.core.given import in_order
from etude.core.shapes import float32, int64
from etude.data.dataset import position
from etude.data.packed import read_gzip

Array = np.ndarray[Any, Any]

MISSING = frozenset(["", "na", "n/a", "nan", "null", "none", "?"])  # how files write "no value"
CHOOSE = "name the columns that are features with columns=[...]"
LARGEST = float(np.finfo(float32).max)


class CSVDataset:
    """Sample i is (features, target) of line i: float32 (F), and a class number or a number.

    The first line names the columns. ``label`` is the target's column. With ``kind`` "class" its
    values are classes: ``classes`` has their names, in order (as numbers, if all are integers),
    and the target is the class's place in it, int64; ``classes=`` gives that order instead, as
    the test file of a data set needs the training file's. With "number" the target is float32.
    ``columns`` are the features to use, in this order; by default all but ``label``. The file is
    UTF-8, or such a file as gzip.

    Raises FileNotFoundError, and ValueError for all that is wrong in the file, with the line.
    """

    def __init__(self, path: str | os.PathLike[str], label: str, kind: str = "class",
                 columns: Sequence[str] | None = None, classes: Sequence[str] | None = None,
                 delimiter: str = ",") -> None:
        if kind not in ("class", "number"):
            raise ValueError(f"CSVDataset: kind is 'class' or 'number', got {kind!r}")
        self.path = Path(path)
        lines = self._lines(delimiter)
        _, first = next(lines, (0, []))
        header = [name.strip() for name in first]
        if not any(header):
            raise ValueError(f"{path}: empty, without even a line that names the columns")
        twice = sorted(name for name, n in Counter(header).items() if name and n > 1)
        if twice:
            raise ValueError(f"{path}: two columns are named {twice[0]!r}; rename one")
        places = {name: i for i, name in enumerate(header)}
        target = self._column(places, label)
        self.columns = [c for c in header if c != label]
        if columns is not None:
            self.columns = in_order("CSVDataset: columns", columns)
        else:
            self._all_named(header)
        wanted = [self._column(places, c) for c in self.columns]
        if not wanted:
            raise ValueError(f"{path}: no column is left for the features beside {label!r}")

        rows = array("f")  # the features of all samples, one after the other
        labels: list[str] = []
        numbers = array("q")  # the line of each sample
        for number, cells in lines:
            if len(cells) != len(header):
                raise ValueError(f"{path}, line {number}: {len(cells)} values for the "
                                 f"{len(header)} columns of the header; is {delimiter!r} the "
                                 f"delimiter, and is text that contains it quoted?")
            rows.extend([self._number(cells[i], header[i], number) for i in wanted])
            labels.append(self._present(cells[target], label, number))
            numbers.append(number)
        if not rows:
            raise ValueError(f"{path}: has a header, but no samples")
        self.features = np.array(rows, float32).reshape(len(labels), len(wanted))  # (N, F)
        self.classes: tuple[str, ...] | None = None
        if kind == "number":
            values = [self._number(v, label, n) for v, n in zip(labels, numbers)]
            self.targets = np.array(values, float32)  # (N)
        else:
            if classes is None:
                classes = _in_order(set(labels))
            self.classes = tuple(in_order("CSVDataset: classes", classes))
            place = {name: i for i, name in enumerate(self.classes)}
            for value, n in zip(labels, numbers):
                if value not in place:
                    raise ValueError(f"{path}, line {n}: {value!r} in column {label!r} is not "
                                     f"among the classes {list(self.classes)}")
            self.targets = np.array([place[v] for v in labels], int64)

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Array, Any]:
        at = position(self, index)
        return self.features[at], self.targets[at]

    def batch(self, indices: Array) -> tuple[Array, ...]:
        """Samples ``indices``: float32 (B, F), and int64 or float32 (B)."""
        return self.features[indices], self.targets[indices]

    def _lines(self, delimiter: str) -> Iterator[tuple[int, list[str]]]:
        """Line number, from 1, and cells of each line that is not empty."""
        try:
            text = read_gzip(self.path).decode("utf-8-sig")
        except UnicodeDecodeError as e:
            raise ValueError(f"{self.path}: not UTF-8 text (byte {e.start}); save it as CSV in "
                             f"UTF-8") from None
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        try:
            for cells in reader:
                if cells:
                    yield reader.line_num, cells
        except csv.Error as e:
            raise ValueError(f"{self.path}, line {reader.line_num}: {e}") from None

    def _all_named(self, header: list[str]) -> None:
        """ValueError for a column without a name: it is most often a row number, which would become
        a feature. pandas calls it "Unnamed: 0" when it has read such a file.
        """
        for number, name in enumerate(header, start=1):
            if not name or name.startswith("Unnamed: "):
                raise ValueError(f"{self.path}: column {number} has no name"
                                 f"{f' but {name!r}' if name else ''}; is it the number of the "
                                 f"row? Save the table without it, in pandas by "
                                 f"to_csv(..., index=False), or {CHOOSE}")

    def _column(self, places: dict[str, int], name: str) -> int:
        if name in places:
            return places[name]
        for other in (d for d in ";\t|," if len(places) == 1 and d in next(iter(places))):
            raise ValueError(f"{self.path}: no column {name!r}, because the first line was taken "
                             f"for one column, {next(iter(places))!r}; write delimiter={other!r}")
        near = difflib.get_close_matches(name, places, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(places)}"
        raise ValueError(f"{self.path}: no column {name!r}; {hint}")

    def _present(self, text: str, column: str, line: int) -> str:
        """``text`` without spaces around it; an error if it means that there is no value."""
        value = text.strip()
        if value.lower() in MISSING:
            raise ValueError(f"{self.path}, line {line}: no value in column {column!r} "
                             f"({text!r}); fill it in, take the line out, or {CHOOSE}")
        return value

    def _number(self, text: str, column: str, line: int) -> float:
        value = self._present(text, column, line)
        try:
            number = float(value.replace("_", "x"))  # Python reads 1_000, tables do not
        except ValueError:
            advice = CHOOSE if column in self.columns else "kind='class' takes names"
            raise ValueError(f"{self.path}, line {line}: {text!r} in column {column!r} is no "
                             f"number; {advice}") from None
        if not math.isfinite(number) or abs(number) > LARGEST:
            raise ValueError(f"{self.path}, line {line}: {text!r} in column {column!r} does not "
                             f"fit into float32")
        return number

    def __repr__(self) -> str:
        return f"CSVDataset({str(self.path)!r}, {len(self)} samples, {len(self.columns)} features)"


def _in_order(names: set[str]) -> list[str]:
    """Names sorted as numbers if all are integers, so that 10 comes after 9; else as text."""
    try:
        return sorted(names, key=lambda name: (int(name), name))
    except ValueError:
        return sorted(names)
