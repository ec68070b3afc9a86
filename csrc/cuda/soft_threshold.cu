// clip(soft(v + add, threshold) * shrink, low, high) in one pass, 16 bytes at a time where everything is aligned.
#include "elementwise.hpp"
#include "scalar.hpp"

namespace fastip {
namespace cuda {
namespace {

template <class T, int N>
struct Threshold {
    const T* v;
    const T* add;
    T* out;
    Prox<Sum<T>> prox;

    FASTIP_DEVICE void operator()(std::int64_t i) const {
        Pack<T, N> a = reinterpret_cast<const Pack<T, N>*>(v)[i], b, c;
        if (add) b = reinterpret_cast<const Pack<T, N>*>(add)[i];
        FASTIP_UNROLL(N)
        for (int k = 0; k < N; ++k) store(&c.value[k], prox(load(&a.value[k]) + (add ? load(&b.value[k]) : Sum<T>(0))));
        reinterpret_cast<Pack<T, N>*>(out)[i] = c;
    }
};

template <class T, int N>
void run(const ThresholdArgs& args, Stream stream) {
    const Threshold<T, N> body{static_cast<const T*>(args.v), static_cast<const T*>(args.add),
                               static_cast<T*>(args.out), Prox<Sum<T>>::of(args)};
    for_each(args.n / N, stream, body);
}

}  // namespace

void soft_threshold(const ThresholdArgs& args, Dtype dtype, void* stream) {
    with_type(dtype, [&](auto type) {
        using T = decltype(type);
        constexpr int wide = 16 / sizeof(T);  // the widest load of a thread
        const auto address = reinterpret_cast<std::uintptr_t>(args.v) | reinterpret_cast<std::uintptr_t>(args.add) |
                             reinterpret_cast<std::uintptr_t>(args.out);
        if (address % 16 == 0 && args.n % wide == 0)
            run<T, wide>(args, static_cast<Stream>(stream));
        else
            run<T, 1>(args, static_cast<Stream>(stream));
    });
}

}  // namespace cuda
}  // namespace fastip
