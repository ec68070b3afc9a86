// A^T y.
#include "pull.hpp"

namespace fastip {
namespace cuda {
namespace {

template <class T>
struct Write {
    static constexpr int kSums = 0, kScratch = 0;
    using Total = Totals<0>;
    T* out;

    FASTIP_DEVICE void take(std::int64_t at, Sum<T> sum, Total&) const { store(out + at, sum); }

    template <int N>
    FASTIP_DEVICE void take_row(std::int64_t at, const Sum<T> (&sum)[N], int count, Total&) const {
        FASTIP_UNROLL(N)
        for (int k = 0; k < N; ++k)
            if (k < count) store(out + at + k, sum[k]);
    }
};

}  // namespace

void strided_conv_adjoint(const ConvArgs& args, Dtype dtype, void* stream) {
    with_type(dtype, [&](auto type) {
        using T = decltype(type);
        const PullGrid grid = pull_grid(args.planes, args.height, args.width, args.h, args.w, args.kh, args.kw,
                                        args.stride, args.boundary);
        pull<T, Write<T>>({grid, static_cast<const T*>(args.source), args.psf, {static_cast<T*>(args.out)}, {nullptr}},
                          static_cast<Stream>(stream));
    });
}

}  // namespace cuda
}  // namespace fastip
