// The prox of total variation by a fixed number of projected dual steps, warm-started. A step is two passes: w = prox(v
// - step D^T r) into `out`, then u' = project(r + D w / (8 step)) and r' = u' + momentum (u' - u) pixel by pixel, so
// that both fields stay where they are.
#include "elementwise.hpp"
#include "scalar.hpp"

namespace fastip {
namespace cuda {
namespace {

template <class T>
struct Primal {
    const T *v, *down, *right;  // the field's vertical and horizontal differences
    T* out;
    int h, w;
    Sum<T> step;
    Prox<Sum<T>> prox;

    FASTIP_DEVICE void operator()(std::int64_t at) const {
        const int j = static_cast<int>(at % w), i = static_cast<int>(at / w % h);
        const Sum<T> above = i > 0 ? load(down + at - w) : Sum<T>(0), left = j > 0 ? load(right + at - 1) : Sum<T>(0);
        store(out + at, prox(load(v + at) - step * (above - load(down + at) + left - load(right + at))));
    }
};

template <class T, bool Isotropic>
struct Dual {
    const T* x;
    T *u_down, *u_right, *r_down, *r_right;
    int h, w;
    Sum<T> rate, weight, unit, momentum;

    FASTIP_DEVICE void operator()(std::int64_t at) const {
        const int j = static_cast<int>(at % w), i = static_cast<int>(at / w % h);
        const Sum<T> here = load(x + at);
        Sum<T> a = load(r_down + at) + rate * (i + 1 < h ? load(x + at + w) - here : Sum<T>(0));
        Sum<T> b = load(r_right + at) + rate * (j + 1 < w ? load(x + at + 1) - here : Sum<T>(0));
        if (Isotropic) {
            const Sum<T> most = weight * unit, length = (a * unit) * (a * unit) + (b * unit) * (b * unit);
            const Sum<T> scale = length > most * most ? most / std::sqrt(length) : Sum<T>(1);
            a *= scale, b *= scale;
        } else {
            a = clip(a, -weight, weight), b = clip(b, -weight, weight);
        }
        store(r_down + at, a + momentum * (a - load(u_down + at)));
        store(r_right + at, b + momentum * (b - load(u_right + at)));
        store(u_down + at, a);
        store(u_right + at, b);
    }
};

template <class T, bool Isotropic>
void run(const TvArgs& args, Stream stream) {
    const std::int64_t pixels = args.planes * args.h * args.w;
    const int h = static_cast<int>(args.h), w = static_cast<int>(args.w);
    T *u = static_cast<T*>(args.u), *r = static_cast<T*>(args.r), *out = static_cast<T*>(args.out);
    const T* v = static_cast<const T*>(args.v);
    const Sum<T> step = static_cast<Sum<T>>(args.step);
    const auto prox = Prox<Sum<T>>::of(args);
    // The rate: ||D||^2 <= 8: one over the Lipschitz constant of the dual's gradient, as accelerated steps need it.
    const Dual<T, Isotropic> dual{out,
                                  u,
                                  u + pixels,
                                  r,
                                  r + pixels,
                                  h,
                                  w,
                                  static_cast<Sum<T>>(1 / (8 * args.step)),
                                  static_cast<Sum<T>>(args.weight),
                                  static_cast<Sum<T>>(unit_for(args.weight)),
                                  static_cast<Sum<T>>(args.momentum)};
    for (std::int64_t k = 0; k < args.steps; ++k) {
        for_each(pixels, stream, Primal<T>{v, r, r + pixels, out, h, w, step, prox});
        for_each(pixels, stream, dual);
    }
    for_each(pixels, stream, Primal<T>{v, u, u + pixels, out, h, w, step, prox});
}

}  // namespace

void tv_prox(const TvArgs& args, Dtype dtype, void* stream) {
    with_type(dtype, [&](auto type) {
        using T = decltype(type);
        args.isotropic ? run<T, true>(args, static_cast<Stream>(stream))
                       : run<T, false>(args, static_cast<Stream>(stream));
    });
}

}  // namespace cuda
}  // namespace fastip
