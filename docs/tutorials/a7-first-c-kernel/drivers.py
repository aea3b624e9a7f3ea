"""How A7 calls a kernel where it is not the conformance kit that does."""


def variance(answer, x):
    """The unbiased variance of all numbers of x, by the kernel."""
    return float(answer.var(x, dim=(0,), keepdim=False, correction=1.0))
