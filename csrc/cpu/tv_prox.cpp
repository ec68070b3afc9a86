// The prox of total variation by a fixed number of projected dual steps, warm-started. A step at row i reads rows i - 1
// to i + 1, so all steps run as one wavefront over the rows, each two rows behind the one before: one pass through
// memory whatever their number.
#include <cmath>
#include <cstring>

#include "fastip/kernels.hpp"
#include "fastip/parallel.hpp"
#include "fastip/pointwise.hpp"

namespace fastip {
namespace {

using Index = std::int64_t;

// x = prox(v - step D^T r) on one row; above: r's vertical differences of the row before, or zeros.
template <class T>
__attribute__((noinline)) void primal_row(T* __restrict x, const T* __restrict v, const T* __restrict above,
                                          const T* __restrict down, const T* __restrict right, Index w, T step,
                                          Prox<T> prox) {
    x[0] = prox(v[0] - step * (above[0] - down[0] - right[0]));
    for (Index j = 1; j < w; ++j) x[j] = prox(v[j] - step * (above[j] - down[j] + right[j - 1] - right[j]));
}

// u' = project(r + rate D x), r' = u' + momentum (u' - u) on one row; x_below is x itself in the last row.
template <class T, bool Isotropic>
__attribute__((noinline)) void dual_row(T* __restrict u0, T* __restrict u1, T* __restrict r0, T* __restrict r1,
                                        const T* __restrict x, const T* x_below, Index w, T rate, T weight,
                                        T momentum) {
    const T unit = static_cast<T>(unit_for(weight)), most = weight * unit, floor = most * most;
    const auto pixel = [&](Index j, T next) __attribute__((always_inline)) {
        T a = r0[j] + rate * (x_below[j] - x[j]), b = r1[j] + rate * (next - x[j]);
        if (Isotropic) {
            const T length = (a * unit) * (a * unit) + (b * unit) * (b * unit);
            const T scale = length > floor ? most / std::sqrt(length) : T(1);
            a *= scale, b *= scale;
        } else {
            a = clip(a, -weight, weight), b = clip(b, -weight, weight);
        }
        r0[j] = a + momentum * (a - u0[j]), r1[j] = b + momentum * (b - u1[j]);
        u0[j] = a, u1[j] = b;
    };
    for (Index j = 0; j + 1 < w; ++j) pixel(j, x[j + 1]);
    pixel(w - 1, x[w - 1]);
}

template <class T>
struct Plane {
    const TvArgs& args;
    const T* v;
    T *u0, *u1, *r0, *r1, *out;
    T* rows;  // per step two rows of x, then a row of zeros
    Index h, w;
    Prox<T> prox;

    void primal(T* x, Index i, const T* f0, const T* f1) const {
        const T* above = i > 0 ? f0 + (i - 1) * w : rows + 2 * args.steps * w;
        primal_row<T>(x, v + i * w, above, f0 + i * w, f1 + i * w, w, static_cast<T>(args.step), prox);
    }

    template <bool Isotropic>
    void sweep() const {
        // ||D||^2 <= 8: one over the Lipschitz constant of the dual's gradient, as accelerated steps need it.
        const T rate = static_cast<T>(1 / (8 * args.step)), weight = static_cast<T>(args.weight),
                momentum = static_cast<T>(args.momentum);
        std::memset(static_cast<void*>(rows + 2 * args.steps * w), 0, w * sizeof(T));
        for (Index front = 0; front < h + 2 * args.steps; ++front) {
            for (Index s = 0; s < args.steps; ++s) {
                const Index i = front - 2 * s;
                if (i < 0 || i >= h) continue;
                T *x = rows + (2 * s + i % 2) * w, *below = rows + (2 * s + (i + 1) % 2) * w;
                if (i == 0) primal(x, 0, r0, r1);
                if (i + 1 < h) primal(below, i + 1, r0, r1);
                const Index at = i * w;
                dual_row<T, Isotropic>(u0 + at, u1 + at, r0 + at, r1 + at, x, i + 1 < h ? below : x, w, rate, weight,
                                       momentum);
            }
            const Index i = front - 2 * args.steps;
            if (i >= 0) primal(out + i * w, i, u0, u1);
        }
    }
};

template <class T>
Outcome run(const TvArgs& args, int threads) {
    const Index size = args.h * args.w, scratch = (2 * args.steps + 1) * args.w;
    const int team = team_for(args.planes, size * args.steps, threads);
    Buffer<T> rows(team * scratch);
    if (!rows) return Outcome::out_of_memory;
    T* u = static_cast<T*>(args.u);
    T* r = static_cast<T*>(args.r);
    const auto prox = Prox<T>::of(args);
    const Index field = args.planes * size;  // from the vertical to the horizontal differences
    share(args.planes, team, [&](Index begin, Index end, int member) {
        for (Index p = begin; p < end; ++p) {
            const Index at = p * size;
            const Plane<T> plane{args,
                                 static_cast<const T*>(args.v) + at,
                                 u + at,
                                 u + field + at,
                                 r + at,
                                 r + field + at,
                                 static_cast<T*>(args.out) + at,
                                 rows + member * scratch,
                                 args.h,
                                 args.w,
                                 prox};
            args.isotropic ? plane.template sweep<true>() : plane.template sweep<false>();
        }
    });
    return Outcome::done;
}

}  // namespace

namespace FASTIP_ISA {
Outcome tv_prox(const TvArgs& args, Dtype dtype, int threads) {
    return dtype == Dtype::f64 ? run<double>(args, threads) : run<float>(args, threads);
}
}  // namespace FASTIP_ISA

}  // namespace fastip
