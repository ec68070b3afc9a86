// scale A x + a first + b second. C r and the two halves of `woodbury` are the same call.
#include "convolve.hpp"

namespace fastip {
namespace cuda {
namespace {

template <class T>
struct Combine {
    static constexpr int kSums = 0, kScratch = 0;
    static constexpr bool kStrided = true;
    using Total = Totals<0>;
    T* out;
    const T *first, *second;
    Sum<T> scale, a, b;

    FASTIP_DEVICE void take(std::int64_t at, Sum<T> sum, Total&) const {
        Sum<T> value = scale * sum;
        if (first) value += a * load(first + at);
        if (second) value += b * load(second + at);
        store(out + at, value);
    }
};

}  // namespace

void strided_conv(const ConvArgs& args, Dtype dtype, void* stream) {
    with_type(dtype, [&](auto type) {
        using T = decltype(type);
        const Combine<T> epilogue{static_cast<T*>(args.out),          static_cast<const T*>(args.first),
                                  static_cast<const T*>(args.second), static_cast<Sum<T>>(args.scale),
                                  static_cast<Sum<T>>(args.a),        static_cast<Sum<T>>(args.b)};
        const Grid grid = forward_grid(args.planes, args.height, args.width, args.h, args.w, args.kh, args.kw,
                                       args.stride, args.boundary);
        convolve<T, Combine<T>>({grid, static_cast<const T*>(args.source), args.psf, epilogue, {nullptr}},
                                static_cast<Stream>(stream));
    });
}

}  // namespace cuda
}  // namespace fastip
