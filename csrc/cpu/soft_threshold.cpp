// clip(soft(v + add, threshold) * shrink, low, high) in one pass.
#include "fastip/kernels.hpp"
#include "fastip/parallel.hpp"
#include "fastip/pointwise.hpp"

namespace fastip {
namespace {

template <class T>
__attribute__((noinline)) void threshold(const T* __restrict v, T* __restrict out, std::int64_t n, Prox<T> prox) {
    for (std::int64_t i = 0; i < n; ++i) out[i] = prox(v[i]);
}

template <class T>
__attribute__((noinline)) void threshold_sum(const T* __restrict v, const T* __restrict add, T* __restrict out,
                                             std::int64_t n, Prox<T> prox) {
    for (std::int64_t i = 0; i < n; ++i) out[i] = prox(v[i] + add[i]);
}

template <class T>
void run(const ThresholdArgs& args, int threads) {
    const T* v = static_cast<const T*>(args.v);
    const T* add = static_cast<const T*>(args.add);
    T* out = static_cast<T*>(args.out);
    const Prox<T> prox = Prox<T>::of(args);
    share(args.n, team_for(args.n, 1, threads), [&](std::int64_t begin, std::int64_t end, int) {
        if (add)
            threshold_sum<T>(v + begin, add + begin, out + begin, end - begin, prox);
        else
            threshold<T>(v + begin, out + begin, end - begin, prox);
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
