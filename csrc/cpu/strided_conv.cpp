// A x. Image rows are split into stride phases with their boundary margins, so that every tap reads contiguous pixels.
// A psf that is an outer product is applied down the columns first (on whole image rows), then along the one row that
// is left.
#include "fastip/convolution.hpp"
#include "fastip/phases.hpp"

namespace fastip {
namespace {

// A margin entry of a split row: where it stands, and the pixel it repeats (-1: zero).
struct Edge {
    std::int64_t to, from;
};

// Set up once per call, read by all threads.
template <class T>
struct Forward {
    const ConvArgs& g;
    const Weights<T>& weights;
    // A phase holds image indices stride * [-lead, w + tail) + phase.
    const std::int64_t before_rows, before, lead, tail, pitch, whole;
    const bool separable;
    std::int64_t edge_count = 0;
    Buffer<Edge> edges;
    Buffer<Tap<T>> taps;             // dense: of the psf's rows one after the other; separable: of the row factor
    Buffer<std::int64_t> row_begin;  // kh + 1
    Buffer<Tap<T>> column;           // separable: one tap for each psf row
    const Tap<T> first, second;

    Forward(const ConvArgs& args, const Weights<T>& weights_)
        : g(args),
          weights(weights_),
          before_rows(margin_before(g.kh, g.boundary)),
          before(margin_before(g.kw, g.boundary)),
          lead(ceil_div(before, g.stride)),
          tail(floor_div(g.kw - 1 - before, g.stride)),
          pitch(lead + g.w + tail),
          whole(smaller(g.width / g.stride, g.w + tail)),
          separable(weights.separable && cheaper_separable()),
          edges(g.stride * pitch),
          taps(g.kh * g.kw),
          row_begin(g.kh + 1),
          column(g.kh),
          first{0, static_cast<T>(g.a)},
          second{0, static_cast<T>(g.b)} {
        if (!*this) return;
        for (std::int64_t j = -lead; j < g.w + tail; ++j)
            for (std::int64_t p = 0; p < g.stride; ++p)
                if (j < 0 || j >= whole)
                    edges[edge_count++] = {p * pitch + j, source(j * g.stride + p, g.width, g.boundary)};
        separable ? set_factors() : set_taps();
    }
    explicit operator bool() const { return edges && taps && row_begin && column; }

    // Operations of an output row: the products of each way and the pixels it splits into phases, one operation each.
    bool cheaper_separable() const {
        const std::int64_t fresh = smaller(g.kh, g.stride) * g.width;
        return weights.column_taps() * g.width + weights.row_taps() * g.w + g.width < weights.taps() * g.w + fresh;
    }

    Tap<T> tap(std::int64_t b, double weight) const {
        const std::int64_t shift = floor_div(b - before, g.stride);
        return {(b - before - shift * g.stride) * pitch + shift, static_cast<T>(weight)};
    }

    void set_taps() {
        std::int64_t n = 0;
        for (std::int64_t a = 0; a < g.kh; ++a) {
            row_begin[a] = n;
            for (std::int64_t b = 0; b < g.kw; ++b)
                if (weights.full[a * g.kw + b] != 0) taps[n++] = tap(b, g.scale * weights.full[a * g.kw + b]);
        }
        row_begin[g.kh] = n;
    }

    void set_factors() {
        std::int64_t n = 0;
        for (std::int64_t b = 0; b < g.kw; ++b)
            if (weights.row[b] != 0) taps[n++] = tap(b, weights.row[b]);
        row_begin[0] = 0, row_begin[1] = n;
        for (std::int64_t a = 0; a < g.kh; ++a) column[a] = {0, static_cast<T>(g.scale * weights.column[a])};
    }

    // One image row into its phases, whose zero index is `lead` past `slot`.
    void split_row(const T* row, T* slot) const {
        T* phases = slot + lead;
        split(row, phases, pitch, whole, g.stride);
        for (std::int64_t e = 0; e < edge_count; ++e)
            phases[edges[e].to] = edges[e].from < 0 ? T(0) : row[edges[e].from];
    }
};

// One thread's walk over output rows.
template <class T>
class Walk {
  public:
    // 16 elements of float32 are a cache line: the row of a separable psf begins on one.
    static std::int64_t scratch(const Forward<T>& f) {
        const std::int64_t slot = f.g.stride * f.pitch;
        return f.separable ? slot + f.g.width + 16 : f.g.kh * slot;
    }

    Walk(const Forward<T>& forward, T* memory, Line<T>* lines, std::int64_t* held)
        : f_(forward), g_(forward.g), memory_(memory), lines_(lines), held_(held) {
        for (std::int64_t a = 0; a < g_.kh; ++a) held_[a] = -1;
    }

    void output_row(std::int64_t plane, std::int64_t i) {
        const T* image = static_cast<const T*>(g_.source) + plane * g_.height * g_.width;
        const std::int64_t at = (plane * g_.h + i) * g_.w;
        std::int64_t count = f_.separable ? down_then_along(image, i) : from_ring(image, plane, i);
        if (g_.first) lines_[count++] = {static_cast<const T*>(g_.first) + at, &f_.first, 1};
        if (g_.second) lines_[count++] = {static_cast<const T*>(g_.second) + at, &f_.second, 1};
        combine(static_cast<T*>(g_.out) + at, g_.w, lines_, count);
    }

  private:
    std::int64_t image_row(std::int64_t i, std::int64_t a) const {
        return source(i * g_.stride + a - f_.before_rows, g_.height, g_.boundary);
    }

    std::int64_t down_then_along(const T* image, std::int64_t i) {
        T* const row = memory_ + (g_.stride * f_.pitch + 15) / 16 * 16;
        std::int64_t count = 0;
        for (std::int64_t a = 0; a < g_.kh; ++a) {
            const std::int64_t r = image_row(i, a);
            if (r >= 0 && f_.column[a].weight != 0) lines_[count++] = {image + r * g_.width, &f_.column[a], 1};
        }
        combine(row, g_.width, lines_, count);
        f_.split_row(row, memory_);
        lines_[0] = {memory_ + f_.lead, f_.taps, f_.row_begin[1]};
        return 1;
    }

    // The last kh extended rows stay split; each is split once.
    std::int64_t from_ring(const T* image, std::int64_t plane, std::int64_t i) {
        std::int64_t count = 0;
        for (std::int64_t a = 0; a < g_.kh; ++a) {
            const std::int64_t r = image_row(i, a), taps = f_.row_begin[a + 1] - f_.row_begin[a];
            if (r < 0 || taps == 0) continue;
            const std::int64_t extended = i * g_.stride + a, slot = extended % g_.kh,
                               key = plane * (g_.h * g_.stride + g_.kh) + extended;
            T* const phases = memory_ + slot * g_.stride * f_.pitch;
            if (held_[slot] != key) f_.split_row(image + r * g_.width, phases), held_[slot] = key;
            lines_[count++] = {phases + f_.lead, f_.taps + f_.row_begin[a], taps};
        }
        return count;
    }

    const Forward<T>& f_;
    const ConvArgs& g_;
    T* memory_;
    Line<T>* lines_;
    std::int64_t* held_;
};

template <class T>
Outcome run(const ConvArgs& g, int threads) {
    const Weights<T> weights(g);
    if (!weights) return Outcome::out_of_memory;
    const Forward<T> forward(g, weights);
    if (!forward) return Outcome::out_of_memory;
    // At least 16 elements apart, so that no two threads write to one cache line.
    const std::int64_t rows = g.planes * g.h, lines = g.kh + 2, scratch = (Walk<T>::scratch(forward) + 31) / 16 * 16;
    const int team = team_for(rows, g.w * weights.taps(), threads);
    const Buffer<T> memory(team * scratch);
    const Buffer<Line<T>> line_memory(team * lines);
    const Buffer<std::int64_t> held(team * g.kh);
    if (!memory || !line_memory || !held) return Outcome::out_of_memory;
    share(rows, team, [&](std::int64_t begin, std::int64_t end, int member) {
        Walk<T> walk(forward, memory + member * scratch, line_memory + member * lines, held + member * g.kh);
        for (std::int64_t k = begin; k < end; ++k) walk.output_row(k / g.h, k % g.h);
    });
    return Outcome::done;
}

}  // namespace

namespace FASTIP_ISA {
Outcome strided_conv(const ConvArgs& args, Dtype dtype, int threads) {
    return dtype == Dtype::f64 ? run<double>(args, threads) : run<float>(args, threads);
}
}  // namespace FASTIP_ISA

}  // namespace fastip
