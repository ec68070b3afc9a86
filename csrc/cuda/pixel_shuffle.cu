// Between an image and its polyphase layout. A thread takes one row-wise group of `stride` pixels, so that the phases
// are read and written in order.
#include "elementwise.hpp"
#include "scalar.hpp"

namespace fastip {
namespace cuda {
namespace {

// Moves bits only: whole numbers of the size of a pixel.
template <class T, bool Split>
struct Shuffle {
    const T* in;
    T* out;
    int height, width, h, w, stride;

    // Image pixel (row, d * stride + b) is entry (row / stride, d) of phase (row % stride, b).
    FASTIP_DEVICE void operator()(std::int64_t item) const {
        const int d = static_cast<int>(item % w);
        const std::int64_t line = item / w;
        const int rows = h * stride, row = static_cast<int>(line % rows);
        if (!Split && row >= height) return;
        const std::int64_t plane = line / rows, image = (plane * height + row) * width;
        const std::int64_t phases = ((plane * stride + row % stride) * stride * h + row / stride) * w + d,
                           next = static_cast<std::int64_t>(h) * w;
        for (int b = 0; b < stride; ++b) {
            const int column = d * stride + b;
            if (Split)
                out[phases + b * next] = row < height && column < width ? in[image + column] : T(0);
            else if (column < width)
                out[image + column] = in[phases + b * next];
        }
    }
};

template <bool Split>
void run(const ShuffleArgs& args, Dtype dtype, Stream stream) {
    const auto move = [&](auto type) {
        using T = decltype(type);
        const Shuffle<T, Split> body{static_cast<const T*>(args.source), static_cast<T*>(args.out),
                                     static_cast<int>(args.height),      static_cast<int>(args.width),
                                     static_cast<int>(args.h),           static_cast<int>(args.w),
                                     static_cast<int>(args.stride)};
        for_each(args.planes * args.h * args.stride * args.w, stream, body);
    };
    if (dtype == Dtype::f64)
        move(std::uint64_t{});
    else if (dtype == Dtype::f32)
        move(std::uint32_t{});
    else
        move(std::uint16_t{});
}

}  // namespace

void pixel_unshuffle(const ShuffleArgs& args, Dtype dtype, void* stream) {
    run<true>(args, dtype, static_cast<Stream>(stream));
}
void pixel_shuffle(const ShuffleArgs& args, Dtype dtype, void* stream) {
    run<false>(args, dtype, static_cast<Stream>(stream));
}

}  // namespace cuda
}  // namespace fastip
