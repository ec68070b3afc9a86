// Whole ADMM iterations on the polyphase layout. Per plane and iteration three sweeps over rows:
//   residual   r  = y - beta q - A x
//   dual       q' = q + C r,  t = 2 q' - q
//   prior      x' = prox(x + A^T t)
// The image is kept as stride^2 phases of about h x w with margins, so that A and A^T are small stencils whose loads
// are contiguous. Planes that fit into cache run several iterations each; fewer planes than threads share their rows
// instead.
#include "solve/rows.hpp"

namespace fastip {
namespace {

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

// ---- schedules ------------------------------------------------------------------------------------------------------

template <class T>
template <bool Check>
void Solver<T>::plane_iteration(Index plane, T* r, T* t, T* line, T* d) const {
    const bool look = Check && args.tolerance > 0;
    for (Index i = 0; i < args.h; ++i) residual_row<Check ? Sweep::checked : Sweep::plain>(plane, i, r, line, d);
    for (Index i = 0; i < args.h; ++i) look ? dual_row<true>(plane, i, r, t, d) : dual_row<false>(plane, i, r, t, d);
    for (Index i = 0; i < rows.length; ++i) prior_row<Check>(plane, i, t, line);
    for (Index i = 0; look && i < args.h; ++i) residual_row<Sweep::pending>(plane, i, r, line, d);
}

template <class T>
void Solver<T>::chunk_by_plane(Index iterations, bool check) const {
// A plane at a time to whoever is free: its iterations are long beside handing it out.
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads) if (threads > 1)
    for (Index plane = 0; plane < planes; ++plane) {
        const Index team = member();
        T *r = r_all + team * r_size, *t = t_all + team * t_size, *d = d_all + team * d_size;
        T* line = lines + team * line_size;
        for (Index k = 0; k + 1 < iterations; ++k) plane_iteration<false>(plane, r, t, line, d);
        if (check)
            plane_iteration<true>(plane, r, t, line, d);
        else
            plane_iteration<false>(plane, r, t, line, d);
    }
}

template <class T>
void Solver<T>::chunk_by_rows(Index iterations, bool check) const {
#pragma omp parallel num_threads(threads)
    {
        const Index team = member(), teams = members();  // the runtime may give fewer than it was asked for
        const Index first = args.h * team / teams, last = args.h * (team + 1) / teams;
        const Index xfirst = rows.length * team / teams, xlast = rows.length * (team + 1) / teams;
        T *r = r_all, *t = t_all, *d = d_all, *line = lines + team * line_size;
        for (Index k = 0; k < iterations; ++k) {
            const bool last_one = check && k + 1 == iterations, look = last_one && args.tolerance > 0;
            for (Index plane = 0; plane < planes; ++plane) {
                for (Index i = first; i < last; ++i)
                    last_one ? residual_row<Sweep::checked>(plane, i, r, line, d)
                             : residual_row<Sweep::plain>(plane, i, r, line, d);
#pragma omp barrier
                for (Index i = first; i < last; ++i)
                    look ? dual_row<true>(plane, i, r, t, d) : dual_row<false>(plane, i, r, t, d);
#pragma omp barrier
                for (Index i = xfirst; i < xlast; ++i)
                    last_one ? prior_row<true>(plane, i, t, line) : prior_row<false>(plane, i, t, line);
                if (look) {
#pragma omp barrier
                    for (Index i = first; i < last; ++i) residual_row<Sweep::pending>(plane, i, r, line, d);
                }
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
    int found = 0;
    for (Index b = 0; b < args.images; ++b) {
        Sums sums;
        for (Index row = b * args.channels * rows.length; row < (b + 1) * args.channels * rows.length; ++row) {
            sums.r += squares[row].r, sums.moved += squares[row].moved, sums.pending += squares[row].pending,
                sums.pulled += squares[row].pulled;
        }
        now[b] = data_ratio(sums, args.unit, args.sizes[b]);
        now[args.images + b] =
            error_ratio(sums, args.unit, args.beta, args.norm, args.floors[b], args.tolerance, args.rounding);
        const bool first = result.checks == 0;
        found |= findings(now[b], now[args.images + b], args.history[b], first ? 0 : before[b], first, args.tolerance);
    }
    ++result.checks;
    result.status = verdict(found, growing, args.every, args.patience);
    return result.status != AdmmStatus::iterations;
}

template <class T>
void Solver<T>::run(AdmmResult& result) const {
    result = {0, 0, AdmmStatus::iterations};
    share(planes, threads, [&](Index begin, Index end, int) {
        for (Index plane = begin; plane < end; ++plane) load(plane);
    });
    const bool checks = args.tolerance > 0;
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
Outcome admm(const AdmmArgs& args, Dtype dtype, int threads) {
    return dtype == Dtype::f64 ? solve<double>(args, threads) : solve<float>(args, threads);
}
}  // namespace FASTIP_ISA

}  // namespace fastip
