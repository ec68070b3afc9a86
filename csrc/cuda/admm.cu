// Whole ADMM iterations. Per iteration three sweeps, queued without waiting:
//   residual   r  = y - beta q - A x
//   dual       q' = q + C r,  t = 2 q' - q
//   prior      x' = prox(x + A^T t)
// so the image is read twice and written once. A look at the stop rule costs the residual of x', a fourth sweep. Planes
// that fit into the shared memory of a block or of a cluster of blocks stay there instead (chip.hpp). The stop rule is
// judged on the device; the host looks at a copy of the verdict one look late, and what it queued in between does
// nothing.
#include "chip.hpp"
#include "pull.hpp"
#include "stop_rule.hpp"
#include "stream.hpp"

namespace fastip {
namespace cuda {
namespace {

using Index = std::int64_t;

template <class T, bool Check>
struct Residual {
    static constexpr int kSums = Check ? 1 : 0, kScratch = 8 * kSums;
    static constexpr bool kStrided = true;
    using Total = Totals<kSums>;
    using A = Sum<T>;
    const T* y;
    const A* q;
    A* r;
    A beta;
    // Where it is checked: null, or what is taken from the residual, which then leaves nothing but its sum.
    const A* less;
    A unit;  // values are multiplied by it before they are squared
    double* partial;

    FASTIP_DEVICE void take(Index at, A sum, Total& total) const {
        A value = load(y + at) - beta * q[at] - sum;
        if constexpr (Check) {
            if (less) value -= less[at];
            total.value[0] += squared(value * unit);
            if (less) return;
        }
        r[at] = value;
    }
};

// With Look it leaves alpha beta (q' - q) - (alpha - 1) r in `less`, alpha being the relaxation. The residual of the
// state after the iteration is (1 - alpha) r + alpha r', so less this it is -alpha (beta (q' - q) - r').
template <class A, bool Look>
struct Dual {
    static constexpr int kSums = 0, kScratch = 0;
    static constexpr bool kStrided = false;
    using Total = Totals<0>;
    A *q, *t;
    A relaxation, beta;
    const A* r;
    A* less;

    FASTIP_DEVICE void take(Index at, A step, Total&) const {
        const A old = q[at];
        t[at] = old + step + step;
        q[at] = old + relaxation * step;
        if constexpr (Look) less[at] = relaxation * beta * step - (relaxation - 1) * r[at];
    }
};

template <class T, bool Check>
struct Prior {
    static constexpr int kSums = Check ? 2 : 0, kScratch = 8 * kSums;
    static constexpr bool kStrided = false;
    using Total = Totals<kSums>;
    using A = Sum<T>;
    T *x, *relaxed;
    Prox<A> prox;
    A relaxation, unit;
    bool wide;  // rows of N pixels are aligned to their size
    double* partial;

    FASTIP_DEVICE void take(Index at, A sum, Total& total) const { take_row<1>(at, {sum}, 1, total); }

    template <int N>
    FASTIP_DEVICE void take_row(Index at, const A (&sum)[N], int count, Total& total) const {
        constexpr bool packs = N == 2 || N == 4;  // three cannot be loaded at once
        A old[N] = {}, kept[N];
        if (packs && wide) {
            const auto row = *reinterpret_cast<const Pack<T, packs ? N : 1>*>(x + at);
            FASTIP_UNROLL(N)
            for (int k = 0; k < N; ++k) old[k] = load(&row.value[packs ? k : 0]);
        } else {
            FASTIP_UNROLL(N)
            for (int k = 0; k < N; ++k)
                if (k < count) old[k] = load(x + at + k);
        }
        FASTIP_UNROLL(N)
        for (int k = 0; k < N; ++k) {
            const A now = prox(old[k] + sum[k]), step = now - old[k];
            kept[k] = relaxed ? old[k] + relaxation * step : now;
            if constexpr (Check) {
                if (k >= count) continue;
                if (relaxed) store(relaxed + at + k, now);
                total.value[0] += squared(step * unit), total.value[1] += squared(sum[k] * unit);
            }
        }
        if (packs && wide) {
            Pack<T, packs ? N : 1> row;
            FASTIP_UNROLL(N)
            for (int k = 0; k < N; ++k) store(&row.value[packs ? k : 0], kept[k]);
            *reinterpret_cast<Pack<T, packs ? N : 1>*>(x + at) = row;
        } else {
            FASTIP_UNROLL(N)
            for (int k = 0; k < N; ++k)
                if (k < count) store(x + at + k, kept[k]);
        }
    }
};

// The workspace of a solve, by parts; with a null base it only counts.
template <class A>
struct Workspace {
    char* base;
    Index used = 0;
    A *r, *t, *less;
    LookSums sums;
    AdmmState* state;

    Workspace(const AdmmArgs& a, void* memory) : base(static_cast<char*>(memory)) {
        const Index planes = a.images * a.channels, data = planes * a.h * a.w;
        const bool checks = a.tolerance > 0 || a.relaxation != 1.0;
        r = take<A>(data), t = take<A>(data), less = take<A>(a.tolerance > 0 ? data : 0);
        // Tiles of 8 x 32, the smallest of all kernels that leave sums, or the ranks of a cluster.
        const Index tiles = checks ? planes * (ceil_div(a.h, 8) * ceil_div(a.w, 32) + kMostRanks) : 0;
        sums.residual = take<double>(tiles), sums.pending = take<double>(tiles);
        sums.image =
            take<double>(checks ? 2 * planes * (ceil_div(a.height, 8) * ceil_div(a.width, 32) + kMostRanks) : 0);
        state = take<AdmmState>(1);
    }

  private:
    template <class P>
    P* take(Index count) {
        P* part = base ? reinterpret_cast<P*>(base + used) : nullptr;
        used += (count * Index(sizeof(P)) + 255) / 256 * 256;  // aligned like memory that CUDA gives out
        return part;
    }
};

template <class T>
class Solve {
    using A = Sum<T>;

  public:
    Solve(const AdmmArgs& args, Stream stream)
        : a(args),
          stream_(stream),
          planes(a.images * a.channels),
          work(a, a.workspace),
          forward(forward_grid(planes, a.height, a.width, a.h, a.w, a.kh, a.kw, a.stride, a.boundary)),
          correction(forward_grid(planes, a.h, a.w, a.h, a.w, 2 * a.half + 1, 2 * a.half + 1, 1,
                                  a.boundary == Boundary::circular ? a.boundary : Boundary::zero)),
          backward(pull_grid(planes, a.height, a.width, a.h, a.w, a.kh, a.kw, a.stride, a.boundary)),
          prox(Prox<A>::of(a)),
          chip(a, prox) {
        if (a.path == AdmmPath::chip && !chip.fits())
            throw std::runtime_error("these planes do not fit on the chip: leave the path to be chosen");
    }

    void run() {
        AdmmResult& result = *a.result;
        result = {0, 0, AdmmStatus::iterations};
        clear(work.state, sizeof(AdmmState), stream_);
        if (a.tolerance > 0)
            run_checked(result);
        else
            run_all(result);
    }

  private:
    const AdmmArgs& a;
    Stream stream_;
    const Index planes;
    const Workspace<A> work;
    const Grid forward, correction;
    const PullGrid backward;
    const Prox<A> prox;
    const Chip<T> chip;
    Index residual_blocks = 0, image_blocks = 0;  // of a plane, in the last look

    // No look, nothing to wait for.
    void run_all(AdmmResult& result) {
        advance(a.iterations, a.relaxation != 1.0);  // the last one writes x' itself out
        result.iterations = a.iterations;
    }

    void run_checked(AdmmResult& result) {
        if (capturing(stream_))
            throw std::runtime_error(
                "a solve with a tolerance waits for its verdict, which a captured stream cannot: pass tolerance=0");
        AdmmState* const copies = static_cast<AdmmState*>(a.states);
        Event seen[2];
        Index done = 0, looks = 0;
        bool over = false;
        while (!over && done < a.iterations) {
            const Index count = a.every < a.iterations - done ? a.every : a.iterations - done;
            advance(count, true);
            look(count);
            copy_to_host(copies + looks % 2, work.state, sizeof(AdmmState), stream_);
            seen[looks % 2].record(stream_);
            done += count, ++looks;
            if (looks < 2) continue;
            seen[looks % 2].wait();  // the look before this one
            over = copies[looks % 2].over != 0;
        }
        seen[(looks - 1) % 2].wait();
        const AdmmState& state = copies[(looks - 1) % 2];
        result = {state.iterations, state.checks, static_cast<AdmmStatus>(state.status)};
    }

    void look(Index count) {
        const Scales scales{a.sizes, a.floors, a.norm, a.unit, a.beta, a.tolerance, a.rounding};
        launch<Ratios>(a.images, 4 * 8 * Ratios::threads, stream_,
                       {work.sums, a.channels * residual_blocks, a.channels * image_blocks, scales, a.history,
                        work.state, a.images});
        launch<Judge>(1, 4 * Judge::threads, stream_,
                      {a.history, work.state, a.images, count, a.every, a.patience, a.tolerance});
    }

    // `count` iterations; with `check`, the last of them leaves its sums behind, and x' where there is relaxation.
    void advance(Index count, bool check) {
        if (chip.fits()) {
            residual_blocks = image_blocks = chip.ranks();
            chip.advance(count, check, {&work.state->over}, work.sums, stream_);
            return;
        }
        for (Index k = 0; k < count; ++k) (check && k + 1 == count) ? iterate<true>() : iterate<false>();
    }

    template <bool Check>
    void iterate() {
        const Gate gate{a.tolerance > 0 ? &work.state->over : nullptr};
        const bool look = Check && a.tolerance > 0;
        const A beta = static_cast<A>(a.beta), relaxation = static_cast<A>(a.relaxation), unit = static_cast<A>(a.unit);
        T* const x = static_cast<T*>(a.image);
        A* const q = static_cast<A*>(a.q);
        const bool wide = a.width % a.stride == 0 && reinterpret_cast<std::uintptr_t>(x) % (a.stride * sizeof(T)) == 0;
        Residual<T, Check> residual{static_cast<const T*>(a.y), q, work.r, beta, nullptr, unit, work.sums.residual};
        const Index r_blocks = convolve<T, Residual<T, Check>>({forward, x, a.psf, residual, gate}, stream_);
        if (look)
            dual<true>(q, beta, relaxation, gate);
        else
            dual<false>(q, beta, relaxation, gate);
        const Prior<T, Check> prior{x, static_cast<T*>(a.relaxed), prox, relaxation, unit, wide, work.sums.image};
        const Index x_blocks = pull<A, Prior<T, Check>>({backward, work.t, a.psf, prior, gate}, stream_);
        if (Check) residual_blocks = r_blocks, image_blocks = x_blocks;
        if (!look) return;
        residual.less = work.less, residual.unit = unit / relaxation, residual.partial = work.sums.pending;
        convolve<T, Residual<T, Check>>({forward, x, a.psf, residual, gate}, stream_);
    }

    template <bool Look>
    void dual(A* q, A beta, A relaxation, const Gate& gate) {
        const Dual<A, Look> epilogue{q, work.t, relaxation, beta, work.r, work.less};
        convolve<A, Dual<A, Look>>({correction, work.r, a.taps, epilogue, gate}, stream_);
    }
};

}  // namespace

std::int64_t admm_workspace(const AdmmArgs& args, Dtype dtype) {
    return dtype == Dtype::f64 ? Workspace<double>(args, nullptr).used : Workspace<float>(args, nullptr).used;
}

void admm(const AdmmArgs& args, Dtype dtype, void* stream) {
    with_type(dtype, [&](auto type) { Solve<decltype(type)>(args, static_cast<Stream>(stream)).run(); });
}

}  // namespace cuda
}  // namespace fastip
