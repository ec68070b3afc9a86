// Rows of a plane, a vector of columns at a time: loops over columns, loads and stores of what is left, sums of
// squares.
#pragma once
#include <cstdint>
#include <type_traits>

#include "fastip/vec.hpp"

namespace fastip {
namespace {

using Index = std::int64_t;

FASTIP_INLINE Index least(Index a, Index b) { return a < b ? a : b; }
FASTIP_INLINE Index most(Index a, Index b) { return a > b ? a : b; }

// acc += sum_t c[t] p[offset[t] ...]
template <class V, int N, class T>
FASTIP_INLINE void gather(typename V::type (&acc)[N], const T* base, const Index* offset, const T* c, Index taps) {
    for (Index t = 0; t < taps; ++t) {
        const T* p = base + offset[t];
        const typename V::type weight = V::splat(c[t]);
        for (int j = 0; j < N; ++j) acc[j] += weight * V::load(p + j * V::lanes);
    }
}

// Calls body(V, N, column, count) over [0, width): wide blocks, then vectors, then one shorter vector whose upper lanes
// are not kept. Four vectors share each weight; more would leave a narrow phase to the single ones.
template <class T, class Body>
FASTIP_INLINE void over_columns(Index width, Body body) {
    using Full = Vec<T, kVectorBytes>;
    Index j = 0;
    for (; j + 4 * Full::lanes <= width; j += 4 * Full::lanes)
        body(Full{}, std::integral_constant<int, 4>{}, j, 4 * Full::lanes);
    for (; j + Full::lanes <= width; j += Full::lanes) body(Full{}, std::integral_constant<int, 1>{}, j, Full::lanes);
    const Index rest = width - j;
    if (rest > 0) {
        using Short = Vec<T, 16>;
        if (rest <= Short::lanes)
            body(Short{}, std::integral_constant<int, 1>{}, j, rest);
        else
            body(Full{}, std::integral_constant<int, 1>{}, j, rest);
    }
}

// Loads and stores of at most `count` lanes: user buffers have no slack.
template <class V, class T>
FASTIP_INLINE typename V::type load_some(const T* p, Index count) {
    if (count >= V::lanes) return V::load(p);
    T lane[V::lanes] = {};
    for (Index i = 0; i < count; ++i) lane[i] = p[i];
    return V::load(lane);
}
template <class V, class T>
FASTIP_INLINE void store_some(T* p, typename V::type v, Index count) {
    if (count >= V::lanes) return V::store(p, v);
    T lane[V::lanes];
    V::store(lane, v);
    for (Index i = 0; i < count; ++i) p[i] = lane[i];
}

// Sum of squares along a row, each value times `unit`: whole vectors are added lane by lane, so a check costs little.
template <class T>
struct RowSum {
    using Full = Vec<T, kVectorBytes>;
    typename Full::type lanes = {};
    double rest = 0;
    const T unit;

    explicit RowSum(double u) : unit(T(u)) {}

    template <class V>
    FASTIP_INLINE void add(typename V::type v, Index count) {
        v = v * V::splat(unit);
        if constexpr (std::is_same_v<V, Full>) {
            if (count >= V::lanes) {
                lanes += v * v;
                return;
            }
        }
        T lane[V::lanes];
        V::store(lane, v);
        for (Index i = 0; i < least(count, V::lanes); ++i) rest += double(lane[i]) * double(lane[i]);
    }
    FASTIP_INLINE double total() const {
        double s = rest;
        for (Index i = 0; i < Full::lanes; ++i) s += double(lanes[i]);
        return s;
    }
};

}  // namespace
}  // namespace fastip
