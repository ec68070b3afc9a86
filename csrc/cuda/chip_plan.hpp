// What a block keeps in its shared memory when a cluster of blocks keeps a plane, and where.
#pragma once
#include "convolve.hpp"

namespace fastip {
namespace cuda {

// A band of rows x columns with margins, in shared memory.
struct Band {
    int offset;  // in floats, from the start of the block's memory
    int up, down, left, right;
    int pitch;  // columns with margins

    FASTIP_DEVICE int at(int i, int j) const { return offset + (i + up) * pitch + left + j; }
    constexpr int cells(int rows) const { return (rows + up + down) * pitch; }
};

struct ChipPlan {
    int h, w, rows, ranks;  // data grid; rows of a band
    int kh, kw, half, stride;
    int centre_row, centre_column;
    Boundary boundary;
    Band x, r, t;  // x: of one phase; the phases follow each other every `phase` floats
    // Offsets in floats; the scratch of the sums lies before all.
    int phase, q, y, forward, correction, backward, total;

    int bytes() const { return total * 4; }
};

struct alignas(8) WeightedOffset {  // one load for both
    int offset;
    float weight;
};

constexpr int down_div(int a, int b) { return a >= 0 ? a / b : -((b - 1 - a) / b); }

inline ChipPlan chip_plan(const AdmmArgs& a, int ranks) {
    ChipPlan p{};
    p.h = static_cast<int>(a.h), p.w = static_cast<int>(a.w), p.ranks = ranks,
    p.rows = static_cast<int>(ceil_div(a.h, ranks));
    p.kh = static_cast<int>(a.kh), p.kw = static_cast<int>(a.kw), p.half = static_cast<int>(a.half),
    p.stride = static_cast<int>(a.stride);
    p.boundary = a.boundary, p.centre_row = p.kh / 2, p.centre_column = p.kw / 2;
    const int s = p.stride, low_row = -down_div(p.centre_row - p.kh + 1, s),
              low_column = -down_div(p.centre_column - p.kw + 1, s);
    const int high_row = p.centre_row / s, high_column = p.centre_column / s;
    std::int64_t used = 4 * 256;  // the scratch of the sums: 256 threads, two numbers of eight bytes
    const auto take = [&](std::int64_t floats) {
        const std::int64_t at = used;
        used += (floats + 3) / 4 * 4;  // parts begin on 16 bytes, the widest load of a thread
        return static_cast<int>(at);
    };
    const auto band = [&](int up, int down, int left, int right) {
        return Band{0, up, down, left, right, p.w + left + right};
    };
    p.x = band(low_row, high_row, low_column, high_column), p.r = band(p.half, p.half, p.half, p.half),
    p.t = band(high_row, low_row, high_column, low_column);
    p.phase = p.x.cells(p.rows);
    p.backward = take(static_cast<std::int64_t>(low_row + high_row + 1) * (low_column + high_column + 1) * s * s);
    p.forward = take(2 * a.kh * a.kw), p.correction = take(2 * (2 * a.half + 1) * (2 * a.half + 1));
    p.q = take(static_cast<std::int64_t>(p.rows) * p.w), p.y = take(static_cast<std::int64_t>(p.rows) * p.w);
    p.r.offset = take(p.r.cells(p.rows)), p.t.offset = take(p.t.cells(p.rows)),
    p.x.offset = take(static_cast<std::int64_t>(p.phase) * s * s);
    p.total = used > 1 << 20 ? 1 << 20 : static_cast<int>(used);  // far more than any block has
    return p;
}

}  // namespace cuda
}  // namespace fastip
