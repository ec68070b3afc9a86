// A^T y in gather form: the extended image row by row, phase by phase, then the margins folded back by the boundary's
// map, of rows and of columns. One path serves all boundaries. A psf that is an outer product is applied down the
// columns first (on data rows), then along the rows.
#include "fastip/convolution.hpp"
#include "fastip/phases.hpp"

namespace fastip {
namespace {

// A pixel of the row and the entry of the extended phases that is added to it (or, past the whole groups, copied).
struct Fold {
    std::int64_t to, from;
};

// An extended row in the margins and the image row that it folds onto.
struct MarginRow {
    std::int64_t image, extended;
};

// Set up once per call, read by all threads.
template <class T>
struct Adjoint {
    const ConvArgs& g;
    const Weights<T>& weights;
    const bool separable, folds;
    // Extended phases hold image indices stride * [-lead, columns - lead) + phase.
    const std::int64_t before_rows, before, lead, columns;
    const std::int64_t slack, pitch;  // zeros before a data row; length of a padded data row
    const std::int64_t depth;         // data rows that one extended row sees, at most
    std::int64_t fold_count = 0, copy_count = 0, margin_count = 0, windows = 1;
    Buffer<Fold> fold, copy;
    Buffer<MarginRow> margin;
    Buffer<Tap<T>> taps;             // for psf row a (separable: one row) and phase p
    Buffer<std::int64_t> tap_begin;  // (kh or 1) * stride + 1
    Buffer<Tap<T>> column;           // separable: one tap for each psf row

    Adjoint(const ConvArgs& args, const Weights<T>& weights_)
        : g(args),
          weights(weights_),
          // Where that is fewer products: (column taps + stride row taps) / stride for a pixel, else taps / stride.
          separable(weights.separable && weights.column_taps() + g.stride * weights.row_taps() < weights.taps()),
          folds(g.boundary == Boundary::circular || g.boundary == Boundary::reflect),
          before_rows(margin_before(g.kh, g.boundary)),
          before(margin_before(g.kw, g.boundary)),
          lead(folds ? ceil_div(before, g.stride) : 0),
          columns(lead + ceil_div(g.width + (folds ? g.kw - 1 - before : 0), g.stride)),
          slack(lead + ceil_div(g.kw, g.stride) + 1),
          pitch(slack + columns + ceil_div(g.kw, g.stride) + 2),
          depth(ceil_div(g.kh, g.stride)),
          fold(g.kw + 2 * g.stride),
          copy(g.stride),
          margin(g.kh),
          taps(g.kh * g.kw),
          tap_begin(g.kh * g.stride + 1),
          column(g.kh) {
        if (!*this) return;
        set_columns();
        set_rows();
        set_taps();
    }
    explicit operator bool() const { return fold && copy && margin && taps && tap_begin && column; }

    void set_columns() {
        const auto entry = [&](std::int64_t x) {
            const std::int64_t j = floor_div(x, g.stride);
            return (x - j * g.stride) * columns + j + lead;
        };
        for (std::int64_t x = g.width / g.stride * g.stride; x < g.width; ++x) copy[copy_count++] = {x, entry(x)};
        if (!folds) return;
        for (std::int64_t x = -before; x < 0; ++x) fold[fold_count++] = {source(x, g.width, g.boundary), entry(x)};
        for (std::int64_t x = g.width; x < g.width + g.kw - 1 - before; ++x)
            fold[fold_count++] = {source(x, g.width, g.boundary), entry(x)};
    }

    void set_rows() {
        if (!folds) return;
        for (std::int64_t m = 0; m < before_rows; ++m)
            margin[margin_count++] = {source(m - before_rows, g.height, g.boundary), m};
        for (std::int64_t m = before_rows + g.height; m < g.height + g.kh - 1; ++m)
            margin[margin_count++] = {source(m - before_rows, g.height, g.boundary), m};
        for (std::int64_t i = 0; i < margin_count; ++i) {
            std::int64_t same = 1;
            for (std::int64_t k = 0; k < margin_count; ++k) same += margin[k].image == margin[i].image;
            if (same > windows) windows = same;
        }
    }

    // Extended column stride j' + b came from data column j': for image phase p the taps b of its class, each reading
    // data at a fixed shift.
    void set_taps() {
        std::int64_t n = 0;
        for (std::int64_t a = 0; a < (separable ? 1 : g.kh); ++a)
            for (std::int64_t p = 0; p < g.stride; ++p) {
                tap_begin[a * g.stride + p] = n;
                for (std::int64_t b = (p + before) % g.stride; b < g.kw; b += g.stride) {
                    const double weight = separable ? weights.row[b] : weights.full[a * g.kw + b];
                    if (weight != 0) taps[n++] = {(p + before - b) / g.stride - lead, static_cast<T>(weight)};
                }
            }
        tap_begin[(separable ? 1 : g.kh) * g.stride] = n;
        for (std::int64_t a = 0; a < g.kh; ++a) column[a] = {0, static_cast<T>(weights.column[a])};
    }

    // A data row between zeros.
    void pad_row(const T* row, T* slot) const {
        std::memset(slot, 0, static_cast<std::size_t>(pitch) * sizeof(T));
        std::memcpy(slot + slack, row, static_cast<std::size_t>(g.w) * sizeof(T));
    }
};

// A data row and the psf row that carries it to the image row at hand.
template <class T>
struct Contribution {
    const T* row;
    std::int64_t a;
};

// One thread's walk over image rows.
template <class T>
class Walk {
  public:
    static std::int64_t slots(const Adjoint<T>& f) { return f.separable ? 1 : f.windows * f.depth; }
    static std::int64_t phase_memory(const Adjoint<T>& f) { return (f.g.stride * f.columns + 31) / 16 * 16; }
    static std::int64_t scratch(const Adjoint<T>& f) { return phase_memory(f) + slots(f) * f.pitch; }

    Walk(const Adjoint<T>& adjoint, T* memory, Line<T>* lines, Contribution<T>* rows, std::int64_t* held)
        : f_(adjoint),
          g_(adjoint.g),
          phases_(memory),
          ring_(memory + phase_memory(f_)),
          lines_(lines),
          rows_(rows),
          held_(held) {
        for (std::int64_t k = 0; k < slots(f_); ++k) held_[k] = -1;
        std::memset(ring_, 0, static_cast<std::size_t>(slots(f_) * f_.pitch) * sizeof(T));
    }

    void image_row(std::int64_t plane, std::int64_t y) {
        std::int64_t count = window(plane, y + f_.before_rows, 0, 0);
        std::int64_t number = 1;
        for (std::int64_t k = 0; k < f_.margin_count; ++k)
            if (f_.margin[k].image == y) count = window(plane, f_.margin[k].extended, number++, count);
        if (f_.separable) count = down(count);
        for (std::int64_t p = 0; p < g_.stride; ++p) {
            for (std::int64_t k = 0; k < count; ++k) {
                const std::int64_t* begin = f_.tap_begin + rows_[k].a * g_.stride + p;
                lines_[k] = {rows_[k].row + f_.slack, f_.taps + begin[0], begin[1] - begin[0]};
            }
            combine(phases_ + p * f_.columns, f_.columns, lines_, count);
        }
        T* out = static_cast<T*>(g_.out) + (plane * g_.height + y) * g_.width;
        merge(phases_ + f_.lead, f_.columns, out, g_.width / g_.stride, g_.stride);
        for (std::int64_t k = 0; k < f_.copy_count; ++k) out[f_.copy[k].to] = phases_[f_.copy[k].from];
        for (std::int64_t k = 0; k < f_.fold_count; ++k) out[f_.fold[k].to] += phases_[f_.fold[k].from];
    }

  private:
    // Adds the data rows that reach extended row m; `number` tells the windows of one image row apart.
    std::int64_t window(std::int64_t plane, std::int64_t m, std::int64_t number, std::int64_t count) {
        for (std::int64_t a = m % g_.stride; a < g_.kh && a <= m; a += g_.stride) {
            const std::int64_t i = (m - a) / g_.stride, k = plane * g_.h + i;
            if (i >= g_.h) continue;
            const T* row = static_cast<const T*>(g_.source) + k * g_.w;
            if (!f_.separable) {
                const std::int64_t slot = number * f_.depth + i % f_.depth;
                T* padded = ring_ + slot * f_.pitch;
                if (held_[slot] != k) f_.pad_row(row, padded), held_[slot] = k;
                row = padded;
            }
            rows_[count++] = {row, a};
        }
        return count;
    }

    // The column factor: all contributions into the one padded row.
    std::int64_t down(std::int64_t count) {
        for (std::int64_t k = 0; k < count; ++k) lines_[k] = {rows_[k].row, &f_.column[rows_[k].a], 1};
        combine(ring_ + f_.slack, g_.w, lines_, count);
        rows_[0] = {ring_, 0};
        return 1;
    }

    const Adjoint<T>& f_;
    const ConvArgs& g_;
    T *phases_, *ring_;
    Line<T>* lines_;
    Contribution<T>* rows_;
    std::int64_t* held_;
};

template <class T>
Outcome run(const ConvArgs& g, int threads) {
    const Weights<T> weights(g);
    if (!weights) return Outcome::out_of_memory;
    const Adjoint<T> adjoint(g, weights);
    if (!adjoint) return Outcome::out_of_memory;
    const std::int64_t rows = g.planes * g.height, most = adjoint.windows * adjoint.depth + 1;
    const std::int64_t scratch = (Walk<T>::scratch(adjoint) + 15) / 16 * 16;
    const int team = team_for(rows, g.w * weights.taps() / g.stride + 1, threads);
    const Buffer<T> memory(team * scratch);
    const Buffer<Line<T>> lines(team * most);
    const Buffer<Contribution<T>> contributions(team * most);
    const Buffer<std::int64_t> held(team * most);
    if (!memory || !lines || !contributions || !held) return Outcome::out_of_memory;
    share(rows, team, [&](std::int64_t begin, std::int64_t end, int member) {
        Walk<T> walk(adjoint, memory + member * scratch, lines + member * most, contributions + member * most,
                     held + member * most);
        for (std::int64_t k = begin; k < end; ++k) walk.image_row(k / g.height, k % g.height);
    });
    return Outcome::done;
}

}  // namespace

namespace FASTIP_ISA {
Outcome strided_conv_adjoint(const ConvArgs& args, Dtype dtype, int threads) {
    return dtype == Dtype::f64 ? run<double>(args, threads) : run<float>(args, threads);
}
}  // namespace FASTIP_ISA

}  // namespace fastip
