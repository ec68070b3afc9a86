// The stop rule, ||r|| <= tolerance ||y|| and ||x' - x|| <= tolerance max(||x||, ||x'||) for every image, and the guard
// against growth: fastip/stopping.py for every whole solve on CPUs and GPUs.
#pragma once
#include <cmath>
#include <cstdint>

#include "fastip/anywhere.hpp"
#include "fastip/kernels.hpp"

namespace fastip {
namespace {  // each instruction set compiles its own

enum Finding : int { kInfinite = 1, kLarge = 2, kGrown = 4 };  // of one image, or of all together

// From sums of squares. size: ||y||.
FASTIP_ANYWHERE double data_ratio(double residual, double size) { return std::sqrt(residual) / (size > 0 ? size : 1); }
FASTIP_ANYWHERE double change_ratio(double step, double old, double now) {
    const double before = std::sqrt(old), after = std::sqrt(now), larger = before > after ? before : after;
    return std::sqrt(step) / (larger > 0 ? larger : 1);
}

// before: the data ratio of the last look; none at the first.
FASTIP_ANYWHERE int findings(double data, double change, double before, bool first, double tolerance) {
    int found = 0;
    if (!std::isfinite(data) || !std::isfinite(change)) found |= kInfinite;
    if (!(data <= tolerance && change <= tolerance)) found |= kLarge;
    if (!first && data > before && data > 1) found |= kGrown;  // below 1 it may grow for a while in a sound solve
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
