// The data step in Fourier space on packed planes, in one pass: p' = offset + gain (p - f), f <- 2 p' - p, p <- p +
// relaxation (p' - p).
#include "fastip/kernels.hpp"
#include "fastip/parallel.hpp"

namespace fastip {
namespace {

template <class T>
__attribute__((noinline)) void sweep(T* __restrict f, T* __restrict p, const T* __restrict offset,
                                     const T* __restrict gain, std::int64_t n, T relaxation) {
    for (std::int64_t i = 0; i < n; ++i) {
        const T now = offset[i] + gain[i] * (p[i] - f[i]);
        const T step = now - p[i];
        f[i] = now + step;
        p[i] += relaxation * step;
    }
}

template <class T>
void run(const SpectralArgs& args, int threads) {
    T* f = static_cast<T*>(args.f);
    T* p = static_cast<T*>(args.p);
    const T* offset = static_cast<const T*>(args.offset);
    const T* gain = static_cast<const T*>(args.gain);
    // Blocks of one plane, the planes of a block in turn: its gains, 16 or 32 KiB, stay in cache. Larger blocks would
    // push them out, smaller ones start too many short loops.
    constexpr std::int64_t kBlock = 4096;
    const std::int64_t blocks = (args.n + kBlock - 1) / kBlock;
    share(blocks, team_for(blocks, kBlock * args.planes, threads), [&](std::int64_t begin, std::int64_t end, int) {
        for (std::int64_t b = begin; b < end; ++b) {
            const std::int64_t first = b * kBlock, count = b + 1 < blocks ? kBlock : args.n - first;
            for (std::int64_t plane = 0; plane < args.planes; ++plane) {
                const std::int64_t at = plane * args.n + first;
                sweep<T>(f + at, p + at, offset + at, gain + first, count, static_cast<T>(args.relaxation));
            }
        }
    });
}

}  // namespace

namespace FASTIP_ISA {
Outcome spectral_step(const SpectralArgs& args, Dtype dtype, int threads) {
    dtype == Dtype::f64 ? run<double>(args, threads) : run<float>(args, threads);
    return Outcome::done;
}
}  // namespace FASTIP_ISA

}  // namespace fastip
