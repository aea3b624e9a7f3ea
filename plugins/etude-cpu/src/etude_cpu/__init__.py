"""The backend "cpu": Etude's ops as C kernels, for the NumPy arrays of the device "cpu".

Importing this module opens no library; ``load`` does, when the backend is first used.

    import etude_cpu
    etude_cpu.set_num_threads(2)        # default: ETUDE_NUM_THREADS, else all cores available
    ETUDE_CPU_ISA=avx2 python train.py  # portable, avx2 or avx512; default: the best there is
"""

from etude.backends.plugins import BackendInfo, hookimpl

__all__ = ["get_num_threads", "set_num_threads"]


@hookimpl
def etude_backends():
    """The one backend of this package."""
    from etude_cpu.backend import load

    return [BackendInfo("cpu", device="cpu", interface=(2, 3), load=load)]


def set_num_threads(n):
    """Let kernels use up to ``n`` threads, the caller's included. Results do not depend on it."""
    from etude_cpu import glue

    glue.set_num_threads(n)


def get_num_threads():
    """How many threads kernels may use."""
    from etude_cpu import glue

    return glue.get_num_threads()
