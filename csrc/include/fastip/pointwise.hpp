// The prox of a pointwise prior, for every kernel on CPUs and GPUs.
#pragma once
#include "fastip/anywhere.hpp"

namespace fastip {
namespace {  // each instruction set compiles its own

// Comparisons, not fmin: they vectorise, and a NaN goes through.
template <class T>
FASTIP_ANYWHERE T clip(T a, T low, T high) {
    const T c = a < low ? low : a;
    return c > high ? high : c;
}

// clip(soft(a, threshold) * shrink, low, high)
template <class T>
struct Prox {
    T threshold, shrink, low, high;

    // From any argument struct with these four numbers.
    template <class Args>
    static Prox of(const Args& args) {
        return {static_cast<T>(args.threshold > 0 ? args.threshold : 0), static_cast<T>(args.shrink),
                static_cast<T>(args.low), static_cast<T>(args.high)};
    }
    FASTIP_ANYWHERE T operator()(T a) const { return clip((a - clip(a, -threshold, threshold)) * shrink, low, high); }
};

}  // namespace
}  // namespace fastip
