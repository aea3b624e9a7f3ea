"""The course: assignments are handed out, checked and graded, from one source each.

The course has floors. A file imports from its own floor and from those below it, never from above;
tests/core/test_structure.py reads the order here. From the ground up:

    errors.py    the one error the course raises itself
    record.py    what came of a hand-in: plain data, which everything else speaks
    commands/    `etude course`
"""
