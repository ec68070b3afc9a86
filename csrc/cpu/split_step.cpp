// The pointwise passes of a second split around its transforms. On the picture w = x - p, beside it w = -p; in Fourier
// space X = near W + far S and H X; behind them p' = p + X - x, beside the picture -X, s' = target + kept (2 H X - s) +
// s - H X and r = beta (X - x).
#include "fastip/kernels.hpp"
#include "fastip/parallel.hpp"

namespace fastip {
namespace {

using Index = std::int64_t;

template <class T>
__attribute__((noinline)) void difference(T* __restrict out, const T* __restrict a, const T* __restrict b, Index n) {
    for (Index i = 0; i < n; ++i) out[i] = a[i] - b[i];
}

template <class T>
__attribute__((noinline)) void negative(T* __restrict out, const T* __restrict a, Index n) {
    for (Index i = 0; i < n; ++i) out[i] = -a[i];
}

template <class T>
__attribute__((noinline)) void picture(T* __restrict dual, T* __restrict r, const T* __restrict image,
                                       const T* __restrict x, const T* __restrict p, Index n, T beta) {
    for (Index i = 0; i < n; ++i) {
        const T moved = image[i] - x[i];
        dual[i] = p[i] + moved;
        r[i] = beta * moved;
    }
}

template <class T>
__attribute__((noinline)) void second(T* __restrict out, const T* __restrict blurred, const T* __restrict s,
                                      const T* __restrict kept, const T* __restrict target, Index n) {
    for (Index i = 0; i < n; ++i) {
        const T beyond = s[i] - blurred[i];
        out[i] = target[i] + kept[i] * (blurred[i] - beyond) + beyond;
    }
}

// Interleaved: the real and the imaginary part of each number side by side.
template <class T>
__attribute__((noinline)) void mix(T* __restrict w, T* __restrict s, const T* __restrict spectrum,
                                   const T* __restrict near, const T* __restrict far, Index n) {
    for (Index i = 0; i < n; ++i) {
        const Index re = 2 * i, im = re + 1;
        const T a = near[i] * w[re] + (far[re] * s[re] - far[im] * s[im]);
        const T b = near[i] * w[im] + (far[re] * s[im] + far[im] * s[re]);
        w[re] = a, w[im] = b;
        s[re] = spectrum[re] * a - spectrum[im] * b;
        s[im] = spectrum[re] * b + spectrum[im] * a;
    }
}

// body(plane, row) for every row of the grids, each thread a contiguous part of them
template <class Args, class Body>
void rows(const Args& args, int threads, const Body& body) {
    const Index count = args.images * args.channels * args.grid_height;
    share(count, team_for(count, args.grid_width, threads), [&](Index begin, Index end, int) {
        for (Index k = begin; k < end; ++k) body(k / args.grid_height, k % args.grid_height);
    });
}

// Where the first split's dual of a plane begins; the second's lies `channels` grids behind it.
template <class Args>
Index first(const Args& args, Index plane) {
    return (plane + plane / args.channels * args.channels) * args.grid_height * args.grid_width;
}

template <class T>
void open(const SplitOpenArgs& args, int threads) {
    const T* x = static_cast<const T*>(args.x);
    const T* q = static_cast<const T*>(args.q);
    T* w = static_cast<T*>(args.w);
    const Index width = args.grid_width;
    rows(args, threads, [&](Index plane, Index row) {
        const T* p = q + first(args, plane) + row * width;
        T* out = w + (plane * args.grid_height + row) * width;
        const Index inside = row < args.height ? args.width : 0;
        if (inside) difference<T>(out, x + (plane * args.height + row) * args.width, p, inside);
        negative<T>(out + inside, p + inside, width - inside);
    });
}

template <class T>
void close(const SplitCloseArgs& args, int threads) {
    const T* images = static_cast<const T*>(args.image);
    const T* blurs = static_cast<const T*>(args.blurred);
    const T* xs = static_cast<const T*>(args.x);
    const T* q = static_cast<const T*>(args.q);
    const T* keeps = static_cast<const T*>(args.kept);
    const T* targets = static_cast<const T*>(args.target);
    T* dual = static_cast<T*>(args.dual);
    T* r = static_cast<T*>(args.r);
    const Index width = args.grid_width, grid = args.grid_height * width, behind = args.channels * grid;
    const T beta = static_cast<T>(args.beta);
    rows(args, threads, [&](Index plane, Index row) {
        const Index at = plane * grid + row * width, to = first(args, plane) + row * width;
        const Index inside = row < args.height ? args.width : 0;
        const Index seen = (plane / args.channels % args.kept_images) * args.kept_channels +
                           plane % args.channels % args.kept_channels;
        if (inside) {
            const Index pixel = (plane * args.height + row) * args.width;
            picture<T>(dual + to, r + pixel, images + at, xs + pixel, q + to, inside, beta);
        }
        negative<T>(dual + to + inside, images + at + inside, width - inside);
        second<T>(dual + to + behind, blurs + at, q + to + behind, keeps + seen * grid + row * width, targets + at,
                  width);
    });
}

template <class T>
void between(const SplitMixArgs& args, int threads) {
    T* w = static_cast<T*>(args.w);
    T* s = static_cast<T*>(args.s);
    const T* spectrum = static_cast<const T*>(args.spectrum);
    const T* near = static_cast<const T*>(args.near);
    const T* far = static_cast<const T*>(args.far);
    // Blocks of one plane, the planes of a block in turn: its factors, 20 or 40 KiB, stay in cache.
    constexpr Index kBlock = 1024;
    const Index blocks = (args.n + kBlock - 1) / kBlock;
    share(blocks, team_for(blocks, kBlock * args.planes, threads), [&](Index begin, Index end, int) {
        for (Index b = begin; b < end; ++b) {
            const Index start = b * kBlock, count = b + 1 < blocks ? kBlock : args.n - start;
            for (Index plane = 0; plane < args.planes; ++plane) {
                const Index at = 2 * (plane * args.n + start);
                mix<T>(w + at, s + at, spectrum + 2 * start, near + start, far + 2 * start, count);
            }
        }
    });
}

}  // namespace

namespace FASTIP_ISA {
Outcome split_open(const SplitOpenArgs& args, Dtype dtype, int threads) {
    dtype == Dtype::f64 ? open<double>(args, threads) : open<float>(args, threads);
    return Outcome::done;
}
Outcome split_mix(const SplitMixArgs& args, Dtype dtype, int threads) {
    dtype == Dtype::f64 ? between<double>(args, threads) : between<float>(args, threads);
    return Outcome::done;
}
Outcome split_close(const SplitCloseArgs& args, Dtype dtype, int threads) {
    dtype == Dtype::f64 ? close<double>(args, threads) : close<float>(args, threads);
    return Outcome::done;
}
}  // namespace FASTIP_ISA

}  // namespace fastip
