/* rounding.cpp: one operation rounded towards zero, up or down, by the CPU's rounding mode.

   The operands are volatile, so that the compiler does not move the operation out of the part in
   which the mode is set. */
#define LAB_RUNTIME
#include <fenv.h>

#include <cmath>

#include "lab/math.h"

namespace lab {

static int mode_of(Rounding mode) {
    switch (mode) {
    case Rounding::nearest: return FE_TONEAREST;
    case Rounding::zero: return FE_TOWARDZERO;
    case Rounding::up: return FE_UPWARD;
    case Rounding::down: return FE_DOWNWARD;
    }
    return FE_TONEAREST;
}

template <class T> static T apply(char op, T x, T y, T z, Rounding mode) {
    volatile T a = x, b = y, c = z, result = 0;
    int before = fegetround();
    fesetround(mode_of(mode));
    switch (op) {
    case '+': result = a + b; break;
    case '-': result = a - b; break;
    case '*': result = a * b; break;
    case '/': result = a / b; break;
    case 'r': result = std::sqrt(a); break;
    case 'f': result = std::fma(a, b, c); break;
    }
    fesetround(before);
    return result;
}

float rounded(char op, float a, float b, float c, Rounding mode) {
    return apply(op, a, b, c, mode);
}

double rounded(char op, double a, double b, double c, Rounding mode) {
    return apply(op, a, b, c, mode);
}

}
