"""What hints cost: the first of a question nothing, each after it what the question says."""

from __future__ import annotations

from typing import Any

from etude_course.source.assignment import Assignment, Question


def price(question: Question, number: int) -> int:
    """Of one hint, counted from 0."""
    return question.hint_cost if number else 0


def cost(assignment: Assignment, shown: Any) -> int:
    """Of all that were shown: question -> how many, as a hand-in says, which a student may have
    edited.
    """
    given = shown if isinstance(shown, dict) else {}
    counts = {q: given.get(q.id, 0) for q in assignment.questions}
    return sum(price(q, i) for q, n in counts.items() if type(n) is int
               for i in range(min(n, len(q.hints))))
