"""Memory that other libraries borrow by DLPack, and that Etude borrows from them.

PyTorch and JAX are tried where they are installed; NumPy speaks both versions of the protocol.
"""

import numpy as np
import pytest

import etude
from etude import Column, DeviceArray, DTypeError, float32, float64, int64
from etude.core.shapes import bool_

DTYPES = [bool_, int64, float32, float64]
GRID = [[1, 0, 1], [0, 1, 1]]


class Lender:
    """Lends whatever ``capsule`` makes, like a library that NumPy does not know."""

    def __init__(self, capsule):
        self.capsule = capsule

    def __dlpack__(self, **options):
        return self.capsule(**options)

    def __dlpack_device__(self):
        return (1, 0)


def borrowed(t, **options):
    """What NumPy makes of ``t.__dlpack__(**options)``, whatever it would have asked for itself."""
    return np.from_dlpack(Lender(lambda **asked: t.__dlpack__(**options)))


def named(capsule):
    return repr(capsule).split('"')[1]


# ------------------------------------------------------------------ out of Etude


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("options", [{}, {"max_version": (1, 0)}, {"max_version": (0, 8)}])
def test_memory_goes_out_by_both_versions_and_comes_back_as_the_same(dtype, options):
    x = etude.tensor(GRID, dtype=dtype)
    for t in (x, x.T, x[:, ::2], x[0, 0], x[:0]):
        a = borrowed(t, **options)
        assert a.dtype == dtype
        assert a.tolist() == t.tolist()
        assert not t.numel() or np.shares_memory(a, x.data)
        back = etude.from_dlpack(t)
        assert back.data.dtype == dtype
        assert not t.numel() or np.shares_memory(back.data, x.data)


def test_the_capsule_is_of_the_version_that_was_asked_for():
    x = etude.tensor(GRID)
    assert named(x.__dlpack__()) == "dltensor"
    assert named(x.__dlpack__(max_version=None)) == "dltensor"
    assert named(x.__dlpack__(max_version=(0, 8), copy=True)) == "dltensor"
    assert named(x.__dlpack__(max_version=(1, 0))) == "dltensor_versioned"
    assert named(x.__dlpack__(max_version=(2, 1), copy=True)) == "dltensor_versioned"
    assert x.__dlpack_device__() == (1, 0)
    assert named(x.__dlpack__(stream=None, dl_device=(1, 0), copy=False)) == "dltensor"


def test_who_can_read_so_is_told_that_the_memory_is_read_only():
    a = np.from_dlpack(etude.tensor(GRID))
    assert not a.flags.writeable


def read_only():
    a = np.arange(3.0)
    a.flags.writeable = False
    return etude.from_numpy(a)


@pytest.mark.parametrize("make", [read_only, lambda: etude.ones(1, 3).expand(2, 3)])
def test_what_must_not_be_written_is_copied_unless_who_can_be_told_insists(make):
    t = make()
    for options in ({}, {"max_version": (1, 0)}):
        a = borrowed(t, **options)
        assert a.tolist() == t.tolist()
        assert not np.shares_memory(a, t.data)
    a = borrowed(t, max_version=(1, 0), copy=False)
    assert np.shares_memory(a, t.data)
    assert not a.flags.writeable
    with pytest.raises(BufferError, match=r"cannot be lent without a copy: .* or it is read-only"):
        t.__dlpack__(copy=False)


@pytest.mark.parametrize("options", [{}, {"max_version": (1, 0)}])
def test_a_view_that_runs_backwards_is_copied(options):
    """PyTorch ends the process at a negative step, JAX refuses it."""
    t = etude.arange(6)[::-1]
    a = borrowed(t, **options)
    assert a.tolist() == [5, 4, 3, 2, 1, 0]
    assert a.strides == (8,)
    with pytest.raises(BufferError, match="stepped through backwards"):
        t.__dlpack__(copy=False, **options)


@pytest.mark.parametrize("options", [{}, {"max_version": (1, 0)}])
def test_a_copy_is_a_copy(options):
    x = etude.tensor(GRID)
    a = borrowed(x, copy=True, **options)
    assert a.tolist() == GRID
    assert not np.shares_memory(a, x.data)


def test_what_cannot_be_lent():
    x = etude.ones(2)
    with pytest.raises(RuntimeError, match=r"call detach\(\) first to say so"):
        np.from_dlpack(etude.ones(2, requires_grad=True))
    with pytest.raises(BufferError, match=r"stream must be None for memory of the host, got 1"):
        x.__dlpack__(stream=1)
    with pytest.raises(BufferError, match=r"DLPack device \[2, 0\] was asked for"):
        x.__dlpack__(dl_device=(2, 0))


def test_memory_of_another_device_is_copied_for_who_asks_for_the_host():
    moon = Column("moonshine", "moon", {}, download=lambda a: np.array(a.buffer),
                  upload=lambda x: DeviceArray(x.copy(), "moon", x.shape, x.dtype))
    with etude.use(moon):
        x = etude.ones(3).to("moon")
        assert x.__dlpack_device__() == (12, 0)
        for options in ({}, {"dl_device": (1, 0), "copy": False}):
            with pytest.raises(BufferError, match=r"of a tensor on 'moon': .* Call .to\('cpu'\)"):
                x.__dlpack__(**options)
        for options in ({}, {"max_version": (1, 0)}):
            assert borrowed(x, dl_device=(1, 0), **options).tolist() == [1, 1, 1]
        with pytest.raises(BufferError, match=r"Call .to\('cpu'\) first"):
            etude.from_dlpack(x)


# ------------------------------------------------------------------ into Etude


def test_memory_of_an_array_is_shared():
    a = np.arange(6.0).reshape(2, 3)
    for part in (a, a.T, a[:, ::-2], a[0, 0:1], a[:0]):
        t = etude.from_dlpack(part)
        assert t.tolist() == part.tolist()
        assert not part.size or np.shares_memory(t.data, a)
    etude.from_dlpack(a).copy_(etude.zeros(2, 3, dtype=float64))
    assert not a.any()


def test_read_only_memory_stays_so():
    a = np.arange(3.0)
    a.flags.writeable = False
    with pytest.raises(RuntimeError, match="copy_ into memory that is read-only"):
        etude.from_dlpack(a).copy_(etude.zeros(3, dtype=float64))


def test_memory_in_which_one_number_stands_for_several_is_not_written():
    wide = np.lib.stride_tricks.as_strided(np.zeros(1), (3,), (0,))
    assert wide.flags.writeable
    t = etude.from_dlpack(Lender(lambda **asked: wide.__dlpack__(**asked)))
    assert t.tolist() == [0, 0, 0]
    with pytest.raises(RuntimeError, match="copy_ into an expanded view"):
        t.copy_(etude.ones(3, dtype=float64))


class OnAGPU:
    """Lends as CuPy does: its own memory, or with ``dl_device`` a copy on the host."""

    def __init__(self, values):
        self.values, self.asked = values, []

    def __dlpack_device__(self):
        return (2, 0)

    def __dlpack__(self, *, stream=None, max_version=None, dl_device=None, copy=None):
        self.asked.append((dl_device, copy))
        if dl_device != (1, 0):
            raise BufferError("it lies on a GPU")
        return self.values.__dlpack__(max_version=max_version)


def test_memory_of_a_gpu_is_copied_where_a_copy_is_asked_for():
    lender = OnAGPU(np.arange(3, dtype=np.float32))
    assert etude.from_dlpack(lender, copy=True).tolist() == [0, 1, 2]
    assert lender.asked == [((1, 0), True)]
    with pytest.raises(BufferError, match=r"it lies on a GPU.*First move it to the host"):
        etude.from_dlpack(lender)


def test_a_copy_takes_the_nearest_dtype():
    a = np.arange(3, dtype=np.int32)
    with pytest.raises(DTypeError, match=r"from_dlpack\(\): int32 cannot be shared, because Etude "
                                         r"has bool, int64, float32, float64; copy=True converts"):
        etude.from_dlpack(a)
    t = etude.from_dlpack(a, copy=True)
    assert (t.dtype, t.tolist()) == (int64, [0, 1, 2])
    same = np.arange(3.0)
    assert not np.shares_memory(etude.from_dlpack(same, copy=True).data, same)


def test_what_lends_nothing():
    with pytest.raises(TypeError, match=r"needs an array that has __dlpack__, such as those of .*"
                                        r"got builtins\.list; etude\.tensor takes lists"):
        etude.from_dlpack([1, 2])

    def refuse(**asked):
        raise BufferError("the memory is on another planet")

    with pytest.raises(BufferError, match=(
            r"this .*Lender of dtype unknown does not lend its memory \(the memory is on another "
            r"planet\)\. First move it to the host, detach it")):
        etude.from_dlpack(Lender(refuse))


# ------------------------------------------------------------------ beside other libraries


def test_pytorch_shares_memory_both_ways(torch):
    x = etude.tensor(GRID, dtype=float64)
    for t in (x, x.T, x[:, ::2], x[0]):
        for theirs in (torch.from_dlpack(t), torch.utils.dlpack.from_dlpack(t.__dlpack__())):
            assert theirs.tolist() == t.tolist()
            assert theirs.data_ptr() == t.data.ctypes.data
    assert torch.from_dlpack(x.flip((0,))).tolist() == GRID[::-1]
    assert torch.from_dlpack(x[::-1]).tolist() == GRID[::-1]
    theirs = torch.arange(4.0)
    etude.from_dlpack(theirs).copy_(etude.ones(4))
    assert theirs.tolist() == [1, 1, 1, 1]
    for wrong in (theirs.bfloat16(), theirs.clone().requires_grad_(), theirs.to("meta")):
        with pytest.raises(BufferError, match=r"this torch\.Tensor of dtype torch\.b?float"):
            etude.from_dlpack(wrong)


def test_pytorch_does_not_write_into_what_is_read_only(torch):
    a = np.arange(3.0)
    a.flags.writeable = False
    for t in (etude.from_numpy(a), etude.ones(1, 3).expand(2, 3), etude.from_numpy(a)[:0]):
        theirs = torch.from_dlpack(t)
        assert theirs.tolist() == t.tolist()
        before = t.tolist()
        theirs.fill_(7)
        assert t.tolist() == before
    wide = etude.from_dlpack(torch.zeros(1).expand(3))
    with pytest.raises(RuntimeError, match="copy_ into an expanded view"):
        wide.copy_(etude.ones(3))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_dtype_and_shape_goes_to_pytorch_and_back(torch, dtype):
    x = etude.tensor(GRID, dtype=dtype)
    for t in (x, x.T, x[:, ::2], x[0, 0], x[:0], x[:, :0]):
        theirs = torch.from_dlpack(t)
        assert (theirs.tolist(), tuple(theirs.shape)) == (t.tolist(), t.shape)
        back = etude.from_dlpack(theirs)
        assert (back.tolist(), back.shape, back.dtype) == (t.tolist(), t.shape, dtype)


@pytest.mark.parametrize("dtype", [bool_, float32], ids=str)  # jax has no 64 bits unless asked
def test_every_shape_goes_to_jax_and_back(jax, dtype):
    x = etude.tensor(GRID, dtype=dtype)
    for t in (x, x.T, x[0, 0], x[:0], x[:, :0], x[::-1]):
        theirs = jax.numpy.from_dlpack(t)
        assert (theirs.tolist(), theirs.shape) == (t.tolist(), t.shape)
        back = etude.from_dlpack(theirs)
        assert (back.tolist(), back.shape, back.dtype) == (t.tolist(), t.shape, dtype)
    with pytest.raises(RuntimeError, match="copy_ into memory that is read-only"):
        etude.from_dlpack(jax.numpy.ones(3)).copy_(etude.ones(3))


def test_jax_takes_a_tensor_and_gives_one(jax):
    x = etude.tensor(GRID, dtype=float32)
    for t in (x, x[:1], x[:1].expand(2, 3), x[0, 0]):
        assert jax.numpy.from_dlpack(t).tolist() == t.tolist()
    theirs = jax.numpy.arange(4.0)
    assert etude.from_dlpack(theirs).data.ctypes.data == theirs.unsafe_buffer_pointer()
    with pytest.raises(BufferError, match="of dtype bfloat16 does not lend its memory"):
        etude.from_dlpack(theirs.astype("bfloat16"))
