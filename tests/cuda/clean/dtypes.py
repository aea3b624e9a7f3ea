"""For which dtypes the programs in this folder are compiled, together with their kernels."""

REAL = "ETUDE_REAL=32"
OTHERS = {"logical.cu": ("ETUDE_INT=8",), "index.cu": (REAL, "ETUDE_INT=64")}


def dtypes(file):
    """What the compiler defines for the program ``file``, one dtype after another."""
    return OTHERS.get(file, (REAL,))
