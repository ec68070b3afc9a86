// A^T y on tiles, then what an epilogue makes of each row of `stride` neighbours. Image pixel I sums psf[t] y[i] over
// stride i + centre - t = I. Cells (stride 2 to 4): a thread takes the stride x stride pixels of one data cell, so that
// a value of y serves all of them. Stride 1 is a correlation with the psf itself (convolve.hpp). Scatterless: one
// kernel for every stride, border, size and type.
#pragma once
#include "convolve.hpp"

namespace fastip {
namespace cuda {

struct PullGrid {
    int height, width;  // of the image, which is written
    int h, w;           // of the data, which are read
    int kh, kw, stride;
    int centre_row, centre_column;
    Boundary boundary;
    int tiles_down, tiles_across;
    std::int64_t planes;

    // Cell i reads data i + d for d from -before to after.
    static constexpr int before(int centre, int stride) { return centre / stride; }
    static constexpr int after(int k, int centre, int stride) { return (k - 1 - centre + stride - 1) / stride; }
};

template <class T, class Epilogue>
struct PullParams {
    PullGrid grid;
    const T* in;
    const double* psf;
    Epilogue epilogue;
    Gate gate;
};

template <class T, int S, class Epilogue>
struct Cells {
    using A = Sum<T>;
    using Params = PullParams<T, Epilogue>;
    static constexpr int threads = 256, kBlocks = 4, kRows = 8, kColumns = 32, kStride = S;

    static std::size_t shared(const PullGrid& g) {
        const std::size_t down = g.before(g.centre_row, S) + g.after(g.kh, g.centre_row, S),
                          across = g.before(g.centre_column, S) + g.after(g.kw, g.centre_column, S);
        return Epilogue::kScratch * threads +
               sizeof(A) * ((down + 1) * (across + 1) * S * S + (kRows + down) * (kColumns + across));
    }

    static FASTIP_DEVICE void run(const Block<threads>& block, unsigned char* memory, const Params& p) {
        if (p.gate.closed()) return;
        const PullGrid& g = p.grid;
        const int up = g.before(g.centre_row, S), left = g.before(g.centre_column, S);
        const int down = up + g.after(g.kh, g.centre_row, S), across = left + g.after(g.kw, g.centre_column, S),
                  pitch = kColumns + across;
        const int tile_across = block.index % g.tiles_across, rest = block.index / g.tiles_across;
        const int tile_row = rest % g.tiles_down * kRows, tile_column = tile_across * kColumns;
        const std::int64_t plane = rest / g.tiles_down;
        double* scratch = reinterpret_cast<double*>(memory);
        A* weights = reinterpret_cast<A*>(memory + Epilogue::kScratch * threads);  // by shift, then by phase
        A* values = weights + (down + 1) * (across + 1) * S * S;
        block.each([&](int t) {
            for (int k = t; k < (down + 1) * (across + 1) * S * S; k += threads) {
                const int shift = k / (S * S), phase = k % (S * S);
                const int u = S * (shift / (across + 1) - up) + g.centre_row - phase / S,
                          v = S * (shift % (across + 1) - left) + g.centre_column - phase % S;
                weights[k] = u >= 0 && u < g.kh && v >= 0 && v < g.kw ? static_cast<A>(p.psf[u * g.kw + v]) : A(0);
            }
            const T* data = p.in + plane * g.h * g.w;
            for (int i = t / 32; i < kRows + down; i += threads / 32) {
                const int row = source(tile_row - up + i, g.h, g.boundary);
                for (int j = t % 32; j < pitch; j += 32) {
                    const int column = row < 0 ? -1 : source(tile_column - left + j, g.w, g.boundary);
                    values[i * pitch + j] =
                        column < 0 ? A(0) : load(data + static_cast<std::int64_t>(row) * g.w + column);
                }
            }
        });
        const auto finish = [&](int t) {
            const int ty = t / 32, tx = t % 32;
            A sum[S][S] = {};
            FASTIP_NO_UNROLL
            for (int i = 0; i <= down; ++i) {
                FASTIP_UNROLL(2)  // more would spill the sums
                for (int j = 0; j <= across; ++j)
                    add_shift(sum, values[(ty + i) * pitch + tx + j], weights + (i * (across + 1) + j) * S * S);
            }
            typename Epilogue::Total total{};
            const int row = (tile_row + ty) * S, column = (tile_column + tx) * S,
                      count = g.width - column < S ? g.width - column : S;
            FASTIP_UNROLL(S)
            for (int a = 0; a < S; ++a)
                if (row + a < g.height && count > 0)
                    p.epilogue.template take_row<S>((plane * g.height + row + a) * g.width + column, sum[a], count,
                                                    total);
            total.keep(scratch, t);
        };
        finish_and_reduce<Epilogue>(block, finish, scratch, p.epilogue);
    }

    static FASTIP_DEVICE void add_shift(A (&sum)[S][S], A value, const A* weights) {
        if constexpr (S == 3) {  // three numbers cannot be loaded at once
            FASTIP_UNROLL(9)
            for (int k = 0; k < 9; ++k) sum[k / 3][k % 3] += weights[k] * value;
        } else {
            FASTIP_UNROLL(S)
            for (int a = 0; a < S; ++a) {
                const Pack<A, S> row = reinterpret_cast<const Pack<A, S>*>(weights)[a];
                FASTIP_UNROLL(S)
                for (int b = 0; b < S; ++b) sum[a][b] += row.value[b] * value;
            }
        }
    }
};

// One pixel a thread, a warp a row of the tile. At a reflecting border every pixel of the extended image that mirrors
// this one adds its sum.
template <class T, class Epilogue>
struct Scatterless {
    using A = Sum<T>;
    using Params = PullParams<T, Epilogue>;
    static constexpr int threads = 256, kBlocks = 4, kRows = 8, kColumns = 32, kStride = 1;

    static std::size_t shared(const PullGrid&) { return Epilogue::kScratch * threads; }

    static FASTIP_DEVICE void run(const Block<threads>& block, unsigned char* memory, const Params& p) {
        if (p.gate.closed()) return;
        const PullGrid& g = p.grid;
        const int tile_across = block.index % g.tiles_across, rest = block.index / g.tiles_across;
        const std::int64_t plane = rest / g.tiles_down;
        double* scratch = reinterpret_cast<double*>(memory);
        const auto finish = [&](int t) {
            const int i = rest % g.tiles_down * kRows + t / 32, j = tile_across * kColumns + t % 32;
            typename Epilogue::Total total{};
            if (i < g.height && j < g.width) {
                const A sum[1] = {sum_at(p, p.in + plane * g.h * g.w, i, j)};
                p.epilogue.template take_row<1>((plane * g.height + i) * g.width + j, sum, 1, total);
            }
            total.keep(scratch, t);
        };
        finish_and_reduce<Epilogue>(block, finish, scratch, p.epilogue);
    }

    // The pixels of the extended axis that stand for pixel i: number 0 is i itself, the others its mirror images,
    // nearer ones first.
    static FASTIP_DEVICE int image(int i, int size, int number) {
        if (number == 0) return i;
        const int far = (number + 3) / 4 * 2 * size, near = far - 2 * size;
        switch ((number - 1) % 4) {
            case 0:
                return -1 - i - near;
            case 1:
                return far - 1 - i;
            case 2:
                return i - far;
            default:
                return i + far;
        }
    }
    static FASTIP_DEVICE int images(int size, int k, Boundary boundary) {
        return boundary == Boundary::reflect ? 1 + 4 * ((k + 2 * size - 1) / (2 * size)) : 1;
    }

    static FASTIP_DEVICE A sum_at(const Params& p, const T* data, int i, int j) {
        const PullGrid& g = p.grid;
        const int down = images(g.height, g.kh, g.boundary), across = images(g.width, g.kw, g.boundary);
        A sum = 0;
        FASTIP_NO_UNROLL
        for (int n = 0; n < down * across; ++n)
            sum += sum_of_image(g, p.psf, data, image(i, g.height, n / across) - g.centre_row,
                                image(j, g.width, n % across) - g.centre_column);
        return sum;
    }

    // sum over u, v with stride m = row + u, stride n = column + v of psf[u, v] data[m, n]
    static FASTIP_DEVICE A sum_of_image(const PullGrid& g, const double* psf, const T* data, int row, int column) {
        A sum = 0;
        FASTIP_NO_UNROLL
        for (int u = first_tap(row, g.stride); u < g.kh; u += g.stride) {
            const int m = source((row + u) / g.stride, g.h, folded(g.boundary));
            if (m < 0) continue;
            FASTIP_NO_UNROLL
            for (int v = first_tap(column, g.stride); v < g.kw; v += g.stride) {
                const int n = source((column + v) / g.stride, g.w, folded(g.boundary));
                if (n >= 0)
                    sum += static_cast<A>(psf[u * g.kw + v]) * load(data + static_cast<std::int64_t>(m) * g.w + n);
            }
        }
        return sum;
    }
    static FASTIP_DEVICE Boundary folded(Boundary b) { return b == Boundary::circular ? b : Boundary::zero; }
    static FASTIP_DEVICE int first_tap(int offset, int stride) {
        const int remainder = offset % stride;
        return remainder == 0 ? 0 : remainder > 0 ? stride - remainder : -remainder;
    }
};

template <class Kernel>
std::int64_t try_pull(typename Kernel::Params p, Stream stream, bool always) {
    PullGrid& g = p.grid;
    const std::size_t shared = Kernel::shared(g);
    if (!always && shared > kSharedBytes) return 0;
    g.tiles_down = static_cast<int>(ceil_div(ceil_div(g.height, Kernel::kStride), Kernel::kRows));
    g.tiles_across = static_cast<int>(ceil_div(ceil_div(g.width, Kernel::kStride), Kernel::kColumns));
    const std::int64_t tiles = static_cast<std::int64_t>(g.tiles_down) * g.tiles_across;
    launch<Kernel>(g.planes * tiles, shared, stream, p);
    return tiles;
}

// T: the type of the data. Returns the blocks it made for each plane.
template <class T, class Epilogue>
std::int64_t pull(const PullParams<T, Epilogue>& p, Stream stream) {
    const PullGrid& g = p.grid;
    if constexpr (!std::is_same_v<T, double>) {
        if (g.boundary != Boundary::reflect) {
            const Boundary outside = g.boundary == Boundary::circular ? g.boundary : Boundary::zero;
            const Grid one{g.h,   g.w,     g.height, g.width, g.kh,    g.kw, 1, -g.centre_row, -g.centre_column,
                           false, outside, 0,        0,       g.planes};
            std::int64_t tiles = 0;
            if (g.stride == 1)
                tiles = try_launch<Slide<T, Epilogue>>({one, p.in, p.psf, p.epilogue, p.gate}, stream, false);
            if (g.stride == 2) tiles = try_pull<Cells<T, 2, Epilogue>>(p, stream, false);
            if (g.stride == 3) tiles = try_pull<Cells<T, 3, Epilogue>>(p, stream, false);
            if (g.stride == 4) tiles = try_pull<Cells<T, 4, Epilogue>>(p, stream, false);
            if (tiles) return tiles;
        }
    }
    return try_pull<Scatterless<T, Epilogue>>(p, stream, true);
}

inline PullGrid pull_grid(std::int64_t planes, std::int64_t height, std::int64_t width, std::int64_t h, std::int64_t w,
                          std::int64_t kh, std::int64_t kw, std::int64_t stride, Boundary boundary) {
    const auto centre = [&](std::int64_t k) { return static_cast<int>(boundary == Boundary::valid ? k - 1 : k / 2); };
    return {static_cast<int>(height),
            static_cast<int>(width),
            static_cast<int>(h),
            static_cast<int>(w),
            static_cast<int>(kh),
            static_cast<int>(kw),
            static_cast<int>(stride),
            centre(kh),
            centre(kw),
            boundary,
            0,
            0,
            planes};
}

}  // namespace cuda
}  // namespace fastip
