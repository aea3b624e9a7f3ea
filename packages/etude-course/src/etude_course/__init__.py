"""The course: assignments are handed out, checked and graded, from one source each.

The course has floors. A file imports from its own floor and from those below it, never from above;
tests/core/test_structure.py reads the order here. From the ground up:

    errors.py    the one error the course raises itself
    record.py    what came of a hand-in: plain data, which everything else speaks
    cases/       what a check asks of an answer, and whether it is right
    source/      an assignment's one source, read: only an instructor has it
    kit/         what a student has of it
    run/         one hand-in through its checks
    author/      what is made of a source, and the proof that it is in order
    grade/       a class: collected, graded in parallel, and what people decided by hand
    export/      results in the formats of other systems
    report/      the page on a class, and how alike hand-ins are
    commands/    `etude course`
    notebook.py  its checks, from a cell of a notebook
"""
