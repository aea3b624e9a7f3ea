/* special.cpp: functions of the math library that C has not, in double. */
#define LAB_RUNTIME
#include <cmath>

#include "lab/math.h"

/* sin(pi x) and cos(pi x): x is reduced exactly, so that whole numbers give exact zeros. */
double sinpi(double x) {
    double r = fmod(x, 2.0); /* exact, in (-2, 2) */
    if (r > 1)
        r -= 2;
    if (r < -1)
        r += 2;
    if (fabs(r) > 0.5)
        r = copysign(1.0, r) - r; /* sin(pi - y) = sin(y) */
    return r == 0 ? copysign(0.0, x) : sin(M_PI * r);
}

double cospi(double x) {
    double r = fabs(fmod(x, 2.0));
    if (r > 1)
        r = 2 - r;
    if (r <= 0.25)
        return cos(M_PI * r);
    return r < 0.75 ? sin(M_PI * (0.5 - r)) : -cos(M_PI * (1 - r));
}

/* Newton's method with the second derivative (Halley's), from a guess that is good to 0.002
   (S. Winitzki, 2008). y - erfc(x) keeps its digits where y is small. */
double erfcinv(double y) {
    if (!(y > 0 && y < 2))
        return y == 0 ? INFINITY : y == 2 ? -INFINITY : NAN;
    if (y > 1)
        return -erfcinv(2 - y);
    double t = 1 - y, a = 0.147;
    double l = log(y * (2 - y)), b = 2 / (M_PI * a) + l / 2;
    double x = sqrt(sqrt(b * b - l / a) - b);
    if (t == 0)
        return 0;
    for (int i = 0; i < 4; i++) {
        double error = (erfc(x) - y) / (-2 / sqrt(M_PI) * exp(-x * x));
        x -= error / (1 + x * error);
    }
    return x;
}

double erfinv(double x) {
    if (fabs(x) > 0.5)
        return x > 0 ? erfcinv(1 - x) : -erfcinv(1 + x);
    double y = x * sqrt(M_PI) / 2;
    for (int i = 0; i < 6; i++) {
        double error = (erf(y) - x) / (2 / sqrt(M_PI) * exp(-y * y));
        y -= error / (1 + y * error);
    }
    return y;
}

/* exp(x x) erfc(x); beyond 25 by the asymptotic series, as erfc vanishes there. */
double erfcx(double x) {
    if (x < 25)
        return exp(x * x) * erfc(x);
    double s = 1 / (2 * x * x);
    return (1 - s * (1 - 3 * s * (1 - 5 * s))) / (x * sqrt(M_PI));
}

double normcdf(double x) { return erfc(-x / sqrt(2.0)) / 2; }

double normcdfinv(double p) { return -sqrt(2.0) * erfcinv(2 * p); }

double cyl_bessel_i0(double x) { return std::cyl_bessel_i(0.0, fabs(x)); }

double cyl_bessel_i1(double x) { return copysign(std::cyl_bessel_i(1.0, fabs(x)), x); }
