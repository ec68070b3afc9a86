// The stop rule and the guard against growth of every whole solve on CPUs and GPUs, as fastip/stopping.py has them:
// converged where beta ||x' - x|| + ||A|| ||beta (q' - q) - r'|| <= t max(2 beta ||A^T (2 q' - q)||, 0.2 t ||A^T y||),
// to rounding, for every image, r' being the residual of the next data step.
#pragma once
#include <cmath>
#include <cstdint>

#include "fastip/anywhere.hpp"
#include "fastip/kernels.hpp"

namespace fastip {
namespace {  // each instruction set compiles its own

enum Finding : int { kInfinite = 1, kLarge = 2, kGrown = 4 };  // of one image, or of all together

// What a residual may grow to before its growth counts: times that of the first look, and at least a tenth of it times
// the data. The same number as GROWTH in fastip/stopping.py.
constexpr double kGrowth = 10.0;

// Sums of squares of one image, in units of the solve: the residual, x' - x, beta (q' - q) - r', A^T (2 q' - q).
struct Sums {
    double r = 0, moved = 0, pending = 0, pulled = 0;
};

// size: ||y||.
FASTIP_ANYWHERE double data_ratio(const Sums& sums, double unit, double size) {
    return std::sqrt(sums.r) / unit / (size > 0 ? size : 1);
}

// norm: ||A||; floor: ||A^T y||; rounding: what an error is known to, beside the floor.
FASTIP_ANYWHERE double error_ratio(const Sums& sums, double unit, double beta, double norm, double floor,
                                   double tolerance, double rounding) {
    const double error = (beta * std::sqrt(sums.moved) + norm * std::sqrt(sums.pending)) / unit;
    const double spare = rounding * floor, left = error <= spare ? 0 : error - spare;
    const double pulled = 2 * beta * std::sqrt(sums.pulled) / unit, least = 0.2 * tolerance * floor;
    const double size = pulled > least ? pulled : least;
    return left / (size > 0 ? size : 1);
}

// begun, before: the data ratios of the first look and of the last; none at the first.
FASTIP_ANYWHERE int findings(double data, double error, double begun, double before, bool first, double tolerance) {
    int found = 0;
    if (!std::isfinite(data) || !std::isfinite(error)) found |= kInfinite;
    if (!(error <= tolerance)) found |= kLarge;
    const double large = kGrowth * (begun > 0.1 ? begun : 0.1);
    if (!first && data > before && data > large) found |= kGrown;
    return found;
}

// What the findings of all images come to; `iterations` where the solve goes on. growing: looks in a row at which the
// residual had grown.
template <class Count>
FASTIP_ANYWHERE AdmmStatus verdict(int found, Count& growing, std::int64_t every, std::int64_t patience) {
    growing = found & kGrown ? growing + 1 : 0;
    if (found & kInfinite || growing * every >= patience) return AdmmStatus::unstable;
    return found & kLarge ? AdmmStatus::iterations : AdmmStatus::converged;
}

}  // namespace
}  // namespace fastip
