// The pointwise passes of a second split around its transforms. On the picture w = x - p, beside it w = -p; in Fourier
// space X = near W + far S and H X; behind them p' = p + X - x, beside the picture -X, s' = target + kept (2 H X - s) +
// s - H X and r = beta (X - x).
#include "elementwise.hpp"
#include "scalar.hpp"

namespace fastip {
namespace cuda {
namespace {

using Index = std::int64_t;

// Where a number of the grids lies. A plane has fewer than 2^31: one slow division an item.
struct Place {
    Index plane;
    unsigned image, channel, rest;  // rest: in its plane
    Index dual;                     // of the first split, in q; that of the second lies `channels` grids behind it
    Index pixel;                    // on the picture, -1 beside it
};

struct Layout {
    unsigned channels, height, width, grid_width, n;  // n: a grid

    template <class Args>
    static Layout of(const Args& args) {
        return {static_cast<unsigned>(args.channels), static_cast<unsigned>(args.height),
                static_cast<unsigned>(args.width), static_cast<unsigned>(args.grid_width),
                static_cast<unsigned>(args.grid_height * args.grid_width)};
    }
    FASTIP_DEVICE Place operator()(Index i) const {
        Place at;
        at.plane = i / n;
        at.rest = static_cast<unsigned>(i - at.plane * n);
        at.image = static_cast<unsigned>(at.plane) / channels;
        at.channel = static_cast<unsigned>(at.plane) - at.image * channels;
        at.dual = i + static_cast<Index>(at.image) * channels * n;
        const unsigned row = at.rest / grid_width, column = at.rest - row * grid_width;
        at.pixel = row < height && column < width ? (at.plane * height + row) * width + column : -1;
        return at;
    }
};

template <class T>
struct Open {
    const T* x;
    const T* q;
    T* w;
    Layout layout;

    FASTIP_DEVICE void operator()(Index i) const {
        const Place at = layout(i);
        w[i] = (at.pixel < 0 ? T(0) : x[at.pixel]) - q[at.dual];
    }
};

template <class T>
struct Close {
    const T* image;
    const T* blurred;
    const T* x;
    const T* q;
    const T* kept;
    const T* target;
    T* dual;
    T* r;
    Layout layout;
    unsigned kept_images, kept_channels;
    T beta;

    FASTIP_DEVICE void operator()(Index i) const {
        const Place at = layout(i);
        const T found = image[i];
        if (at.pixel < 0) {
            dual[at.dual] = -found;
        } else {
            const T moved = found - x[at.pixel];
            dual[at.dual] = q[at.dual] + moved;
            r[at.pixel] = beta * moved;
        }
        const Index second = at.dual + static_cast<Index>(layout.channels) * layout.n;
        const unsigned seen = at.image % kept_images * kept_channels + at.channel % kept_channels;
        const T ahead = blurred[i], beyond = q[second] - ahead;
        dual[second] = target[i] + kept[static_cast<Index>(seen) * layout.n + at.rest] * (ahead - beyond) + beyond;
    }
};

// Complex numbers are aligned to both their parts.
template <class T>
struct Mix {
    Pack<T, 2>* w;
    Pack<T, 2>* s;
    const Pack<T, 2>* spectrum;
    const T* near;
    const Pack<T, 2>* far;
    Index n;

    FASTIP_DEVICE void operator()(Index i) const {
        const Index at = i % n;
        const Pack<T, 2> a = w[i], b = s[i], f = far[at], h = spectrum[at];
        const T g = near[at];
        Pack<T, 2> mixed, blurred;
        mixed.value[0] = g * a.value[0] + (f.value[0] * b.value[0] - f.value[1] * b.value[1]);
        mixed.value[1] = g * a.value[1] + (f.value[0] * b.value[1] + f.value[1] * b.value[0]);
        blurred.value[0] = h.value[0] * mixed.value[0] - h.value[1] * mixed.value[1];
        blurred.value[1] = h.value[0] * mixed.value[1] + h.value[1] * mixed.value[0];
        w[i] = mixed;
        s[i] = blurred;
    }
};

template <class T>
void run(const SplitOpenArgs& args, Stream stream) {
    const Open<T> body{static_cast<const T*>(args.x), static_cast<const T*>(args.q), static_cast<T*>(args.w),
                       Layout::of(args)};
    for_each(args.images * args.channels * body.layout.n, stream, body);
}

template <class T>
void run(const SplitMixArgs& args, Stream stream) {
    const Mix<T> body{static_cast<Pack<T, 2>*>(args.w),
                      static_cast<Pack<T, 2>*>(args.s),
                      static_cast<const Pack<T, 2>*>(args.spectrum),
                      static_cast<const T*>(args.near),
                      static_cast<const Pack<T, 2>*>(args.far),
                      args.n};
    for_each(args.planes * args.n, stream, body);
}

template <class T>
void run(const SplitCloseArgs& args, Stream stream) {
    const Close<T> body{static_cast<const T*>(args.image),
                        static_cast<const T*>(args.blurred),
                        static_cast<const T*>(args.x),
                        static_cast<const T*>(args.q),
                        static_cast<const T*>(args.kept),
                        static_cast<const T*>(args.target),
                        static_cast<T*>(args.dual),
                        static_cast<T*>(args.r),
                        Layout::of(args),
                        static_cast<unsigned>(args.kept_images),
                        static_cast<unsigned>(args.kept_channels),
                        static_cast<T>(args.beta)};
    for_each(args.images * args.channels * body.layout.n, stream, body);
}

template <class Args>
void of_dtype(const Args& args, Dtype dtype, void* stream) {
    dtype == Dtype::f64 ? run<double>(args, static_cast<Stream>(stream))
                        : run<float>(args, static_cast<Stream>(stream));
}

}  // namespace

void split_open(const SplitOpenArgs& args, Dtype dtype, void* stream) { of_dtype(args, dtype, stream); }
void split_mix(const SplitMixArgs& args, Dtype dtype, void* stream) { of_dtype(args, dtype, stream); }
void split_close(const SplitCloseArgs& args, Dtype dtype, void* stream) { of_dtype(args, dtype, stream); }

}  // namespace cuda
}  // namespace fastip
