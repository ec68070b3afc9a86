// Sums over a block, in a fixed order: what the stop rule needs from the kernels that compute something else.
#pragma once
#include "block.hpp"

namespace fastip {
namespace cuda {

// N numbers of a thread, kept in shared memory until the block adds them up. None: no memory, no code.
template <int N>
struct Totals {
    double value[N] = {};
    FASTIP_DEVICE void keep(double* scratch, int t) const {
        FASTIP_UNROLL(N)
        for (int k = 0; k < N; ++k) scratch[t * N + k] = value[k];
    }
};
template <>
struct Totals<0> {
    FASTIP_DEVICE void keep(double*, int) const {}
};

// The square of a value, wide: many are added up.
FASTIP_DEVICE double squared(double a) { return a * a; }

// scratch[0 .. N) becomes the sum over the block's threads, pairs by pairs.
template <int N, int Threads>
FASTIP_DEVICE void add_up(const Block<Threads>& block, double* scratch) {
    for (int half = Threads / 2; half > 0; half /= 2)
        block.each([&](int t) {
            if (t < half) {
                FASTIP_UNROLL(N)
                for (int k = 0; k < N; ++k) scratch[t * N + k] += scratch[(t + half) * N + k];
            }
        });
}

// Runs the last phase of a kernel; where the epilogue wants its sums, adds them up and writes the block's.
template <class Epilogue, int Threads, class Body>
FASTIP_DEVICE void finish_and_reduce(const Block<Threads>& block, const Body& finish, double* scratch,
                                     const Epilogue& epilogue) {
    if constexpr (Epilogue::kSums == 0) {
        block.last(finish);
    } else {
        block.each(finish);
        add_up<Epilogue::kSums>(block, scratch);
        block.last([&](int t) {
            if (t < Epilogue::kSums)
                epilogue.partial[static_cast<std::int64_t>(block.index) * Epilogue::kSums + t] = scratch[t];
        });
    }
}

}  // namespace cuda
}  // namespace fastip
