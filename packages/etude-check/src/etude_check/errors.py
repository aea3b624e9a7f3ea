"""The one error the kit raises itself: a sentence for the user about what cannot be checked."""


class CheckError(Exception):
    """The request cannot be carried out: no such file, it does not compile, arrays too large.

    What a *candidate* does wrong is never raised: it is an Outcome, and then a verdict.
    """
