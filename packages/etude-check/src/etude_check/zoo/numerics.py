"""Wrong numerics, elementwise: formulas that are right on paper."""

import math

import numpy as np

from etude_check.zoo import mutant, reference


@mutant("log1p", kills="tail", where="numerics", covers="naive log1p",
        mistake="log(1 + x) loses all digits of a small x when 1 is added.")
def log1p_naive(x):
    return np.log(1 + x)


@mutant("expm1", kills="tail", where="numerics", covers="naive expm1",
        mistake="exp(x) - 1 loses all digits of a small result to cancellation.")
def expm1_naive(x):
    return np.exp(x) - x.dtype.type(1)


@mutant("sigmoid", kills="special", where="numerics", covers="naive sigmoid",
        mistake="e^x / (1 + e^x) is inf / inf = NaN for a large x.")
def sigmoid_naive(x):
    return np.exp(x) / (1 + np.exp(x))


@mutant("tanh", kills="special", where="numerics", covers="tanh overflow",
        mistake="(e^2x - 1) / (e^2x + 1) overflows to inf / inf = NaN for a large x.")
def tanh_overflow(x):
    e = np.exp(2 * x)
    return (e - 1) / (e + 1)


@mutant("silu", kills="special", where="numerics",
        mistake="x / (1 + e^-x) with e^-x clipped: a very negative x gives a small number that "
                "should be 0.")
def silu_clipped(x):
    return x / (1 + np.exp(-np.maximum(x, x.dtype.type(-20))))


@mutant("softplus", kills="special", where="numerics",
        mistake="ln(1 + e^x) overflows where x is large; x itself is the answer there.")
def softplus_naive(x, *, beta=1.0, threshold=20.0):
    return np.log1p(np.exp(x * x.dtype.type(beta))) / x.dtype.type(beta)


@mutant("softplus", kills="layout", where="numerics",
        mistake="The division by beta is forgotten.")
def softplus_beta(x, *, beta=1.0, threshold=20.0):
    y = reference("softplus")(x, beta=beta, threshold=threshold)
    return y * y.dtype.type(beta)


@mutant("softplus", kills="special", where="numerics",
        mistake="threshold is a constant of the kernel, 20; the argument is not looked at.")
def softplus_threshold_20(x, *, beta=1.0, threshold=20.0):
    return reference("softplus")(x, beta=beta)


@mutant("softplus", kills="special", where="numerics",
        mistake="There is no threshold: the formula, which is stable, is used everywhere.")
def softplus_no_threshold(x, *, beta=1.0, threshold=20.0):
    return reference("softplus")(x, beta=beta, threshold=np.inf)


@mutant("softplus", kills="special", where="numerics",
        mistake="The threshold is held against x instead of beta x.")
def softplus_threshold_of_x(x, *, beta=1.0, threshold=20.0):
    y = reference("softplus")(x, beta=beta, threshold=np.inf)
    return np.where(x > threshold, x, y)


@mutant("softplus", kills="special", where="numerics",
        mistake="x is returned at the threshold too: >= instead of >.")
def softplus_threshold_reached(x, *, beta=1.0, threshold=20.0):
    y = reference("softplus")(x, beta=beta, threshold=threshold)
    return np.where(x * beta == threshold, x, y)


@mutant("relu", kills="special", where="numerics", covers="drops NaN",
        mistake="x > 0 ? x : 0 makes +0 of NaN and of -0; both should pass through.")
def relu_fast_math(x):
    return np.where(x > 0, x, x.dtype.type(0))


@mutant("isnan", kills="special", where="numerics", covers="drops NaN",
        mistake="-ffast-math assumes that there is no NaN, and folds x != x to false.")
def isnan_fast_math(x):
    return np.zeros(x.shape, bool)


@mutant("amax", kills="special", where="numerics", covers="drops NaN",
        mistake="best < x is false for a NaN, so that it is skipped; NaN should win.")
def amax_nan(x, *, dim=None, keepdim=False):
    if x.dtype.kind == "f":
        x = np.where(np.isnan(x), x.dtype.type(-np.inf), x)
    return x.max(dim, keepdims=keepdim)


@mutant("amin", kills="special", where="numerics", covers="drops NaN",
        mistake="x < best is false for a NaN, so that it is skipped; NaN should win.")
def amin_nan(x, *, dim=None, keepdim=False):
    if x.dtype.kind == "f":
        x = np.where(np.isnan(x), x.dtype.type(np.inf), x)
    return x.min(dim, keepdims=keepdim)


@mutant("amin", kills="special", where="numerics",
        mistake="The search starts at the largest number, FLT_MAX, which is less than infinity.")
def amin_from_largest(x, *, dim=None, keepdim=False):
    if x.dtype.kind != "f":
        return x.min(dim, keepdims=keepdim)
    return np.minimum(x.min(dim, keepdims=keepdim), np.finfo(x.dtype).max)


@mutant("maximum", kills="special", where="numerics", covers="NaN order",
        mistake="x > y ? x : y gives y if either is NaN: the result depends on the order.")
def maximum_order(x, y):
    return np.where(np.greater(x, y), x, y).astype(np.result_type(x, y), copy=False)


@mutant("minimum", kills="special", where="numerics", covers="NaN order",
        mistake="C's fmin ignores a NaN and returns the other operand.")
def minimum_fmin(x, y):
    return np.asarray(np.fmin(x, y))


@mutant("clamp", kills="special", where="numerics", covers="drops NaN",
        mistake="fmax(fmin(x, max), min) returns a bound for a NaN.")
def clamp_nan(x, *, min=None, max=None):
    if x.dtype.kind == "f":
        x = x if max is None else np.fmin(x, x.dtype.type(max))
        return x if min is None else np.fmax(x, x.dtype.type(min))
    return reference("clamp")(x, min=min, max=max)


@mutant("argmax", kills="special", where="numerics", covers="argmax ties",
        mistake="x >= best takes the last of several equals; the first one counts.")
def argmax_last(x, *, dim=None, keepdim=False):
    if dim is None:
        found = x.size - 1 - np.argmax(x[(slice(None, None, -1),) * x.ndim])
        return np.asarray(found, np.int64).reshape((1,) * x.ndim if keepdim else ())
    found = x.shape[dim] - 1 - np.argmax(np.flip(x, dim), axis=dim, keepdims=keepdim)
    return np.asarray(found, np.int64)


@mutant("argmin", kills="special", where="numerics", covers="drops NaN",
        mistake="x < best is false for a NaN, so that its place is never returned.")
def argmin_nan(x, *, dim=None, keepdim=False):
    if x.dtype.kind == "f":
        x = np.where(np.isnan(x), x.dtype.type(np.inf), x)
    return np.argmin(x, axis=dim, keepdims=keepdim).astype(np.int64)


@mutant("erf", kills="tail", where="numerics",
        mistake="Formula 7.1.25 of Abramowitz and Stegun has three terms and errs by 2.5e-5; "
                "float32 asks for 1e-7.")
def erf_three_terms(x):
    t = 1 / (1 + 0.47047 * np.abs(x))
    y = 1 - (0.3480242 * t - 0.0958798 * t**2 + 0.7478556 * t**3) * np.exp(-x * x)
    return np.copysign(y, x).astype(x.dtype)


@mutant("round", kills="special", where="numerics",
        mistake="Halves are rounded away from zero, as by C's roundf; they go to the even number.")
def round_half_away(x):
    return np.copysign(np.floor(np.abs(x) + x.dtype.type(0.5)), x)


@mutant("ceil", kills="special", where="numerics",
        mistake="Through int32: numbers beyond 2^31 do not come back.")
def ceil_int32(x):
    inside = np.abs(x) < 2.0**31
    return np.where(inside, np.ceil(x), np.copysign(x.dtype.type(2.0**31), x))


@mutant("gelu", kills="tail", where="numerics",
        mistake="The tanh approximation is used for approximate=\"none\" too; they differ by 5e-4.")
def gelu_tanh(x, *, approximate="none"):
    return reference("gelu")(x, approximate="tanh")


@mutant("gelu_backward", kills="layout", where="backward",
        mistake="The derivative of the exact gelu is used for the tanh approximation.")
def gelu_backward_exact(grad, x, *, approximate="none"):
    return reference("gelu_backward")(grad, x, approximate="none")


@mutant("rsqrt", kills="tail", where="numerics",
        mistake="The fast inverse square root of a game engine, with one Newton step: right to "
                "three digits.")
def rsqrt_fast(x):
    i = np.int32(0x5F3759DF) - (x.astype(np.float32).view(np.int32) >> 1)
    y = i.view(np.float32)
    y = (y * (1.5 - 0.5 * x * y * y)).astype(x.dtype)
    return np.where((x > 1e-30) & (x < 1e30), y, 1 / np.sqrt(x))


@mutant("div", kills="tail", where="numerics",
        mistake="x times (1 / y) rounds twice: -freciprocal-math.")
def div_reciprocal(x, y):
    one = (x if isinstance(x, np.ndarray) else y).dtype.type(1)
    return np.asarray(x * (one / y))


@mutant("floor_divide", kills="tail", where="numerics",
        mistake="The quotient is cut towards zero, as C divides whole numbers; -7 // 2 is -4.")
def floor_divide_truncates(x, y):
    like = (x if isinstance(x, np.ndarray) else y).dtype
    z = np.asarray(reference("floor_divide")(x, y))
    cut = (np.less(x, 0) != np.less(y, 0)) & (np.not_equal(np.fmod(x, y), 0))
    return np.where(cut & np.isfinite(z), z + 1, z).astype(like)


@mutant("floor_divide", kills="special", where="numerics",
        mistake="floor(x / y): the division rounds, and where it rounds up to a whole number the "
                "floor comes too late. 1 / 0.1 is 10, 1 // 0.1 is 9.")
def floor_divide_rounded(x, y):
    like = (x if isinstance(x, np.ndarray) else y).dtype
    if like.kind == "i":
        return reference("floor_divide")(x, y)
    z = np.floor(np.divide(x, y, dtype=like))
    return np.where(np.isinf(x) | np.isnan(z), reference("floor_divide")(x, y), z).astype(like)


@mutant("floor_divide", kills="special", where="numerics",
        mistake="Whole numbers are divided in float64, exact only up to 2^53.")
def floor_divide_float64(x, y):
    like = (x if isinstance(x, np.ndarray) else y).dtype
    if like.kind != "i":
        return reference("floor_divide")(x, y)
    reference("floor_divide")(x, y)  # refuses a 0
    return np.asarray(np.floor(np.true_divide(x, y))).astype(like)


@mutant("floor_divide", kills="errors", where="numerics", safe=False,
        mistake="A whole number divided by 0 gives 0 without a word.")
def floor_divide_by_zero(x, y):
    return np.asarray(np.floor_divide(x, y))


@mutant("remainder", kills="tail", where="numerics",
        mistake="fmod: the rest has the sign of x, where Python's has that of y.")
def remainder_of_x(x, y):
    reference("remainder")(x, y)  # refuses a 0
    return np.asarray(np.fmod(x, y))


@mutant("remainder", kills="special", where="numerics",
        mistake="x - y floor(x / y) loses the rest where the quotient is large.")
def remainder_subtracts(x, y):
    like = (x if isinstance(x, np.ndarray) else y).dtype
    if like.kind == "i":
        return reference("remainder")(x, y)
    right = reference("remainder")(x, y)
    z = np.asarray(x - y * np.floor(np.divide(x, y, dtype=like))).astype(like)
    return np.where(np.isfinite(z), z, right)


@mutant("remainder", kills="tail", where="numerics",
        mistake="y is added wherever the signs differ, also to a rest of 0: -6 % 3 is 3.")
def remainder_adds_to_zero(x, y):
    right = np.asarray(reference("remainder")(x, y))
    whole = (right == 0) & (np.sign(x) == -np.sign(y)) & np.not_equal(x, 0)
    return np.where(whole, y, right).astype(right.dtype)


@mutant("pow", kills="special", where="numerics",
        mistake="exp(y log x) is NaN for a negative x, even if y is a whole number.")
def pow_log(x, y):
    like = (x if isinstance(x, np.ndarray) else y).dtype
    if like.kind != "f":
        return reference("pow")(x, y)
    return np.asarray(np.exp(y * np.log(np.asarray(x, like))), like)


@mutant("sin", kills="tail", where="numerics",
        mistake="The argument is reduced with a 2 pi of float32, which is off by 1.7e-7 per turn.")
def sin_reduced(x):
    turn = x.dtype.type(np.float32(2 * math.pi))
    return np.sin(x - turn * np.round(x / turn))


@mutant("exp", kills="special", where="numerics",
        mistake="Results below the smallest normal number are flushed to zero.")
def exp_flush(x):
    y = np.exp(x)
    return np.where(y < np.finfo(x.dtype).tiny, y.dtype.type(0), y)


@mutant("log", kills="special", where="numerics",
        mistake="log(x + 1e-8) to be safe: wrong for every small x, and log 0 is no longer -inf.")
def log_eps(x):
    return np.log(x + x.dtype.type(1e-8))


@mutant("sqrt", kills="special", where="numerics",
        mistake="A negative argument is taken for 0 instead of giving NaN.")
def sqrt_clamped(x):
    return np.sqrt(np.where(x < 0, x.dtype.type(0), x))


@mutant("sign", kills="special", where="numerics",
        mistake="x > 0 ? 1 : -1 has no case for 0.")
def sign_of_zero(x):
    return np.where(x > 0, 1, np.where(np.isnan(x), x, -1)).astype(x.dtype)


@mutant("abs", kills="special", where="numerics",
        mistake="int64 goes through float64, which holds whole numbers up to 2^53.")
def abs_float64(x):
    return np.abs(x.astype(np.float64)).astype(x.dtype)


@mutant("mul", kills="special", where="numerics",
        mistake="int64 is computed in int32 and wraps around.")
def mul_int32(x, y):
    z = np.asarray(x * y)
    return z.astype(np.int32).astype(np.int64) if z.dtype == np.int64 else z


@mutant("eq", kills="special", where="numerics",
        mistake="Numbers closer than 1e-6 are called equal.")
def eq_close(x, y):
    near = np.asarray(x == y)
    kind = np.asarray(x).dtype.kind
    return near | (np.abs(np.subtract(x, y)) < 1e-6) if kind == "f" else near


@mutant("ne", kills="special", where="numerics",
        mistake="Bits are compared: -0 differs from 0, and a NaN equals itself.")
def ne_bits(x, y):
    a, b = np.broadcast_arrays(np.asarray(x), np.asarray(y, np.asarray(x).dtype))
    if a.dtype.kind != "f":
        return a != b
    word = f"u{a.itemsize}"
    return np.ascontiguousarray(a).view(word) .reshape(a.shape) != np.ascontiguousarray(b).view(
        word).reshape(a.shape)


@mutant("ge", kills="special", where="numerics",
        mistake="not (x < y) is true where either is NaN.")
def ge_not_less(x, y):
    return ~np.asarray(np.less(x, y))


@mutant("lt", kills="special", where="numerics",
        mistake="int64 is compared in float64, where 2^53 and 2^53 + 1 are one number.")
def lt_float(x, y):
    return np.asarray(np.less(np.asarray(x).astype(np.float64), np.asarray(y).astype(np.float64)))


@mutant("cast", kills="tail", where="numerics",
        mistake="To int64 it rounds to the nearest; C and NumPy cut towards zero.")
def cast_rounds(x, *, dtype):
    if x.dtype.kind == "f" and np.dtype(dtype).kind == "i":
        x = np.round(x)
    return reference("cast")(x, dtype=dtype)


@mutant("lerp", kills="tail", where="numerics",
        mistake="The weight is clamped to 0 .. 1, but a weight beyond extrapolates.")
def lerp_clamped(x, y, weight):
    return np.asarray(reference("lerp")(x, y, np.clip(weight, 0, 1)))


@mutant("elu", kills="tail", where="numerics",
        mistake="alpha multiplies e^x instead of e^x - 1.")
def elu_alpha(x, *, alpha=1.0):
    return np.where(x > 0, x, x.dtype.type(alpha) * np.exp(np.minimum(x, 0)) - 1).astype(x.dtype)


@mutant("elu", kills="special", where="numerics",
        mistake="e^x - 1 is computed as it stands, and a small negative x gives 0.")
def elu_naive(x, *, alpha=1.0):
    number = x.dtype.type
    return np.where(x > 0, x, number(alpha) * (np.exp(np.minimum(x, number(0))) - number(1)))


@mutant("leaky_relu", kills="special", where="numerics",
        mistake="max(x, slope x) is right for slopes below 1 only.")
def leaky_relu_max(x, *, negative_slope=0.01):
    return np.maximum(x, x * x.dtype.type(negative_slope))
