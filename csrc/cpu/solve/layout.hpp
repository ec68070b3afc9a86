// The polyphase layout of a whole solve: where the image, the residual and the dual lie, which taps read where, and
// what a team needs to work on them. The class is declared here; rows.hpp has its sweeps, admm.cpp its schedules.
#pragma once
#include <cmath>
#include <cstring>

#include "fastip/boundary.hpp"
#include "fastip/kernels.hpp"
#include "fastip/parallel.hpp"
#include "fastip/stop_rule.hpp"
#include "lanes.hpp"

namespace fastip {
namespace {

// Pixels below which waiting for each other after every sweep costs more than an idle thread: larger, and few large
// planes run on few threads; smaller, and short sweeps wait at barriers.
constexpr Index kSharedPlane = 400 * 400;
// Elements past every buffer that whole-vector loads may read: four of the widest vectors of float32.
constexpr Index kSlack = 64;

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

// Hands out slices of the workspace; with a null base it only counts.
template <class T>
struct Arena {
    T* base;
    Index used = 0;
    T* take(Index count) {
        T* p = base ? base + used : nullptr;
        used += (count + kSlack + 15) / 16 * 16;
        return p;
    }
};

// What a sweep over rows of residuals is for: the data step, the same with its sum of squares, or the look after it.
enum class Sweep { plain, checked, pending };

template <class T>
class Solver {
  public:
    // With a null workspace it only counts the bytes that it needs.
    Solver(const AdmmArgs& a, int team, char* workspace)
        : args(a),
          threads(team),
          s(a.stride),
          rows(a.h, a.height, a.kh, a.stride, a.boundary),
          cols(a.w, a.width, a.kw, a.stride, a.boundary),
          half(a.half) {
        planes = a.images * a.channels;
        // Whole planes where they divide evenly, or where a last round that is not full costs at most a fifth.
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
        d_size = a.tolerance > 0 ? a.h * a.w + kSlack : 0;
        d_all = arena.take(teams * d_size);
        line_size = (s * (most(ldx, ldt) + kSlack) + 15) / 16 * 16;
        lines = arena.take(threads * line_size);
        const Index taps = a.kh * a.kw, c_taps = (2 * half + 1) * (2 * half + 1);
        a_value = arena.take(taps), t_value = arena.take(taps), c_value = arena.take(c_taps),
        row_value = arena.take(a.kh), column_value = arena.take(a.kw);
        Arena<Index> indices{work ? reinterpret_cast<Index*>(reinterpret_cast<char*>(work) + bytes_of(arena.used))
                                  : nullptr};
        a_offset = indices.take(taps), t_offset = indices.take(taps), t_first = indices.take(s * s + 1),
        c_offset = indices.take(c_taps);
        row_offset = indices.take(a.kh), row_first = indices.take(s + 1), column_offset = indices.take(a.kw),
        column_pull = indices.take(a.kw), column_first = indices.take(s + 1);
        Arena<Sums> tables{
            work ? reinterpret_cast<Sums*>(reinterpret_cast<char*>(indices.base) + indices.used * sizeof(Index))
                 : nullptr};
        squares = tables.take(planes * rows.length);
        bytes = bytes_of(arena.used) + indices.used * Index(sizeof(Index)) + tables.used * Index(sizeof(Sums));
        if (work) prepare(work, arena.used);
    }

    Index workspace() const { return bytes; }
    void run(AdmmResult& result) const;

  private:
    // A phase size whose remainder modulo the cache's period differs from zero: rows of the phases at the same place
    // then fall into different cache sets. 4096 bytes: 64 sets of a first-level cache; from 2 MiB on 128 KiB: 2048 sets
    // of a second level. 320 bytes: each phase starts five lines past the one before; fewer would let their rows meet
    // again, more cost memory. Phases below 64 KiB are left as they are.
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
    Index planes, ldx, phase_size, ldr, ldt, r_size, t_size, d_size, line_size, bytes;
    bool by_plane, separable = false;
    T *state, *r_all, *t_all, *d_all, *lines, *a_value, *t_value, *c_value, *row_value, *column_value;
    Index *a_offset, *t_offset, *t_first, *c_offset, *row_offset, *row_first, *column_offset, *column_pull,
        *column_first;
    Index a_taps = 0, c_taps = 0;
    Sums* squares;  // of each row of the data and of the image

    T* phase(Index plane, Index p) const {
        return state + (plane * s * s + p) * phase_size + rows.before * ldx + cols.before;
    }

    void prepare(T* work, Index count);
    void prepare_separable();
    void load(Index plane) const;
    void store(Index plane) const;
    void mirror_phase_row(T* origin, Index i) const;
    template <Sweep kind>
    void residual_row(Index plane, Index i, T* r, T* line, const T* d) const;
    template <bool Check>
    void dual_row(Index plane, Index i, const T* r, T* t, T* d) const;
    template <bool Check>
    void prior_row(Index plane, Index i, const T* t, T* line) const;
    template <bool Check, bool Clip>
    void prior_phase_row(T* x, const T* source, const Index* offset, const T* value, Index taps, Index width, T* image,
                         Sums& sums) const;
    template <bool Check>
    void plane_iteration(Index plane, T* r, T* t, T* line, T* d) const;
    void chunk_by_plane(Index iterations, bool check) const;
    void chunk_by_rows(Index iterations, bool check) const;
    bool judge(AdmmResult& result, Index& growing) const;
};

// ---- preparation ----------------------------------------------------------------------------------------------------

template <class T>
void Solver<T>::prepare(T* work, Index count) {
    std::memset(static_cast<void*>(work), 0, count * sizeof(T));
    for (Index i = 0; i < planes * rows.length; ++i) squares[i] = Sums{};
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
                const Tap a = tap_of(i, args.kh, s, args.boundary, value),
                          b = tap_of(j, args.kw, s, args.boundary, value);
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

// A psf of rank one is applied by rows, then by columns: 2 k instead of k^2 products. Worth it where that is fewer
// products.
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
        for (Index j = 0; j < kw; ++j)
            error =
                std::fmax(error, std::fabs(args.psf[i * kw + j] - args.psf[i * kw + pj] * args.psf[pi * kw + j] / top));
    // 1e-14: some roundings of float64. A psf that is a product only to float32 stays dense: its result would change.
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

// Copies the ends of a row of n entries into its margins, and the row into the margin rows it stands for: the plane
// wraps.
template <class T>
FASTIP_INLINE void wrap_row(T* origin, Index i, Index ld, Index h, Index w, Index above, Index below, Index left,
                            Index right) {
    T* row = origin + i * ld;
    for (Index j = 0; j < left; ++j) row[j - left] = row[w - left + j];
    for (Index j = 0; j < right; ++j) row[w + j] = row[j];
    const Index bytes = (w + left + right) * Index(sizeof(T));
    if (i < below) std::memcpy(row + h * ld - left, row - left, bytes);
    if (i >= h - above) std::memcpy(row - h * ld - left, row - left, bytes);
}

template <class T>
void Solver<T>::mirror_phase_row(T* origin, Index i) const {
    if (args.boundary == Boundary::circular)
        wrap_row(origin, i, ldx, rows.length, cols.length, rows.before, rows.after, cols.before, cols.after);
}

}  // namespace
}  // namespace fastip
