// clip(soft(v + add, threshold) * shrink, low, high) in one pass.
#include "fastip/kernels.hpp"
#include "fastip/parallel.hpp"
#include "fastip/vec.hpp"

namespace fastip {
namespace {

// Comparisons, not fmin: they vectorise, and a NaN goes through.
template <class T>
FASTIP_INLINE T clip(T a, T low, T high) {
    const T c = a < low ? low : a;
    return c > high ? high : c;
}

template <class T>
__attribute__((noinline)) void threshold(const T* __restrict v, T* __restrict out, std::int64_t n, T t, T shrink, T low, T high) {
    for (std::int64_t i = 0; i < n; ++i) out[i] = clip((v[i] - clip(v[i], -t, t)) * shrink, low, high);
}

template <class T>
__attribute__((noinline)) void threshold_sum(const T* __restrict v, const T* __restrict add, T* __restrict out, std::int64_t n, T t, T shrink, T low, T high) {
    for (std::int64_t i = 0; i < n; ++i) {
        const T a = v[i] + add[i];
        out[i] = clip((a - clip(a, -t, t)) * shrink, low, high);
    }
}

template <class T>
void run(const ThresholdArgs& args, int threads) {
    const T* v = static_cast<const T*>(args.v);
    const T* add = static_cast<const T*>(args.add);
    T* out = static_cast<T*>(args.out);
    const T t = static_cast<T>(args.threshold > 0 ? args.threshold : 0), shrink = static_cast<T>(args.shrink);
    const T low = static_cast<T>(args.low), high = static_cast<T>(args.high);
    share(args.n, team_for(args.n, 1, threads), [&](std::int64_t begin, std::int64_t end, int) {
        if (add)
            threshold_sum<T>(v + begin, add + begin, out + begin, end - begin, t, shrink, low, high);
        else
            threshold<T>(v + begin, out + begin, end - begin, t, shrink, low, high);
    });
}

}  // namespace

namespace FASTIP_ISA {
Outcome soft_threshold(const ThresholdArgs& args, Dtype dtype, int threads) {
    dtype == Dtype::f64 ? run<double>(args, threads) : run<float>(args, threads);
    return Outcome::done;
}
}  // namespace FASTIP_ISA

}  // namespace fastip
