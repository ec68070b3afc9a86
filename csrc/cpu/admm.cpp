// Whole ADMM iterations on the polyphase layout. Per plane and iteration three sweeps over rows:
//   residual   r  = y - beta q - A x
//   dual       q' = q + C r,  t = 2 q' - q
//   prior      x' = prox(x + A^T t)
// The image is kept as stride^2 phases of about h x w with margins, so that A and A^T are small stencils whose loads are contiguous. Planes that fit
// into cache run several iterations each; fewer planes than threads share their rows instead.
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <type_traits>

#include "fastip/kernels.hpp"
#include "fastip/parallel.hpp"
#include "fastip/vec.hpp"

namespace fastip {
namespace {

using Index = std::int64_t;

constexpr Index kSharedPlane = 400 * 400;  // pixels below which waiting for each other costs more than an idle thread
constexpr Index kSlack = 64;               // elements past every buffer that whole-vector loads may read

FASTIP_INLINE int members() {
#ifdef _OPENMP
    return omp_get_num_threads();
#else
    return 1;
#endif
}

FASTIP_INLINE int member() {
#ifdef _OPENMP
    return omp_get_thread_num();
#else
    return 0;
#endif
}

FASTIP_INLINE Index floor_div(Index a, Index b) { return a >= 0 ? a / b : -((-a + b - 1) / b); }
FASTIP_INLINE Index least(Index a, Index b) { return a < b ? a : b; }
FASTIP_INLINE Index most(Index a, Index b) { return a > b ? a : b; }

// One axis of the polyphase layout: psf tap t reads phase offset mod stride at data index i + floor(offset / stride).
struct Axis {
    Index n;                // data points
    Index size;             // image points
    Index length;           // points of a phase
    Index low, high;        // smallest and largest data-index shift of a tap
    Index before, after;    // margins of a phase
    Index tbefore, tafter;  // margins of the extrapolated dual

    Axis(Index n_, Index size_, Index k, Index stride, Boundary boundary) : n(n_), size(size_) {
        const bool valid = boundary == Boundary::valid;
        const Index centre = valid ? k - 1 : k / 2;
        low = floor_div(centre - k + 1, stride);
        high = floor_div(centre, stride);
        length = valid ? n + high : n;
        before = valid ? 0 : -low;
        after = valid ? 0 : high;
        tbefore = high;
        tafter = most(length - n - low, 0);
    }
    Index extent(Index phase, Index stride) const { return least(length, (size - phase + stride - 1) / stride); }
};

struct Tap {
    Index phase, shift;
    double value;
};

inline Tap tap_of(Index t, Index k, Index stride, Boundary boundary, double value) {
    const Index offset = (boundary == Boundary::valid ? k - 1 : k / 2) - t;
    const Index shift = floor_div(offset, stride);
    return {offset - shift * stride, shift, value};
}

// acc += sum_t c[t] p[offset[t] ...]
template <class V, int N, class T>
FASTIP_INLINE void gather(typename V::type (&acc)[N], const T* base, const Index* offset, const T* c, Index taps) {
    for (Index t = 0; t < taps; ++t) {
        const T* p = base + offset[t];
        const typename V::type weight = V::splat(c[t]);
        for (int j = 0; j < N; ++j) acc[j] += weight * V::load(p + j * V::lanes);
    }
}

// Calls body(V, N, column, count) over [0, width): wide blocks, then vectors, then one shorter vector whose upper lanes are not kept.
template <class T, class Body>
FASTIP_INLINE void over_columns(Index width, Body body) {
    using Full = Vec<T, kVectorBytes>;
    Index j = 0;
    for (; j + 4 * Full::lanes <= width; j += 4 * Full::lanes) body(Full{}, std::integral_constant<int, 4>{}, j, 4 * Full::lanes);
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

// Sum of squares along a row: whole vectors are added lane by lane, so a check costs little.
template <class T>
struct RowSum {
    using Full = Vec<T, kVectorBytes>;
    typename Full::type lanes = {};
    double rest = 0;

    template <class V>
    FASTIP_INLINE void add(typename V::type v, Index count) {
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

// Sums of squares of one row: the residual, the step, the old image, the new image.
struct Squares {
    double r = 0, step = 0, old = 0, now = 0;
};

template <class T>
struct Arena {  // hands out slices of the workspace; with a null base it only counts
    T* base;
    Index used = 0;
    T* take(Index count) {
        T* p = base ? base + used : nullptr;
        used += (count + kSlack + 15) / 16 * 16;
        return p;
    }
};

template <class T>
class Solver {
  public:
    // With a null workspace it only counts the bytes that it needs.
    Solver(const AdmmArgs& a, int team, char* workspace)
        : args(a), threads(team), s(a.stride), rows(a.h, a.height, a.kh, a.stride, a.boundary), cols(a.w, a.width, a.kw, a.stride, a.boundary), half(a.half) {
        planes = a.images * a.channels;
        const bool even = planes >= threads && (planes % threads == 0 || planes >= 4 * threads);
        by_plane = threads <= 1 || even || a.height * a.width < kSharedPlane;
        T* work = reinterpret_cast<T*>(workspace);
        ldx = cols.length + cols.before + cols.after;
        phase_size = spread((rows.length + rows.before + rows.after) * ldx);
        ldr = a.w + 2 * half;
        ldt = a.w + cols.tbefore + cols.tafter;
        Arena<T> arena{work};
        state = arena.take(planes * s * s * phase_size);
        const Index teams = by_plane ? threads : 1;
        r_size = (a.h + 2 * half) * ldr + kSlack;
        t_size = (a.h + rows.tbefore + rows.tafter) * ldt + kSlack;
        r_all = arena.take(teams * r_size);
        t_all = arena.take(teams * t_size);
        line_size = (s * (most(ldx, ldt) + kSlack) + 15) / 16 * 16;
        lines = arena.take(threads * line_size);
        const Index taps = a.kh * a.kw, c_taps = (2 * half + 1) * (2 * half + 1);
        a_value = arena.take(taps), t_value = arena.take(taps), c_value = arena.take(c_taps), row_value = arena.take(a.kh), column_value = arena.take(a.kw);
        Arena<Index> indices{work ? reinterpret_cast<Index*>(reinterpret_cast<char*>(work) + bytes_of(arena.used)) : nullptr};
        a_offset = indices.take(taps), t_offset = indices.take(taps), t_first = indices.take(s * s + 1), c_offset = indices.take(c_taps);
        row_offset = indices.take(a.kh), row_first = indices.take(s + 1), column_offset = indices.take(a.kw), column_pull = indices.take(a.kw),
        column_first = indices.take(s + 1);
        Arena<Squares> tables{work ? reinterpret_cast<Squares*>(reinterpret_cast<char*>(indices.base) + indices.used * sizeof(Index)) : nullptr};
        squares = tables.take(planes * rows.length);
        sizes = reinterpret_cast<double*>(tables.take((a.images + 3) / 4));
        bytes = bytes_of(arena.used) + indices.used * Index(sizeof(Index)) + tables.used * Index(sizeof(Squares));
        if (work) prepare(work, arena.used);
    }

    Index workspace() const { return bytes; }
    void run(AdmmResult& result) const;

  private:
    // A phase size whose remainder modulo the cache's period differs from zero: rows of the phases at the same place then fall into different cache sets.
    static Index spread(Index count) {
        const Index bytes = count * Index(sizeof(T)), period = bytes >= (Index(2) << 20) ? Index(128) << 10 : 4096;
        if (bytes < (Index(64) << 10)) return count;
        const Index remainder = period == 4096 ? 320 : 8192 + 320;
        return ((bytes - remainder + period - 1) / period * period + remainder) / Index(sizeof(T));
    }
    static Index bytes_of(Index count) { return (count * Index(sizeof(T)) + 63) / 64 * 64; }

    const AdmmArgs& args;
    const int threads;
    const Index s;
    const Axis rows, cols;
    const Index half;
    Index planes, ldx, phase_size, ldr, ldt, r_size, t_size, line_size, bytes;
    bool by_plane, separable = false;
    T *state, *r_all, *t_all, *lines, *a_value, *t_value, *c_value, *row_value, *column_value;
    Index *a_offset, *t_offset, *t_first, *c_offset, *row_offset, *row_first, *column_offset, *column_pull, *column_first;
    Index a_taps = 0, c_taps = 0;
    Squares* squares;
    double* sizes;  // of y, per image

    T* phase(Index plane, Index p) const { return state + (plane * s * s + p) * phase_size + rows.before * ldx + cols.before; }

    void prepare(T* work, Index count);
    void prepare_separable();
    void load(Index plane) const;
    void store(Index plane) const;
    void mirror_phase_row(T* origin, Index i) const;
    template <bool Check>
    void residual_row(Index plane, Index i, T* r, T* line) const;
    void dual_row(Index plane, Index i, const T* r, T* t) const;
    template <bool Check>
    void prior_row(Index plane, Index i, const T* t, T* line) const;
    template <bool Check, bool Clip>
    void prior_phase_row(T* x, const T* source, const Index* offset, const T* value, Index taps, Index width, T* image, Squares& sums) const;
    template <bool Check>
    void plane_iteration(Index plane, T* r, T* t, T* line) const;
    void chunk_by_plane(Index iterations, bool check) const;
    void chunk_by_rows(Index iterations, bool check) const;
    bool judge(AdmmResult& result, Index& growing) const;
};

// ---- preparation ----------------------------------------------------------------------------------------------------

template <class T>
void Solver<T>::prepare(T* work, Index count) {
    std::memset(static_cast<void*>(work), 0, count * sizeof(T));
    for (Index i = 0; i < planes * rows.length; ++i) squares[i] = Squares{};
    for (Index i = 0; i < args.kh; ++i)
        for (Index j = 0; j < args.kw; ++j) {
            const double value = args.psf[i * args.kw + j];
            if (value == 0) continue;
            const Tap a = tap_of(i, args.kh, s, args.boundary, value), b = tap_of(j, args.kw, s, args.boundary, value);
            a_offset[a_taps] = (a.phase * s + b.phase) * phase_size + a.shift * ldx + b.shift;
            a_value[a_taps++] = T(-value);
        }
    Index n = 0;
    for (Index p = 0; p < s * s; ++p) {
        t_first[p] = n;
        for (Index i = 0; i < args.kh; ++i)
            for (Index j = 0; j < args.kw; ++j) {
                const double value = args.psf[i * args.kw + j];
                const Tap a = tap_of(i, args.kh, s, args.boundary, value), b = tap_of(j, args.kw, s, args.boundary, value);
                if (value == 0 || a.phase * s + b.phase != p) continue;
                t_offset[n] = -a.shift * ldt - b.shift;
                t_value[n++] = T(value);
            }
    }
    t_first[s * s] = n;
    for (Index i = -half; i <= half; ++i)
        for (Index j = -half; j <= half; ++j) {
            const double value = args.taps[(i + half) * (2 * half + 1) + j + half];
            if (value == 0) continue;
            c_offset[c_taps] = -(i * ldr + j);
            c_value[c_taps++] = T(value);
        }
    prepare_separable();
}

// A psf of rank one is applied by rows, then by columns: 2 k instead of k^2 products. Worth it where that is fewer products.
template <class T>
void Solver<T>::prepare_separable() {
    const Index kh = args.kh, kw = args.kw;
    Index pivot = 0;
    for (Index i = 1; i < kh * kw; ++i)
        if (std::fabs(args.psf[i]) > std::fabs(args.psf[pivot])) pivot = i;
    const Index pi = pivot / kw, pj = pivot % kw;
    const double top = args.psf[pivot];
    double error = 0;
    for (Index i = 0; i < kh; ++i)
        for (Index j = 0; j < kw; ++j) error = std::fmax(error, std::fabs(args.psf[i * kw + j] - args.psf[i * kw + pj] * args.psf[pi * kw + j] / top));
    separable = error <= 1e-14 * std::fabs(top) && a_taps > s * kh + kw;
    if (!separable) return;
    Index n = 0, m = 0;
    for (Index p = 0; p < s; ++p) {
        row_first[p] = n;
        for (Index i = 0; i < kh; ++i) {
            const Tap a = tap_of(i, kh, s, args.boundary, args.psf[i * kw + pj]);
            if (a.phase != p || a.value == 0) continue;
            row_offset[n] = a.shift;
            row_value[n++] = T(a.value);
        }
        column_first[p] = m;
        for (Index j = 0; j < kw; ++j) {
            const Tap b = tap_of(j, kw, s, args.boundary, args.psf[pi * kw + j] / top);
            if (b.phase != p || b.value == 0) continue;
            column_offset[m] = b.shift;
            column_pull[m] = -b.shift;
            column_value[m++] = T(b.value);
        }
    }
    row_first[s] = n;
    column_first[s] = m;
}

template <class T>
void Solver<T>::load(Index plane) const {
    const T* image = static_cast<const T*>(args.image) + plane * args.height * args.width;
    for (Index a = 0; a < s; ++a)
        for (Index b = 0; b < s; ++b) {
            T* origin = phase(plane, a * s + b);
            const Index height = rows.extent(a, s), width = cols.extent(b, s);
            for (Index i = 0; i < height; ++i) {
                const T* source = image + (i * s + a) * args.width + b;
                T* row = origin + i * ldx;
                for (Index j = 0; j < width; ++j) row[j] = source[j * s];
                mirror_phase_row(origin, i);
            }
        }
}

template <class T>
void Solver<T>::store(Index plane) const {
    T* image = static_cast<T*>(args.image) + plane * args.height * args.width;
    for (Index a = 0; a < s; ++a)
        for (Index b = 0; b < s; ++b) {
            const T* origin = phase(plane, a * s + b);
            const Index height = rows.extent(a, s), width = cols.extent(b, s);
            for (Index i = 0; i < height; ++i) {
                T* target = image + (i * s + a) * args.width + b;
                const T* row = origin + i * ldx;
                for (Index j = 0; j < width; ++j) target[j * s] = row[j];
            }
        }
}

// Copies the ends of a row of n entries into its margins, and the row into the margin rows it stands for: the plane wraps.
template <class T>
FASTIP_INLINE void wrap_row(T* origin, Index i, Index ld, Index h, Index w, Index above, Index below, Index left, Index right) {
    T* row = origin + i * ld;
    for (Index j = 0; j < left; ++j) row[j - left] = row[w - left + j];
    for (Index j = 0; j < right; ++j) row[w + j] = row[j];
    const Index bytes = (w + left + right) * Index(sizeof(T));
    if (i < below) std::memcpy(row + h * ld - left, row - left, bytes);
    if (i >= h - above) std::memcpy(row - h * ld - left, row - left, bytes);
}

template <class T>
void Solver<T>::mirror_phase_row(T* origin, Index i) const {
    if (args.boundary == Boundary::circular) wrap_row(origin, i, ldx, rows.length, cols.length, rows.before, rows.after, cols.before, cols.after);
}

// ---- the three sweeps ------------------------------------------------------------------------------------------------

template <class T>
template <bool Check>
void Solver<T>::residual_row(Index plane, Index i, T* r, T* line) const {
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
    RowSum<T> sum;
    over_columns<T>(args.w, [&](auto V, auto N, Index j, Index count) __attribute__((always_inline)) {
        typename decltype(V)::type acc[N];
        for (int k = 0; k < N; ++k) acc[k] = load_some<decltype(V)>(y + j + k * V.lanes, count) - beta * load_some<decltype(V)>(q + j + k * V.lanes, count);
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
            store_some<decltype(V)>(row + j + k * V.lanes, acc[k], count);
            if (Check) sum.template add<decltype(V)>(acc[k], count);
        }
    });
    if (Check) squares[plane * rows.length + i].r = sum.total();
    if (args.boundary == Boundary::circular) wrap_row(r + half * ldr + half, i, ldr, args.h, args.w, half, half, half, half);
}

template <class T>
void Solver<T>::dual_row(Index plane, Index i, const T* r, T* t) const {
    T* q = static_cast<T*>(args.q) + (plane * args.h + i) * args.w;
    const T* source = r + (half + i) * ldr + half;
    T* origin = t + rows.tbefore * ldt + cols.tbefore;
    T* row = origin + i * ldt;
    const T relaxation = T(args.relaxation);
    over_columns<T>(args.w, [&](auto V, auto N, Index j, Index count) __attribute__((always_inline)) {
        typename decltype(V)::type acc[N] = {};
        gather<decltype(V)>(acc, source + j, c_offset, c_value, c_taps);
        for (int k = 0; k < N; ++k) {
            const auto old = load_some<decltype(V)>(q + j + k * V.lanes, count);
            store_some<decltype(V)>(row + j + k * V.lanes, old + acc[k] + acc[k], count);
            store_some<decltype(V)>(q + j + k * V.lanes, old + relaxation * acc[k], count);
        }
    });
    if (args.boundary == Boundary::circular) wrap_row(origin, i, ldt, args.h, args.w, rows.tbefore, rows.tafter, cols.tbefore, cols.tafter);
}

// x' = prox(x + sum of taps) on one row of one phase; `image` is where x' itself goes when the state keeps the relaxed blend.
template <class T>
template <bool Check, bool Clip>
void Solver<T>::prior_phase_row(T* x, const T* source, const Index* offset, const T* value, Index taps, Index width, T* image, Squares& sums) const {
    const T threshold = T(args.threshold), shrink = T(args.shrink), relaxation = T(args.relaxation);
    const bool blend = args.relaxation != 1.0;
    RowSum<T> moved, before, after;
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
                before.template add<W>(old, count);
                after.template add<W>(now, count);
                if (blend) {
                    T lane[V.lanes];
                    W::store(lane, now);
                    for (Index i = 0; i < least(count, V.lanes); ++i) image[(j + k * V.lanes + i) * s] = lane[i];
                }
            }
        }
    });
    if (Check) sums.step += moved.total(), sums.old += before.total(), sums.now += after.total();
}

template <class T>
template <bool Check>
void Solver<T>::prior_row(Index plane, Index i, const T* t, T* line) const {
    const T* source = t + (rows.tbefore + i) * ldt + cols.tbefore;
    T* image = static_cast<T*>(args.image) + plane * args.height * args.width;
    const bool clip = args.low > -HUGE_VAL || args.high < HUGE_VAL;
    Squares& sums = squares[plane * rows.length + i];
    if (Check) sums.step = sums.old = sums.now = 0;
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

// ---- schedules -------------------------------------------------------------------------------------------------------

template <class T>
template <bool Check>
void Solver<T>::plane_iteration(Index plane, T* r, T* t, T* line) const {
    for (Index i = 0; i < args.h; ++i) residual_row<Check>(plane, i, r, line);
    for (Index i = 0; i < args.h; ++i) dual_row(plane, i, r, t);
    for (Index i = 0; i < rows.length; ++i) prior_row<Check>(plane, i, t, line);
}

template <class T>
void Solver<T>::chunk_by_plane(Index iterations, bool check) const {
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads) if (threads > 1)
    for (Index plane = 0; plane < planes; ++plane) {
        const Index team = member();
        T *r = r_all + team * r_size, *t = t_all + team * t_size, *line = lines + team * line_size;
        for (Index k = 0; k + 1 < iterations; ++k) plane_iteration<false>(plane, r, t, line);
        if (check)
            plane_iteration<true>(plane, r, t, line);
        else
            plane_iteration<false>(plane, r, t, line);
    }
}

template <class T>
void Solver<T>::chunk_by_rows(Index iterations, bool check) const {
#pragma omp parallel num_threads(threads)
    {
        const Index team = member(), teams = members();  // the runtime may give fewer than it was asked for
        const Index first = args.h * team / teams, last = args.h * (team + 1) / teams;
        const Index xfirst = rows.length * team / teams, xlast = rows.length * (team + 1) / teams;
        T *r = r_all, *t = t_all, *line = lines + team * line_size;
        for (Index k = 0; k < iterations; ++k) {
            const bool look = check && k + 1 == iterations;
            for (Index plane = 0; plane < planes; ++plane) {
                for (Index i = first; i < last; ++i) look ? residual_row<true>(plane, i, r, line) : residual_row<false>(plane, i, r, line);
#pragma omp barrier
                for (Index i = first; i < last; ++i) dual_row(plane, i, r, t);
#pragma omp barrier
                for (Index i = xfirst; i < xlast; ++i) look ? prior_row<true>(plane, i, t, line) : prior_row<false>(plane, i, t, line);
                if (planes == 1) {  // with more planes the next barrier comes before this plane is read again
#pragma omp barrier
                }
            }
        }
    }
}

// Appends the two ratios of every image to the history; true when the solve is over.
template <class T>
bool Solver<T>::judge(AdmmResult& result, Index& growing) const {
    double* now = args.history + result.checks * 2 * args.images;
    const double* before = now - 2 * args.images;
    bool converged = true, finite = true, grown = false;
    for (Index b = 0; b < args.images; ++b) {
        Squares sum;
        for (Index row = b * args.channels * rows.length; row < (b + 1) * args.channels * rows.length; ++row) {
            sum.r += squares[row].r, sum.step += squares[row].step, sum.old += squares[row].old, sum.now += squares[row].now;
        }
        const double size = std::sqrt(sum.old > sum.now ? sum.old : sum.now);
        now[b] = std::sqrt(sum.r) / (sizes[b] > 0 ? sizes[b] : 1);
        now[args.images + b] = std::sqrt(sum.step) / (size > 0 ? size : 1);
        finite = finite && std::isfinite(now[b]) && std::isfinite(now[args.images + b]);
        converged = converged && now[b] <= args.tolerance && now[args.images + b] <= args.tolerance;
        grown = grown || (result.checks > 0 && now[b] > before[b] && now[b] > 1);  // below 1 it may grow for a while in a sound solve
    }
    ++result.checks;
    growing = grown ? growing + 1 : 0;
    if (!finite || growing * args.every >= args.patience) {
        result.status = AdmmStatus::unstable;
        return true;
    }
    if (converged) result.status = AdmmStatus::converged;
    return converged;
}

template <class T>
void Solver<T>::run(AdmmResult& result) const {
    result = {0, 0, AdmmStatus::iterations};
    share(planes, threads, [&](Index begin, Index end, int) {
        for (Index plane = begin; plane < end; ++plane) load(plane);
    });
    const bool checks = args.tolerance > 0;
    for (Index b = 0; checks && b < args.images; ++b) {
        const T* y = static_cast<const T*>(args.y) + b * args.channels * args.h * args.w;
        double sum = 0;
        for (Index i = 0; i < args.channels * args.h * args.w; ++i) sum += double(y[i]) * double(y[i]);
        sizes[b] = std::sqrt(sum);
    }
    Index growing = 0;
    bool over = false;
    while (!over && result.iterations < args.iterations) {
        const Index left = args.iterations - result.iterations;
        const Index count = checks ? least(args.every, left) : left;
        // The relaxed state is not x', so the last iteration writes x' out: it is a checked one then, tolerance or not.
        const bool check = checks || args.relaxation != 1.0;
        if (by_plane)
            chunk_by_plane(count, check);
        else
            chunk_by_rows(count, check);
        result.iterations += count;
        over = checks && judge(result, growing);
    }
    if (args.relaxation != 1.0) return;
    share(planes, threads, [&](Index begin, Index end, int) {
        for (Index plane = begin; plane < end; ++plane) store(plane);
    });
}

template <class T>
Outcome solve(const AdmmArgs& args, int threads) {
    const int team = team_for(args.images * args.channels * args.h, args.w * args.stride * args.stride, threads);
    Buffer<char> workspace(Solver<T>(args, team, nullptr).workspace());
    if (!workspace) return Outcome::out_of_memory;
    Solver<T>(args, team, workspace).run(*args.result);
    return Outcome::done;
}

}  // namespace

namespace FASTIP_ISA {
Outcome admm(const AdmmArgs& args, Dtype dtype, int threads) { return dtype == Dtype::f64 ? solve<double>(args, threads) : solve<float>(args, threads); }
}  // namespace FASTIP_ISA

}  // namespace fastip
