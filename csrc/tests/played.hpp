// Played solves: the loops of the whole solves as they are, but their iterations compute nothing and leave sums of
// squares from a table, so that a test decides what each look at the stop rule finds.
#pragma once
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "fastip/kernels.hpp"

namespace fastip {

// What images are stored as in a played solve: a type of its own, whose iterations can be others.
struct Played {
    double value;
    explicit operator double() const { return value; }
};
inline double load(const Played* p) { return p->value; }

struct Play {
    static constexpr std::int64_t kChannels = 2;  // the table's sums are those of the last channel, the others zero
    std::int64_t images;
    std::vector<Played> y;        // images x channels, each of one pixel: the norms that ratios are relative to
    std::vector<double> squares;  // looks x 4 x images: residual, step, old image, new image
    std::vector<double> history;  // looks x 2 x images
    std::int64_t iterations = 0;  // that were asked for so far
    std::int64_t looks_taken = 0;

    Play(const std::vector<double>& sizes, const std::vector<double>& table, std::int64_t looks)
        : images(static_cast<std::int64_t>(sizes.size())),
          y(kChannels * sizes.size(), Played{0}),
          squares(table),
          history(2 * looks * images) {
        for (std::int64_t b = 0; b < images; ++b) y[kChannels * b + kChannels - 1].value = sizes[b];
        if (static_cast<std::int64_t>(squares.size()) != 4 * looks * images)
            throw std::invalid_argument("not a row of sums for each look");
    }

    // Runs so many iterations; where the last is looked at, calls leave(row of the last channel, sums) for each image.
    template <class Leave>
    void advance(std::int64_t count, bool look, const Leave& leave) {
        iterations += count;
        if (!look) return;
        const std::int64_t first = looks_taken++ * 4 * images;
        if (first + 4 * images > static_cast<std::int64_t>(squares.size()))
            throw std::out_of_range("a look that a whole solve does not have");
        for (std::int64_t b = 0; b < images; ++b) {
            double sums[4];
            for (int k = 0; k < 4; ++k) sums[k] = squares[first + k * images + b];
            leave(b * kChannels + kChannels - 1, sums);
        }
    }
};

// The arguments of a played solve, which finds the play as its image.
inline AdmmArgs arguments(Play& play, std::int64_t iterations, std::int64_t every, std::int64_t patience,
                          double tolerance, AdmmResult& result) {
    static constexpr double kOne = 1;
    AdmmArgs args{};
    args.y = play.y.data(), args.image = &play, args.history = play.history.data(), args.result = &result;
    args.images = play.images, args.channels = Play::kChannels;
    args.h = args.w = args.height = args.width = args.kh = args.kw = args.stride = 1;
    args.boundary = Boundary::zero;
    args.psf = args.taps = &kOne;
    args.beta = args.shrink = args.relaxation = 1;
    args.iterations = iterations, args.every = every, args.patience = patience, args.tolerance = tolerance;
    return args;
}

void play_on_cpu(const AdmmArgs& args);
void play_on_gpu(const AdmmArgs& args);

}  // namespace fastip
