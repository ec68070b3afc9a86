// The three sweeps of an iteration, a row at a time: residual, dual, prior.
#pragma once
#include "layout.hpp"

namespace fastip {
namespace {

// ---- the three sweeps -----------------------------------------------------------------------------------------------

// d: where the sweep is pending, the part of beta (q' - q) - r' that the data step has left.
template <class T>
template <Sweep kind>
void Solver<T>::residual_row(Index plane, Index i, T* r, T* line, const T* d) const {
    const T* y = static_cast<const T*>(args.y) + (plane * args.h + i) * args.w;
    const T* q = static_cast<const T*>(args.q) + (plane * args.h + i) * args.w;
    const T* x = phase(plane, 0) + i * ldx;
    T* row = r + (half + i) * ldr + half;
    const T beta = T(args.beta);
    const Index length = line_size / s;
    if (separable) {
        for (Index b = 0; b < s; ++b) {
            if (column_first[b] == column_first[b + 1]) continue;
            const T* source = x + b * phase_size - cols.before;
            T* target = line + b * length;
            over_columns<T>(ldx, [&](auto V, auto N, Index j, Index) __attribute__((always_inline)) {
                typename decltype(V)::type acc[N] = {};
                for (Index a = 0; a < s; ++a)
                    for (Index t = row_first[a]; t < row_first[a + 1]; ++t) {
                        const T* p = source + a * s * phase_size + row_offset[t] * ldx + j;
                        const auto weight = decltype(V)::splat(row_value[t]);
                        for (int k = 0; k < N; ++k) acc[k] += weight * decltype(V)::load(p + k * V.lanes);
                    }
                for (int k = 0; k < N; ++k) decltype(V)::store(target + j + k * V.lanes, acc[k]);
            });
        }
    }
    RowSum<T> sum(args.unit);
    const T share = T(1 / args.relaxation);
    if (kind == Sweep::pending) d += i * args.w;
    over_columns<T>(args.w, [&](auto V, auto N, Index j, Index count) __attribute__((always_inline)) {
        typename decltype(V)::type acc[N];
        for (int k = 0; k < N; ++k)
            acc[k] = load_some<decltype(V)>(y + j + k * V.lanes, count) -
                     beta * load_some<decltype(V)>(q + j + k * V.lanes, count);
        if (separable) {
            for (Index b = 0; b < s; ++b)
                for (Index t = column_first[b]; t < column_first[b + 1]; ++t) {
                    const T* p = line + b * length + cols.before + column_offset[t] + j;
                    const auto weight = decltype(V)::splat(column_value[t]);
                    for (int k = 0; k < N; ++k) acc[k] -= weight * decltype(V)::load(p + k * V.lanes);
                }
        } else {
            gather<decltype(V)>(acc, x + j, a_offset, a_value, a_taps);
        }
        for (int k = 0; k < N; ++k) {
            if (kind == Sweep::pending) {
                sum.template add<decltype(V)>(load_some<decltype(V)>(d + j + k * V.lanes, count) - share * acc[k],
                                              count);
                continue;
            }
            store_some<decltype(V)>(row + j + k * V.lanes, acc[k], count);
            if (kind == Sweep::checked) sum.template add<decltype(V)>(acc[k], count);
        }
    });
    if (kind == Sweep::checked) squares[plane * rows.length + i].r = sum.total();
    if (kind == Sweep::pending) {
        squares[plane * rows.length + i].pending = sum.total();
        return;
    }
    if (args.boundary == Boundary::circular)
        wrap_row(r + half * ldr + half, i, ldr, args.h, args.w, half, half, half, half);
}

// d: where the iteration is looked at, beta C r - (1 - 1 / relaxation) r, from which a pending sweep takes what is left
// of beta (q' - q) - r'; under relaxation the residual of the state is a blend of r and r'.
template <class T>
template <bool Check>
void Solver<T>::dual_row(Index plane, Index i, const T* r, T* t, T* d) const {
    T* q = static_cast<T*>(args.q) + (plane * args.h + i) * args.w;
    const T* source = r + (half + i) * ldr + half;
    T* origin = t + rows.tbefore * ldt + cols.tbefore;
    T* row = origin + i * ldt;
    const T relaxation = T(args.relaxation), beta = T(args.beta), kept = T(1 - 1 / args.relaxation);
    if (Check) d += i * args.w;
    over_columns<T>(args.w, [&](auto V, auto N, Index j, Index count) __attribute__((always_inline)) {
        typename decltype(V)::type acc[N] = {};
        gather<decltype(V)>(acc, source + j, c_offset, c_value, c_taps);
        for (int k = 0; k < N; ++k) {
            if (Check)
                store_some<decltype(V)>(d + j + k * V.lanes,
                                        beta * acc[k] - kept * decltype(V)::load(source + j + k * V.lanes), count);
            const auto old = load_some<decltype(V)>(q + j + k * V.lanes, count);
            store_some<decltype(V)>(row + j + k * V.lanes, old + acc[k] + acc[k], count);
            store_some<decltype(V)>(q + j + k * V.lanes, old + relaxation * acc[k], count);
        }
    });
    if (args.boundary == Boundary::circular)
        wrap_row(origin, i, ldt, args.h, args.w, rows.tbefore, rows.tafter, cols.tbefore, cols.tafter);
}

// x' = prox(x + sum of taps) on one row of one phase; `image` is where x' itself goes when the state keeps the relaxed
// blend.
template <class T>
template <bool Check, bool Clip>
void Solver<T>::prior_phase_row(T* x, const T* source, const Index* offset, const T* value, Index taps, Index width,
                                T* image, Sums& sums) const {
    const T threshold = T(args.threshold), shrink = T(args.shrink), relaxation = T(args.relaxation);
    const bool blend = args.relaxation != 1.0;
    RowSum<T> moved(args.unit), pulled(args.unit);
    over_columns<T>(width, [&](auto V, auto N, Index j, Index count) __attribute__((always_inline)) {
        using W = decltype(V);
        const auto top = W::splat(threshold), bottom = W::splat(-threshold);
        typename W::type acc[N] = {};
        gather<W>(acc, source + j, offset, value, taps);
        for (int k = 0; k < N; ++k) {
            T* place = x + j + k * V.lanes;
            const auto old = W::load(place);
            const auto v = old + acc[k];
            auto now = (v - W::min(W::max(v, bottom), top)) * shrink;
            if (Clip) now = W::min(W::max(now, W::splat(T(args.low))), W::splat(T(args.high)));
            const auto step = now - old;
            store_some<W>(place, blend ? old + relaxation * step : now, count);
            if (Check) {
                moved.template add<W>(step, count);
                pulled.template add<W>(acc[k], count);
                if (blend) {
                    T lane[V.lanes];
                    W::store(lane, now);
                    for (Index i = 0; i < least(count, V.lanes); ++i) image[(j + k * V.lanes + i) * s] = lane[i];
                }
            }
        }
    });
    if (Check) sums.moved += moved.total(), sums.pulled += pulled.total();
}

template <class T>
template <bool Check>
void Solver<T>::prior_row(Index plane, Index i, const T* t, T* line) const {
    const T* source = t + (rows.tbefore + i) * ldt + cols.tbefore;
    T* image = static_cast<T*>(args.image) + plane * args.height * args.width;
    const bool clip = args.low > -HUGE_VAL || args.high < HUGE_VAL;
    Sums& sums = squares[plane * rows.length + i];
    if (Check) sums.moved = sums.pulled = 0;
    for (Index a = 0; a < s; ++a) {
        if (i >= rows.extent(a, s)) continue;
        if (separable) {
            over_columns<T>(ldt, [&](auto V, auto N, Index j, Index) __attribute__((always_inline)) {
                typename decltype(V)::type acc[N] = {};
                for (Index k = row_first[a]; k < row_first[a + 1]; ++k) {
                    const T* p = source - cols.tbefore - row_offset[k] * ldt + j;
                    const auto weight = decltype(V)::splat(row_value[k]);
                    for (int n = 0; n < N; ++n) acc[n] += weight * decltype(V)::load(p + n * V.lanes);
                }
                for (int n = 0; n < N; ++n) decltype(V)::store(line + j + n * V.lanes, acc[n]);
            });
        }
        for (Index b = 0; b < s; ++b) {
            const Index p = a * s + b, width = cols.extent(b, s);
            T* origin = phase(plane, p);
            T* row = origin + i * ldx;
            T* target = image + (i * s + a) * args.width + b;
            const Index first = separable ? column_first[b] : t_first[p];
            const Index taps = (separable ? column_first[b + 1] : t_first[p + 1]) - first;
            const Index* offset = (separable ? column_pull : t_offset) + first;
            const T* value = (separable ? column_value : t_value) + first;
            const T* from = separable ? line + cols.tbefore : source;
            if (clip)
                prior_phase_row<Check, true>(row, from, offset, value, taps, width, target, sums);
            else
                prior_phase_row<Check, false>(row, from, offset, value, taps, width, target, sums);
            mirror_phase_row(origin, i);
        }
    }
}

}  // namespace
}  // namespace fastip
