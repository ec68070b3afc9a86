// What both directions of the strided convolution share: whether the psf is an outer product, and rows of sums.
#pragma once
#include <cmath>
#include <cstdint>
#include <limits>

#include "fastip/boundary.hpp"
#include "fastip/combine.hpp"
#include "fastip/kernels.hpp"
#include "fastip/parallel.hpp"

namespace fastip {
namespace {

inline std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return -floor_div(-a, b); }
inline std::int64_t smaller(std::int64_t a, std::int64_t b) { return a < b ? a : b; }

// The psf, flipped (so that everything is a correlation), and its two factors where it is an outer product to the
// precision of T.
template <class T>
struct Weights {
    std::int64_t kh, kw;
    Buffer<double> full, column, row;
    bool separable = false;

    explicit Weights(const ConvArgs& g) : kh(g.kh), kw(g.kw), full(kh * kw), column(kh), row(kw) {
        if (!*this) return;
        std::int64_t pivot = 0;
        for (std::int64_t i = 0; i < kh * kw; ++i) {
            full[i] = g.psf[kh * kw - 1 - i];
            if (std::fabs(full[i]) > std::fabs(full[pivot])) pivot = i;
        }
        for (std::int64_t a = 0; a < kh; ++a) column[a] = full[a * kw + pivot % kw];
        for (std::int64_t b = 0; b < kw; ++b) row[b] = full[pivot] == 0 ? 0 : full[pivot / kw * kw + b] / full[pivot];
        separable = full[pivot] != 0;
        // A few roundings of T: a smaller bound misses products that come rounded to T, a larger one changes results.
        const double tolerance = 4 * std::fabs(full[pivot]) * static_cast<double>(std::numeric_limits<T>::epsilon());
        for (std::int64_t i = 0; i < kh * kw; ++i)
            separable = separable && std::fabs(full[i] - column[i / kw] * row[i % kw]) <= tolerance;
    }
    explicit operator bool() const { return full && column && row; }

    static std::int64_t nonzero(const double* values, std::int64_t n) {
        std::int64_t count = 0;
        for (std::int64_t i = 0; i < n; ++i) count += values[i] != 0;
        return count;
    }
    std::int64_t taps() const { return nonzero(full, kh * kw); }
    std::int64_t column_taps() const { return nonzero(column, kh); }
    std::int64_t row_taps() const { return nonzero(row, kw); }
};

}  // namespace
}  // namespace fastip
