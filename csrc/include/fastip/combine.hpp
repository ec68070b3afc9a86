// The one arithmetic loop of the convolutions: out[j] = sum over lines and their taps of weight * base[j + offset].
#pragma once
#include <cstdint>

#include "fastip/vec.hpp"

namespace fastip {
namespace {

template <class T>
struct Tap {
    std::int64_t offset;
    T weight;
};

// One row of memory and the taps that read it.
template <class T>
struct Line {
    const T* base;
    const Tap<T>* taps;
    std::int64_t count;
};

// Vectors j ... j + N * lanes of the output, accumulated in N registers.
template <class T, int N>
FASTIP_INLINE void combine_block(T* __restrict out, std::int64_t j, const Line<T>* __restrict lines,
                                 std::int64_t count) {
    using V = Vec<T, kVectorBytes>;
    typename V::type sum[N] = {};
    for (std::int64_t l = 0; l < count; ++l) {
        const Tap<T>* tap = lines[l].taps;
        const Tap<T>* const end = tap + lines[l].count;
        const T* const base = lines[l].base + j;
        for (; tap != end; ++tap) {
            const T* p = base + tap->offset;
            const T weight = tap->weight;
#pragma GCC unroll 8
            for (int i = 0; i < N; ++i) sum[i] += weight * V::load(p + i * V::lanes);
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < N; ++i) V::store(out + j + i * V::lanes, sum[i]);
}

// out must not overlap what the lines read. The last vector overlaps the one before it, so nothing past n is read or
// written.
template <class T>
__attribute__((noinline)) void combine(T* __restrict out, std::int64_t n, const Line<T>* __restrict lines,
                                       std::int64_t count) {
    constexpr std::int64_t lanes = Vec<T, kVectorBytes>::lanes;
    std::int64_t j = 0;
    // Eight sums share each weight and hide the latency of a multiply-add; twice as many would not fit the 16 registers
    // of AVX2. Then what is left, by halves.
    for (; j + 8 * lanes <= n; j += 8 * lanes) combine_block<T, 8>(out, j, lines, count);
    if (j + 4 * lanes <= n) combine_block<T, 4>(out, j, lines, count), j += 4 * lanes;
    if (j + 2 * lanes <= n) combine_block<T, 2>(out, j, lines, count), j += 2 * lanes;
    if (j + lanes <= n) combine_block<T, 1>(out, j, lines, count), j += lanes;
    if (j < n && n >= lanes) combine_block<T, 1>(out, n - lanes, lines, count), j = n;
    for (; j < n; ++j) {
        T sum = 0;
        for (std::int64_t l = 0; l < count; ++l)
            for (std::int64_t t = 0; t < lines[l].count; ++t)
                sum += lines[l].taps[t].weight * lines[l].base[j + lines[l].taps[t].offset];
        out[j] = sum;
    }
}

}  // namespace
}  // namespace fastip
