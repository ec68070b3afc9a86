// The data step where it is pointwise in Fourier space, in place: p' = offset + gain (p - f), f = 2 p' - p, p +=
// relaxation (p' - p).
#include "elementwise.hpp"
#include "scalar.hpp"

namespace fastip {
namespace cuda {
namespace {

// Two real numbers at a time, the real and the imaginary part: complex arrays are aligned to both.
template <class T>
struct Step {
    Pack<T, 2>* f;
    Pack<T, 2>* p;
    const Pack<T, 2>* offset;
    const Pack<T, 2>* gain;
    std::int64_t n;
    T relaxation;

    FASTIP_DEVICE void operator()(std::int64_t i) const {
        const Pack<T, 2> old = p[i], shift = offset[i], factor = gain[i % n];
        Pack<T, 2> image = f[i], dual = old;
        FASTIP_UNROLL(2)
        for (int k = 0; k < 2; ++k) {
            const T now = shift.value[k] + factor.value[k] * (old.value[k] - image.value[k]);
            const T step = now - old.value[k];
            image.value[k] = now + step;
            dual.value[k] = old.value[k] + relaxation * step;
        }
        f[i] = image;
        p[i] = dual;
    }
};

template <class T>
void run(const SpectralArgs& args, Stream stream) {
    const std::int64_t n = args.n / 2;
    const Step<T> body{static_cast<Pack<T, 2>*>(args.f),
                       static_cast<Pack<T, 2>*>(args.p),
                       static_cast<const Pack<T, 2>*>(args.offset),
                       static_cast<const Pack<T, 2>*>(args.gain),
                       n,
                       static_cast<T>(args.relaxation)};
    for_each(args.planes * n, stream, body);
}

}  // namespace

void spectral_step(const SpectralArgs& args, Dtype dtype, void* stream) {
    dtype == Dtype::f64 ? run<double>(args, static_cast<Stream>(stream))
                        : run<float>(args, static_cast<Stream>(stream));
}

}  // namespace cuda
}  // namespace fastip
