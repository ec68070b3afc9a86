// Between an image and its polyphase layout: phases[i, j, a, d] = image[a s + i, d s + j].
#include "fastip/kernels.hpp"
#include "fastip/parallel.hpp"
#include "fastip/phases.hpp"

namespace fastip {
namespace {

template <class T>
void zero(T* p, std::int64_t n) {
    std::memset(p, 0, static_cast<std::size_t>(n) * sizeof(T));
}

// One padded image row (a multiple of the stride many of them) into one row of each of stride phases.
template <class T>
void unshuffle_row(const ShuffleArgs& g, std::int64_t plane, std::int64_t row) {
    const std::int64_t s = g.stride, pitch = g.h * g.w, whole = g.width / s;
    T* out = static_cast<T*>(g.out) + ((plane * s + row % s) * s * g.h + row / s) * g.w;
    if (row >= g.height) {
        for (std::int64_t p = 0; p < s; ++p) zero(out + p * pitch, g.w);
        return;
    }
    const T* in = static_cast<const T*>(g.source) + (plane * g.height + row) * g.width;
    split(in, out, pitch, whole, s);
    for (std::int64_t p = 0; whole < g.w && p < s; ++p)
        out[p * pitch + whole] = whole * s + p < g.width ? in[whole * s + p] : T(0);
}

template <class T>
void shuffle_row(const ShuffleArgs& g, std::int64_t plane, std::int64_t row) {
    const std::int64_t s = g.stride, pitch = g.h * g.w, whole = g.width / s;
    const T* in = static_cast<const T*>(g.source) + ((plane * s + row % s) * s * g.h + row / s) * g.w;
    T* out = static_cast<T*>(g.out) + (plane * g.height + row) * g.width;
    merge(in, pitch, out, whole, s);
    for (std::int64_t x = whole * s; x < g.width; ++x) out[x] = in[(x - whole * s) * pitch + whole];
}

template <class T>
void unshuffle(const ShuffleArgs& g, int threads) {
    const std::int64_t rows = g.h * g.stride;
    share(g.planes * rows, team_for(g.planes * rows, g.width, threads), [&](std::int64_t begin, std::int64_t end, int) {
        for (std::int64_t k = begin; k < end; ++k) unshuffle_row<T>(g, k / rows, k % rows);
    });
}

template <class T>
void shuffle(const ShuffleArgs& g, int threads) {
    const std::int64_t rows = g.height;
    share(g.planes * rows, team_for(g.planes * rows, g.width, threads), [&](std::int64_t begin, std::int64_t end, int) {
        for (std::int64_t k = begin; k < end; ++k) shuffle_row<T>(g, k / rows, k % rows);
    });
}

}  // namespace

namespace FASTIP_ISA {
Outcome pixel_unshuffle(const ShuffleArgs& args, Dtype dtype, int threads) {
    dtype == Dtype::f64 ? unshuffle<double>(args, threads) : unshuffle<float>(args, threads);
    return Outcome::done;
}
Outcome pixel_shuffle(const ShuffleArgs& args, Dtype dtype, int threads) {
    dtype == Dtype::f64 ? shuffle<double>(args, threads) : shuffle<float>(args, threads);
    return Outcome::done;
}
}  // namespace FASTIP_ISA

}  // namespace fastip
