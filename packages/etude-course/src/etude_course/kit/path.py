"""The path: the 25 chapters of the course, and a student on it. Which assignment belongs to a
chapter, its kit says.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from etude_course.kit.kit import Kit, installed
from etude_course.kit.progress import Work
from etude_course.source.assignment import Assignment

TITLES = (
    "An array is a buffer: shape, dtype, strides, drawn",
    "Views without copying: reshape, permute, slice, broadcast",
    "What is an op? The table, the reference, and a column of your own",
    "Elementwise ops and reductions, tested by properties",
    "Autograd on scalars in a hundred lines, and why the order matters",
    "Autograd on tensors: gradient rules, unbroadcast, checking gradients, keeping dtypes",
    "Modules, parameters, initialisation",
    "Losses, a stable softmax; SGD, momentum, AdamW",
    "Data: data sets, samplers, batches, augmentation",
    "Train an MLP on digits, with a learning-rate sweep",
    "Tuning: learning-rate range, random search, successive halving",
    "Convolution and pooling: loops, then im2col; a convolutional network",
    "Recurrent networks, LSTM, clipping",
    "Measure first: time, FLOPs, bytes, the roofline of your own machine",
    "A first C kernel: build, install, receipt, conformance",
    "The matmul ladder: loop order, blocking, SIMD, threads",
    "softmax and layer_norm in C, forward and backward; fusion; error budgets",
    "A GPU on your CPU: grids, blocks, guards, shared memory, coalescing",
    "CUDA: elementwise, reduction, tiled matmul; hunting a race",
    "Debugging kernels: three broken ones, and the first divergence",
    "A byte-pair tokenizer and embeddings, within a time limit",
    "A character GPT on Shakespeare",
    "Online softmax: flash attention in NumPy, then in C or CUDA",
    "Key-value cache, int8 weights, data parallel on two processes, ONNX",
    "Capstone: a GPT trained on your own kernels; the strict receipt proves that nothing else ran",
)


@dataclass(frozen=True)
class Chapter:
    """A chapter, with its assignments. ``number`` 0 stands for those that belong to none."""

    number: int
    title: str
    tasks: list[Task] = field(default_factory=list)


@dataclass(frozen=True)
class Task:
    """An assignment as a student sees it; ``work`` is the folder with most points, if any."""

    assignment: Assignment
    work: Work | None = None

    @property
    def points(self) -> int:
        return self.work.points if self.work else 0

    @property
    def of(self) -> int:
        return self.work.of if self.work else self.assignment.points

    @property
    def done(self) -> bool:
        return self.work is not None and self.work.done

    @property
    def state(self) -> str:
        """In words."""
        if self.work is None:
            return f"{self.of} points, not started"
        checked = f"{self.points} of {self.of} points" if self.work.record.checked else \
            f"started, {self.of} points"
        return f"{checked}, in {os.path.relpath(self.work.folder)}"


def chapters(works: Sequence[Work]) -> list[Chapter]:
    """The path as it is for a student with these folders, the best of an assignment first."""
    best: dict[str, Work] = {}
    for work in works:
        best.setdefault(work.kit.assignment.id, work)
    found = [Chapter(number, title) for number, title in enumerate(TITLES, 1)]
    others = Chapter(0, "Assignments of your teacher's")
    known = {a.id: a for a in (Kit.load(p).assignment for p in installed())}
    known |= {id_: work.kit.assignment for id_, work in best.items()}
    for id_, a in sorted(known.items(), key=lambda pair: (len(pair[0]), pair[0])):
        number = chapter_of(a)
        (found[number - 1] if number else others).tasks.append(Task(a, best.get(id_)))
    return [*found, others] if others.tasks else found


def chapter_of(assignment: Assignment) -> int:
    """The number of the chapter that an assignment belongs to; 0 for one outside the path."""
    number, _, _ = assignment.chapter.partition("-")
    return int(number) if number.isdigit() and 1 <= int(number) <= len(TITLES) else 0
