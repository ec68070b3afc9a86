// The prox of a pointwise prior, for every kernel on CPUs and GPUs.
#pragma once
#include <cmath>

#include "fastip/anywhere.hpp"

namespace fastip {

// The numbers of the prox as an argument struct has them, which inherits this; and their names.
struct ProxArgs {
    double threshold, shrink, low, high;
};
#define FASTIP_PROX(F) F(threshold), F(shrink), F(low), F(high)

namespace {  // each instruction set compiles its own

// Comparisons, not fmin: they vectorise, and a NaN goes through.
template <class T>
FASTIP_ANYWHERE T clip(T a, T low, T high) {
    const T c = a < low ? low : a;
    return c > high ? high : c;
}

// A power of two that brings `size` near 1, so that squares of such numbers neither overflow nor vanish; 1 for 0.
inline double unit_for(double size) {
    const int exponent = size > 0 ? std::ilogb(size) : 0;
    return std::ldexp(1.0, exponent < -120 ? 120 : exponent > 120 ? -120 : -exponent);  // within float32
}

// clip(soft(a, threshold) * shrink, low, high)
template <class T>
struct Prox {
    T threshold, shrink, low, high;

    static Prox of(const ProxArgs& args) {
        return {static_cast<T>(args.threshold > 0 ? args.threshold : 0), static_cast<T>(args.shrink),
                static_cast<T>(args.low), static_cast<T>(args.high)};
    }
    FASTIP_ANYWHERE T operator()(T a) const { return clip((a - clip(a, -threshold, threshold)) * shrink, low, high); }
};

}  // namespace
}  // namespace fastip
