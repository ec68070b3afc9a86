// The stop rule on the device: the ratios, from sums that the kernels leave, and its verdict on all images. Nothing
// comes back to the host but copies that are queued like everything else.
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

// What the blocks of an iteration leave of it, those of one image side by side: the sums of Sums, of two kinds of
// block.
struct LookSums {
    double *residual, *pending;  // one number a block
    double* image;               // moved and pulled
};

// What the sums of an image are judged beside, as AdmmArgs has it.
struct Scales {
    const double *sizes, *floors;
    double norm, unit, beta, tolerance, rounding;
};

// The two ratios of every image, a block for each, to the row of this look: history[look][2][images].
struct Ratios {
    static constexpr int threads = 256, kBlocks = 4;
    struct Params {
        LookSums sums;
        std::int64_t residual_blocks, image_blocks;  // of an image
        Scales scales;
        double* history;
        const AdmmState* state;
        std::int64_t images;
    };
    static FASTIP_DEVICE void run(const Block<threads>& block, unsigned char* memory, const Params& p) {
        if (p.state->over) return;
        double* scratch = reinterpret_cast<double*>(memory);
        block.each([&](int t) {
            double sum[4] = {};
            for (std::int64_t i = t; i < p.residual_blocks; i += threads) {
                const std::int64_t at = block.index * p.residual_blocks + i;
                sum[0] += p.sums.residual[at], sum[1] += p.sums.pending[at];
            }
            for (std::int64_t i = t; i < p.image_blocks; i += threads) {
                const std::int64_t at = (block.index * p.image_blocks + i) * 2;
                sum[2] += p.sums.image[at], sum[3] += p.sums.image[at + 1];
            }
            FASTIP_UNROLL(4)
            for (int k = 0; k < 4; ++k) scratch[4 * t + k] = sum[k];
        });
        add_up<4>(block, scratch);
        block.last([&](int t) {
            if (t != 0) return;
            const Scales& s = p.scales;
            Sums sums;
            sums.r = scratch[0], sums.pending = scratch[1], sums.moved = scratch[2], sums.pulled = scratch[3];
            double* now = p.history + p.state->checks * 2 * p.images;
            now[block.index] = data_ratio(sums, s.unit, s.sizes[block.index]);
            now[p.images + block.index] =
                error_ratio(sums, s.unit, s.beta, s.norm, s.floors[block.index], s.tolerance, s.rounding);
        });
    }
};

// One block: the verdict on all images.
struct Judge {
    static constexpr int threads = 256, kBlocks = 4;
    struct Params {
        const double* history;
        AdmmState* state;
        std::int64_t images, count;  // iterations since the last look
        std::int64_t every, patience;
        double tolerance;
    };
    static FASTIP_DEVICE void run(const Block<threads>& block, unsigned char* memory, const Params& p) {
        if (p.state->over) return;
        int* found = reinterpret_cast<int*>(memory);
        block.each([&](int t) {
            const double* now = p.history + p.state->checks * 2 * p.images;
            const bool first = p.state->checks == 0;
            const double* before = first ? now : now - 2 * p.images;
            int flags = 0;
            for (std::int64_t b = t; b < p.images; b += threads)
                flags |= findings(now[b], now[p.images + b], p.history[b], before[b], first, p.tolerance);
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
