// The stop rule on the device: the sums that it needs, and its verdict on all images. Nothing comes back to the host
// but copies that are queued like everything else.
#pragma once
#include <cmath>

#include "fastip/stop_rule.hpp"
#include "reduce.hpp"
#include "scalar.hpp"

namespace fastip {
namespace cuda {

// Kept on the device; a copy goes to the host after each look.
struct AdmmState {
    int over, status, growing, unused;
    std::int64_t iterations, checks;
};

// Partial sums of the blocks of one image lie side by side: `blocks` of them, N numbers each.
template <int N>
struct Partials {
    const double* values;
    std::int64_t blocks;
};

// ||y|| of every image, a block for each.
template <class T>
struct Sizes {
    static constexpr int threads = 256, kBlocks = 4;
    struct Params {
        const T* y;
        std::int64_t pixels;  // of an image
        double* sizes;
    };
    static FASTIP_DEVICE void run(const Block<threads>& block, unsigned char* memory, const Params& p) {
        double* scratch = reinterpret_cast<double*>(memory);
        block.each([&](int t) {
            double sum = 0;
            for (std::int64_t i = t; i < p.pixels; i += threads) {
                const double a = load(p.y + block.index * p.pixels + i);
                sum += a * a;
            }
            scratch[t] = sum;
        });
        add_up<1>(block, scratch);
        block.last([&](int t) {
            if (t == 0) p.sizes[block.index] = std::sqrt(scratch[0]);
        });
    }
};

// The two ratios of every image, a block for each: ratios[look % 2][2][images].
struct Ratios {
    static constexpr int threads = 256, kBlocks = 4;
    struct Params {
        Partials<1> residual;
        Partials<3> image;  // ||x' - x||^2, ||x||^2, ||x'||^2
        const double* sizes;
        double* ratios;
        const AdmmState* state;
        std::int64_t images;
    };
    static FASTIP_DEVICE void run(const Block<threads>& block, unsigned char* memory, const Params& p) {
        if (p.state->over) return;
        double* scratch = reinterpret_cast<double*>(memory);
        block.each([&](int t) {
            double sum[4] = {};
            for (std::int64_t i = t; i < p.residual.blocks; i += threads)
                sum[0] += p.residual.values[block.index * p.residual.blocks + i];
            for (std::int64_t i = t; i < p.image.blocks; i += threads) {
                FASTIP_UNROLL(3)
                for (int k = 0; k < 3; ++k) sum[k + 1] += p.image.values[(block.index * p.image.blocks + i) * 3 + k];
            }
            FASTIP_UNROLL(4)
            for (int k = 0; k < 4; ++k) scratch[4 * t + k] = sum[k];
        });
        add_up<4>(block, scratch);
        block.last([&](int t) {
            if (t != 0) return;
            double* now = p.ratios + p.state->checks % 2 * 2 * p.images;
            now[block.index] = data_ratio(scratch[0], p.sizes[block.index]);
            now[p.images + block.index] = change_ratio(scratch[1], scratch[2], scratch[3]);
        });
    }
};

// One block: the verdict on all images.
struct Judge {
    static constexpr int threads = 256, kBlocks = 4;
    struct Params {
        const double* ratios;
        AdmmState* state;
        std::int64_t images, count;  // iterations since the last look
        std::int64_t every, patience;
        double tolerance;
    };
    static FASTIP_DEVICE void run(const Block<threads>& block, unsigned char* memory, const Params& p) {
        if (p.state->over) return;
        int* found = reinterpret_cast<int*>(memory);
        block.each([&](int t) {
            const double *now = p.ratios + p.state->checks % 2 * 2 * p.images,
                         *before = p.ratios + (p.state->checks + 1) % 2 * 2 * p.images;
            int flags = 0;
            for (std::int64_t b = t; b < p.images; b += threads) {
                flags |= findings(now[b], now[p.images + b], before[b], p.state->checks == 0, p.tolerance);
            }
            found[t] = flags;
        });
        for (int half = threads / 2; half > 0; half /= 2)
            block.each([&](int t) {
                if (t < half) found[t] |= found[t + half];
            });
        block.last([&](int t) {
            if (t == 0) settle(*p.state, found[0], p);
        });
    }

    static FASTIP_DEVICE void settle(AdmmState& state, int flags, const Params& p) {
        state.iterations += p.count;
        ++state.checks;
        const AdmmStatus status = verdict(flags, state.growing, p.every, p.patience);
        state.status = static_cast<int>(status), state.over = status != AdmmStatus::iterations;
    }
};

}  // namespace cuda
}  // namespace fastip
