// Played solves: the loops of the whole solves as they are, but their iterations compute nothing and leave sums of
// squares from a table, so that a test decides what each look at the stop rule finds.
#pragma once
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "fastip/stop_rule.hpp"

namespace fastip {

// What images are stored as in a played solve: a type of its own, whose iterations can be others.
struct Played {};

// What the sums of the images are judged beside.
struct Beside {
    std::vector<double> sizes, floors;
    double norm, beta, unit;
};

struct Play {
    static constexpr std::int64_t kChannels = 2;  // the table's sums are those of the last channel, the others zero
    Beside beside;
    std::int64_t images;
    std::vector<double> squares;  // looks x 4 x images: r, moved, pending, pulled
    std::vector<double> history;  // looks x 2 x images
    std::int64_t iterations = 0;  // that were asked for so far
    std::int64_t looks_taken = 0;

    Play(const Beside& scales, const std::vector<double>& table, std::int64_t looks)
        : beside(scales),
          images(static_cast<std::int64_t>(beside.sizes.size())),
          squares(table),
          history(2 * looks * images) {
        if (beside.floors.size() != beside.sizes.size()) throw std::invalid_argument("not a floor for each image");
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
            const double* of = squares.data() + first + b;
            Sums sums;
            sums.r = of[0], sums.moved = of[images], sums.pending = of[2 * images], sums.pulled = of[3 * images];
            leave(b * kChannels + kChannels - 1, sums);
        }
    }
};

// The arguments of a played solve, which finds the play as its image.
inline AdmmArgs arguments(Play& play, std::int64_t iterations, std::int64_t every, std::int64_t patience,
                          double tolerance, AdmmResult& result) {
    static constexpr double kOne = 1;
    AdmmArgs args{};
    args.image = &play, args.history = play.history.data(), args.result = &result;
    args.sizes = play.beside.sizes.data(), args.floors = play.beside.floors.data();
    args.norm = play.beside.norm, args.unit = play.beside.unit, args.beta = play.beside.beta;
    args.images = play.images, args.channels = Play::kChannels;
    args.h = args.w = args.height = args.width = args.kh = args.kw = args.stride = 1;
    args.boundary = Boundary::zero;
    args.psf = args.taps = &kOne;
    args.shrink = args.relaxation = 1;
    args.iterations = iterations, args.every = every, args.patience = patience, args.tolerance = tolerance;
    return args;
}

void play_on_cpu(const AdmmArgs& args);
void play_on_gpu(const AdmmArgs& args);

}  // namespace fastip
