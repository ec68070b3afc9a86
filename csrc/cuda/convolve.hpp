// Correlation on tiles: sum over taps u of weight[u] in[stride i + first + u], then what an epilogue makes of each sum.
//   A x          weight = psf flipped, first = centre - (k - 1)
//   A^T y        at stride 1: weight = psf, first = -centre
//   C r          stride 1, as A
// Three kernels: Slide (stride 1, a window of registers), Phases (stride > 1, the tile is kept by phases so that no two
// threads meet in a bank) and Direct (double precision, and whatever does not fit into shared memory).
#pragma once
#include "reduce.hpp"
#include "scalar.hpp"

namespace fastip {
namespace cuda {

struct Grid {
    int height, width;  // of what is read
    int h, w;           // of what is written
    int kh, kw, stride;
    int first_row, first_column;
    bool flip;  // weight[u] = psf[k - 1 - u]
    Boundary boundary;
    int tiles_down, tiles_across;
    std::int64_t planes;
};

// The solve is over: the kernels that are still in the queue do nothing.
struct Gate {
    const int* over;
    FASTIP_DEVICE bool closed() const { return over && *over; }
};

template <class T, class Epilogue>
struct ConvolveParams {
    Grid grid;
    const T* in;
    const double* psf;
    Epilogue epilogue;
    Gate gate;
};

template <class A>
FASTIP_DEVICE A weight_at(const Grid& g, const double* psf, int u, int v) {
    return static_cast<A>(g.flip ? psf[(g.kh - 1 - u) * g.kw + g.kw - 1 - v] : psf[u * g.kw + v]);
}

// Where this block's tile lies.
struct Tile {
    std::int64_t plane;
    int row, column;
    FASTIP_DEVICE Tile(const Grid& g, int index, int rows, int columns) {
        const int across = index % g.tiles_across, rest = index / g.tiles_across;
        plane = rest / g.tiles_down;
        row = rest % g.tiles_down * rows;
        column = across * columns;
    }
};

// ---- stride 1 -------------------------------------------------------------------------------------------------------

// A thread makes four neighbours: eight values of a row serve sixteen products. A warp makes a row of a tile; more rows
// would read fewer margins twice and take more shared memory from other blocks.
template <class T, class Epilogue>
struct Slide {
    using A = Sum<T>;
    using Params = ConvolveParams<T, Epilogue>;
    static constexpr int threads = 256, kBlocks = 4, kRows = 8, kColumns = 128, kStride = 1;

    static int pitch(const Grid& g) { return kColumns + (g.kw + 3) / 4 * 4; }
    static std::size_t shared(const Grid& g) {
        const std::size_t weights = static_cast<std::size_t>(g.kh) * ((g.kw + 3) / 4 * 4);
        return Epilogue::kScratch * threads +
               sizeof(A) * (weights + static_cast<std::size_t>(kRows + g.kh - 1) * pitch(g));
    }

    static FASTIP_DEVICE void run(const Block<threads>& block, unsigned char* memory, const Params& p) {
        if (p.gate.closed()) return;
        const Grid& g = p.grid;
        const int wide = (g.kw + 3) / 4 * 4, pitch = kColumns + wide, rows = kRows + g.kh - 1;
        const Tile tile(g, block.index, kRows, kColumns);
        double* scratch = reinterpret_cast<double*>(memory);
        A* weights = reinterpret_cast<A*>(memory + Epilogue::kScratch * threads);
        A* values = weights + g.kh * wide;
        block.each([&](int t) {
            for (int k = t; k < g.kh * wide; k += threads)
                weights[k] = k % wide < g.kw ? weight_at<A>(g, p.psf, k / wide, k % wide) : A(0);
            const T* image = p.in + tile.plane * g.height * g.width;
            for (int i = t / 32; i < rows; i += threads / 32) {
                const int row = source(tile.row + g.first_row + i, g.height, g.boundary);
                FASTIP_UNROLL(4)
                for (int j = t % 32; j < pitch; j += 32) {
                    const int column = row < 0 ? -1 : source(tile.column + g.first_column + j, g.width, g.boundary);
                    values[i * pitch + j] =
                        column < 0 ? A(0) : load(image + static_cast<std::int64_t>(row) * g.width + column);
                }
            }
        });
        const auto finish = [&](int t) {
            const int ty = t / 32, tx = t % 32;
            A sum[4] = {};
            for (int u = 0; u < g.kh; ++u) add_row(sum, values + (ty + u) * pitch + 4 * tx, weights + u * wide, g.kw);
            typename Epilogue::Total total{};
            const int row = tile.row + ty;
            const std::int64_t at = (tile.plane * g.h + row) * g.w;
            FASTIP_UNROLL(4)
            for (int k = 0; k < 4; ++k) {
                const int column = tile.column + 4 * tx + k;
                if (row < g.h && column < g.w) p.epilogue.take(at + column, sum[k], total);
            }
            total.keep(scratch, t);
        };
        finish_and_reduce<Epilogue>(block, finish, scratch, p.epilogue);
    }

    static FASTIP_DEVICE void add_row(A (&sum)[4], const A* values, const A* weights, int taps) {
        using Quad = Pack<A, 4>;
        Quad low = *reinterpret_cast<const Quad*>(values);
        int v = 0;
        for (; v + 4 <= taps; v += 4) {
            const Quad high = *reinterpret_cast<const Quad*>(values + v + 4),
                       weight = *reinterpret_cast<const Quad*>(weights + v);
            FASTIP_UNROLL(4)
            for (int j = 0; j < 4; ++j) {
                FASTIP_UNROLL(4)
                for (int k = 0; k < 4; ++k)
                    sum[k] += weight.value[j] * (j + k < 4 ? low.value[(j + k) & 3] : high.value[(j + k) & 3]);
            }
            low = high;
        }
        // The last one to three taps read no further than they must: what stands beyond is not multiplied, not even by
        // zero.
        for (; v < taps; ++v) {
            FASTIP_UNROLL(4)
            for (int k = 0; k < 4; ++k) sum[k] += weights[v] * values[v + k];
        }
    }
};

// ---- stride > 1 -----------------------------------------------------------------------------------------------------

// A thread makes two pixels of a column, eight rows apart, which share each weight.
template <class T, int S, class Epilogue>
struct Phases {
    using A = Sum<T>;
    using Params = ConvolveParams<T, Epilogue>;
    // Two sums a thread: fewer registers than Slide, so a fifth block fits.
    static constexpr int threads = 256, kBlocks = 5, kRows = 16, kColumns = 32, kStride = S;

    // Entries of a phase of a row: enough, and 32 / S modulo 32, so that the phases of neighbouring columns fall into
    // different banks.
    static constexpr int length(int kw) { return (kColumns - 1 + (kw + S - 1) / S - 32 / S + 31) / 32 * 32 + 32 / S; }
    static std::size_t shared(const Grid& g) {
        const std::size_t lines = (kRows - 1) * S + g.kh, pitch = static_cast<std::size_t>(S) * length(g.kw);
        return Epilogue::kScratch * threads + sizeof(A) * (static_cast<std::size_t>(g.kh) * g.kw + lines * pitch);
    }

    static FASTIP_DEVICE void run(const Block<threads>& block, unsigned char* memory, const Params& p) {
        if (p.gate.closed()) return;
        const Grid& g = p.grid;
        const int phase = length(g.kw), pitch = S * phase, lines = (kRows - 1) * S + g.kh,
                  columns = (kColumns - 1) * S + g.kw;
        const Tile tile(g, block.index, kRows, kColumns);
        double* scratch = reinterpret_cast<double*>(memory);
        A* weights = reinterpret_cast<A*>(memory + Epilogue::kScratch * threads);
        A* values = weights + g.kh * g.kw;
        block.each([&](int t) {
            for (int k = t; k < g.kh * g.kw; k += threads) weights[k] = weight_at<A>(g, p.psf, k / g.kw, k % g.kw);
            const T* image = p.in + tile.plane * g.height * g.width;
            for (int i = t / 32; i < lines; i += threads / 32) {
                const int row = source(tile.row * S + g.first_row + i, g.height, g.boundary);
                FASTIP_UNROLL(4)
                for (int j = t % 32; j < columns; j += 32) {
                    const int column = row < 0 ? -1 : source(tile.column * S + g.first_column + j, g.width, g.boundary);
                    values[i * pitch + j % S * phase + j / S] =
                        column < 0 ? A(0) : load(image + static_cast<std::int64_t>(row) * g.width + column);
                }
            }
        });
        const auto finish = [&](int t) {
            const int ty = t / 32, tx = t % 32;
            A upper = 0, lower = 0;
            for (int u = 0; u < g.kh; ++u) {
                const A* line = values + (ty * S + u) * pitch + tx;
                const A* row = weights + u * g.kw;
                FASTIP_UNROLL(4)
                for (int v = 0; v < g.kw; ++v) {
                    const A* value = line + v % S * phase + v / S;
                    upper += row[v] * value[0];
                    lower += row[v] * value[8 * S * pitch];
                }
            }
            typename Epilogue::Total total{};
            const int row = tile.row + ty, column = tile.column + tx;
            const std::int64_t at = (tile.plane * g.h + row) * g.w + column;
            if (column < g.w && row < g.h) p.epilogue.take(at, upper, total);
            if (column < g.w && row + 8 < g.h) p.epilogue.take(at + 8 * static_cast<std::int64_t>(g.w), lower, total);
            total.keep(scratch, t);
        };
        finish_and_reduce<Epilogue>(block, finish, scratch, p.epilogue);
    }
};

// ---- any stride, any size, any type ---------------------------------------------------------------------------------

template <class T, class Epilogue>
struct Direct {
    using A = Sum<T>;
    using Params = ConvolveParams<T, Epilogue>;
    static constexpr int threads = 256, kBlocks = 4, kRows = 8, kColumns = 32, kStride = 0;

    static std::size_t shared(const Grid&) { return Epilogue::kScratch * threads; }

    static FASTIP_DEVICE void run(const Block<threads>& block, unsigned char* memory, const Params& p) {
        if (p.gate.closed()) return;
        const Grid& g = p.grid;
        const Tile tile(g, block.index, kRows, kColumns);
        double* scratch = reinterpret_cast<double*>(memory);
        const auto finish = [&](int t) {
            const int i = tile.row + t / 32, j = tile.column + t % 32;
            typename Epilogue::Total total{};
            if (i < g.h && j < g.w)
                p.epilogue.take((tile.plane * g.h + i) * g.w + j, sum_at(p, tile.plane, i, j), total);
            total.keep(scratch, t);
        };
        finish_and_reduce<Epilogue>(block, finish, scratch, p.epilogue);
    }

    static FASTIP_DEVICE A sum_at(const Params& p, std::int64_t plane, int i, int j) {
        const Grid& g = p.grid;
        const T* image = p.in + plane * g.height * g.width;
        A sum = 0;
        for (int u = 0; u < g.kh; ++u) {
            const int row = source(i * g.stride + g.first_row + u, g.height, g.boundary);
            if (row < 0) continue;
            for (int v = 0; v < g.kw; ++v) {
                const int column = source(j * g.stride + g.first_column + v, g.width, g.boundary);
                if (column >= 0)
                    sum +=
                        weight_at<A>(g, p.psf, u, v) * load(image + static_cast<std::int64_t>(row) * g.width + column);
            }
        }
        return sum;
    }
};

// ---- the choice -----------------------------------------------------------------------------------------------------

template <class Kernel>
std::int64_t try_launch(typename Kernel::Params p, Stream stream, bool always) {
    const std::size_t shared = Kernel::shared(p.grid);
    if (!always && shared > kSharedBytes) return 0;
    Grid& g = p.grid;
    g.tiles_down = static_cast<int>(ceil_div(g.h, Kernel::kRows));
    g.tiles_across = static_cast<int>(ceil_div(g.w, Kernel::kColumns));
    const std::int64_t tiles = static_cast<std::int64_t>(g.tiles_down) * g.tiles_across;
    launch<Kernel>(g.planes * tiles, shared, stream, p);
    return tiles;
}

// Returns the blocks it made for each plane.
template <class T, class Epilogue>
std::int64_t convolve(const ConvolveParams<T, Epilogue>& p, Stream stream) {
    if constexpr (!std::is_same_v<T, double>) {
        const int s = p.grid.stride;
        std::int64_t tiles = 0;
        // The strides that are compiled; another one, or a tile that does not fit, is left to Direct.
        if (s == 1) tiles = try_launch<Slide<T, Epilogue>>(p, stream, false);
        if constexpr (Epilogue::kStrided) {
            if (s == 2) tiles = try_launch<Phases<T, 2, Epilogue>>(p, stream, false);
            if (s == 3) tiles = try_launch<Phases<T, 3, Epilogue>>(p, stream, false);
            if (s == 4) tiles = try_launch<Phases<T, 4, Epilogue>>(p, stream, false);
        }
        if (tiles) return tiles;
    }
    return try_launch<Direct<T, Epilogue>>(p, stream, true);
}

// The grid of A x, or of C r with stride 1.
inline Grid forward_grid(std::int64_t planes, std::int64_t height, std::int64_t width, std::int64_t h, std::int64_t w,
                         std::int64_t kh, std::int64_t kw, std::int64_t stride, Boundary boundary) {
    const auto first = [&](std::int64_t k) {
        return static_cast<int>(boundary == Boundary::valid ? 0 : k / 2 - (k - 1));
    };
    return {static_cast<int>(height),
            static_cast<int>(width),
            static_cast<int>(h),
            static_cast<int>(w),
            static_cast<int>(kh),
            static_cast<int>(kw),
            static_cast<int>(stride),
            first(kh),
            first(kw),
            true,
            boundary,
            0,
            0,
            planes};
}

}  // namespace cuda
}  // namespace fastip
