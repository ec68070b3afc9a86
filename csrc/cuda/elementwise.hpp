// Kernels in which every item stands alone: body(item) for each of n items, no shared memory.
#pragma once
#include "block.hpp"

namespace fastip {
namespace cuda {

// Body: a struct of plain numbers and pointers with `void operator()(std::int64_t) const`.
template <class Body>
struct Elementwise {
    static constexpr int threads = 256, kBlocks = 6;  // 1536 threads, all that some processors run: memory is the wait
    struct Params {
        Body body;
        std::int64_t items, stride;
    };
    static FASTIP_DEVICE void run(const Block<threads>& block, unsigned char*, const Params& p) {
        block.last([&](int t) {
            for (std::int64_t i = static_cast<std::int64_t>(block.index) * threads + t; i < p.items; i += p.stride)
                p.body(i);
        });
    }
};

template <class Body>
void for_each(std::int64_t items, Stream stream, const Body& body) {
    // most: blocks, more than any device runs at once.
    constexpr std::int64_t threads = Elementwise<Body>::threads, most = 1 << 16;
    std::int64_t blocks = ceil_div(items, threads);
    if (blocks > most) blocks = most;
    launch<Elementwise<Body>>(blocks, 0, stream, {body, items, blocks * threads});
}

}  // namespace cuda
}  // namespace fastip
