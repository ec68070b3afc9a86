// What stands beyond the border of an axis, for every kernel on CPUs and GPUs.
#pragma once
#include "fastip/anywhere.hpp"
#include "fastip/kernels.hpp"

namespace fastip {
namespace {  // each instruction set compiles its own

// The largest whole number <= a / b, b > 0.
template <class Index>
FASTIP_ANYWHERE Index floor_div(Index a, Index b) {
    return a >= 0 ? a / b : -((b - 1 - a) / b);
}

// The pixel that stands at index i of the endlessly extended axis; -1 where there is none.
template <class Index>
FASTIP_ANYWHERE Index source(Index i, Index size, Boundary boundary) {
    if (i >= 0 && i < size) return i;
    if (boundary == Boundary::circular) {
        i %= size;
        return i < 0 ? i + size : i;
    }
    if (boundary != Boundary::reflect) return -1;
    i %= 2 * size;
    if (i < 0) i += 2 * size;
    return i < size ? i : 2 * size - 1 - i;
}

// Pixels that the psf reaches before the first one.
template <class Index>
FASTIP_ANYWHERE Index margin_before(Index k, Boundary boundary) {
    return boundary == Boundary::valid ? 0 : k - 1 - k / 2;
}

}  // namespace
}  // namespace fastip
