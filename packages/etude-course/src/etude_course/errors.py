"""The one error the course raises itself: a sentence for the user about what cannot be done."""


class CourseError(Exception):
    """The request cannot be carried out: no such assignment, a broken roster, an unreadable file.

    What an *answer* does wrong is never raised: it is a CheckResult.
    """
