"""Functions of the device give what CUDA's documentation says, by other means than the lab's."""

import math
from fractions import Fraction
from functools import reduce

import numpy as np
import pytest

from etude.core.errors import BackendError

PROGRAM = "device.cu"


@pytest.fixture
def shown(run):
    """The expressions that a case prints, and their values."""
    def read(case):
        rows = (line.rpartition(" = ") for line in run(PROGRAM, case).lines)
        return {expression: float(value) for expression, _, value in rows}
    return read


def test_integer_intrinsics(shown):
    expected = {
        "__popc(0xf0f0u)": 8, "__popcll(1ull << 63 | 5)": 3, "__clz(1)": 31, "__clz(0)": 32,
        "__clzll(1)": 63, "__ffs(0x50)": 5, "__ffs(0)": 0, "__ffsll(1ll << 40)": 41,
        "__brev(1)": 2**31, "__brev(0x12345678)": int(f"{0x12345678:032b}"[::-1], 2),
        "__brevll(2)": 2**62, "__byte_perm(0x03020100, 0x07060504, 0x7531)": 0x07050301,
        "__byte_perm(0x80, 0, 0x8888)": 0xffffffff,
        "__funnelshift_l(0x80000000, 1, 4)": 0x18, "__funnelshift_r(0x80000000, 1, 4)": 0x18000000,
        "__mulhi(1 << 30, -8)": -2, "__umulhi(0x80000000u, 6)": 3, "__umul64hi(1ull << 63, 6)": 3,
        "__mul24(-3, 5)": -15, "__hadd(-3, 4)": 0, "__rhadd(-3, 4)": 1, "__sad(3, -4, 10)": 17,
        "__dp4a(0x01020304, 0x01ff0101, 7)": 1 - 2 + 3 + 4 + 7,
        "min(3, -4)": -4, "max(3u, 4u)": 4, "min(-1, 4u)": 4, "max(2.5f, 1.0f)": 2.5,
        "min(2.5f, 1.25)": 1.25, "max(CUDART_NAN_F, 1.0f)": 1,
        "__float_as_int(-1.0f)": -1082130432, "__int_as_float(0x40490fdb)": np.float32(np.pi),
        "__hiloint2double(0x3ff00000, 0)": 1, "abs(-3)": 3, "warpSize": 32,
    }
    assert shown("integers") == expected


def below(x, y):
    """x / y in float32, rounded down."""
    q = np.float32(x / y)
    return q if Fraction(float(q)) <= Fraction(x, y) else np.nextafter(q, np.float32(-np.inf))


def test_the_math_library_beyond_c(shown):
    got = shown("reals")
    exact = {
        "rsqrtf(4.0f)": 0.5, "rsqrt(16.0)": 0.25, "sinpi(1e15 + 0.5)": 1, "sinpi(-3.0)": 0,
        "cospi(0.5)": 0, "exp10f(2.0f)": 100, "norm3d(2.0, 3.0, 6.0)": 7,
        "__fdividef(1.0f, 4.0f)": 0.25, "__saturatef(1.5f)": 1, "__saturatef(CUDART_NAN_F)": 0,
        "__fadd_rz(1.0f, 1e-10f) - 1": 0, "__fadd_ru(1.0f, 1e-10f) - 1": 2.0**-23,
        "__fadd_rd(1.0f, -1e-10f) - 1": -2.0**-24, "__fdiv_rd(1.0f, 3.0f)": below(1, 3),
        "__fdiv_ru(1.0f, 3.0f)": np.nextafter(below(1, 3), np.float32(1)),
        "__dsqrt_ru(2.0)": np.nextafter(1.4142135623730950, 2),
        "__fmaf_rn(1.0f + 0x1p-12f, 1.0f + 0x1p-12f, -1.0f)": 2.0**-11 + 2.0**-24,
        "__float2int_rn(2.5f)": 2, "__float2int_rn(3.5f)": 4, "__float2int_rz(-2.7f)": -2,
        "__float2int_ru(2.1f)": 3, "__float2int_rd(-2.1f)": -3,
        "__float2int_rz(1e20f)": 2**31 - 1, "__float2int_rz(CUDART_NAN_F)": 0,
        "__float2uint_rz(-5.0f)": 0, "__double2ll_rn(1e300)": float(2**63 - 1),
        "isinf(INFINITY)": 1, "isnan(CUDART_NAN)": 1, "fmaxf(1.0f, CUDART_NAN_F)": 1,
    }
    assert {name: got[name] for name in exact} == exact
    near = {
        "rcbrt(27.0)": 1 / 3, "erfcx(0.5)": math.exp(0.25) * math.erfc(0.5),
        "normcdf(-8.0)": math.erfc(8 / math.sqrt(2)) / 2, "normcdfinv(0.975)": 1.959963984540054,
        "cyl_bessel_i0(1.0)": sum((0.25**k) / math.factorial(k)**2 for k in range(20)),
        "erfcx(100.0)": 0.005641613782989432,  # 50 digits of mpmath, rounded
    }
    for name, value in near.items():
        assert got[name] == pytest.approx(value, rel=1e-14), name
    assert math.erf(got["erfinv(0.3)"]) == pytest.approx(0.3, rel=1e-15)
    assert math.erf(got["erfinv(-0.999)"]) == pytest.approx(-0.999, rel=1e-15)
    assert math.erfc(got["erfcinv(1e-30)"]) == pytest.approx(1e-30, rel=1e-12)
    single = {"cospif(1.0f / 3)": 0.5, "__expf(1.0f)": math.e, "__powf(2.0f, 0.5f)": 2**0.5}
    for name, value in single.items():
        assert got[name] == pytest.approx(value, rel=1e-6), name
    assert len(got) == len(exact) + len(near) + 3 + len(single)


def half(x):
    return float(np.float16(x))


def test_half_and_bfloat16_round_to_nearest_even(shown):
    got = shown("small_floats")
    third = np.float32(1) / np.float32(3)
    h = {
        "__half2float(__float2half(1.0f / 3))": half(third),
        "__half2float(__float2half(65519.0f))": 65504,
        "__half2float(__float2half(65520.0f))": math.inf,
        "__half2float(__float2half(3e-8f))": half(3e-8),
        "__half2float(__float2half(2.9e-8f))": 0,
        "__half2float(__float2half(6.1e-5f))": half(6.1e-5),
        "__half2float(__float2half(2049.0f))": 2048, "__half2float(__float2half(2051.0f))": 2052,
        "__half_as_ushort(__float2half(-2.0f))": 0xc000,
        "__half2float(__half(2048) + __half(1))": 2048,
        "__half2float(__hmul(__half(0.1f), __half(3.0f)))": half(half(0.1) * 3),
        "__half2float(__hfma(__half(1.001f), __half(1.001f), __half(-1.002f)))":
            half(half(1.001) ** 2 + half(-1.002)),
        "__half2float(hsqrt(__half(2.0f)))": half(math.sqrt(2)),
        "__half2float(-__half(1.5f))": -1.5, "__hlt(__half(1.0f), __half(2.0f))": 1,
        "__hisnan(__half(0.0f) / __half(0.0f))": 1,
        "__low2float(__hadd2(__floats2half2_rn(1, 2), __floats2half2_rn(3, 4)))": 4,
        "__half22float2(__floats2half2_rn(1, 2) * __floats2half2_rn(3, 4)).y": 8,
        "__half2int_rn(__half(2.5f))": 2,
    }
    b = {
        "__bfloat162float(__float2bfloat16(1.0f / 3))": 0.333984375,
        "__bfloat162float(__float2bfloat16(257.0f))": 256,
        "__bfloat162float(__float2bfloat16(3.4e38f))": math.inf,
        "__bfloat162float(__nv_bfloat16(1.0f) + __nv_bfloat16(0.00390625f))": 1,
        "__bfloat16_as_ushort(__float2bfloat16(-1.0f))": 0xbf80,
        "__bfloat162float(__float2bfloat16(1e-40f)) > 0": 1,
    }
    assert got == h | b


def test_every_half_and_bfloat16_survives_the_way_to_float_and_back(run):
    assert run(PROGRAM, "all_halves").output == "0\n"


@pytest.mark.parametrize("mode", ["fast", "inspect"])
def test_atomics_of_a_thousand_threads(run, mode):
    first, second = run(PROGRAM, "atomics", mode=mode, LAB_WORKERS="2").lines
    cas = reduce(lambda v, _: v * 2 % 1000003 + 1, range(1000), 1)
    xor = 0  # four blocks: every number an even number of times
    dec = 10 - 1000 % 10 - 10  # 0, 9, 8, ..., 0, 9: after 1000 of a cycle of ten
    assert [int(v) for v in first.split()] == [
        4 * sum(range(250)), -1000, 7, -249, 249, 0, dec, 0, 0xffff, xor, cas]
    # A half holds whole numbers up to 2048, a bfloat16 up to 256.
    assert [float(v) for v in second.split()] == [1000 * 2**33, 500, 250, 1000, 1000, 2000, 256]


@pytest.mark.parametrize("mode", ["fast", "inspect"])
def test_shuffles_votes_matches_and_reductions(run, mode):
    got = [[int(v) for v in line.split()] for line in run(PROGRAM, "warps", mode=mode).lines]
    lanes = [t % 32 for t in range(64)]
    thirds = sum(1 << n for n in range(0, 32, 3))
    signed = thirds - 2**32 if thirds >= 2**31 else thirds
    octet = [0xff << n // 8 * 8 for n in lanes]
    total = sum(n * n for n in range(32)) - 40 + reduce(int.__xor__, range(7, 39))
    assert got == [
        [25] * 64,
        [(n - 3)**2 if n >= 3 else n * n for n in lanes],
        [(n + 3)**2 if n % 8 + 3 < 8 else n * n for n in lanes],
        [(n ^ 5)**2 for n in lanes],
        [signed] * 64,
        [11] * 64,
        [m - 2**32 if m >= 2**31 else m for m in octet],
        [1] * 64,
        [total] * 64,
        [2 * (n + 1) + 1 if n < 31 else 63 for n in lanes],
    ]


@pytest.mark.parametrize("mode", ["fast", "inspect"])
def test_cooperative_groups(run, mode):
    got = [[int(v) for v in line.split()] for line in run(PROGRAM, "groups", mode=mode).lines]
    ts = range(64)
    first = [t // 8 * 8 for t in ts]
    some = [[t for t in ts if t % 3 == 0 and t // 32 == w] for w in (0, 1)]
    mine = [some[t // 32] for t in ts]
    assert got == [
        [t % 8 * 100 + t // 8 % 4 * 10 + 8 for t in ts],
        [sum(range(f, f + 8)) for f in first],
        [sum(range(f, t + 1)) for f, t in zip(first, ts, strict=True)],
        [0b10101010] * 64,
        [len(m) * 100 + m.index(t) if t in m else 0 for t, m in zip(ts, mine, strict=True)],
        [m[1] + len(m) if t in m else 0 for t, m in zip(ts, mine, strict=True)],
        [(f + 3) * 9 + 3 for f in first],
        [40 + t % 8 // 2 for t in ts],
        [t % 8 for t in ts],
    ]


def test_a_shuffle_without_a_mask_is_an_error_that_says_what_to_write(executable, tmp_path):
    program = tmp_path / "old.cu"
    program.write_text("__global__ void k(int *x) {\n    x[0] = __shfl_down(x[0], 1);\n}\n"
                       "int main() { k<<<1, 32>>>(nullptr); }\n")
    with pytest.raises(BackendError, match=r"use __shfl_down_sync\(mask, value, delta\)") as error:
        executable(program, "fast")
    assert "x[0] = __shfl_down(x[0], 1);" in str(error.value)
