// One source for the code of a thread block. On the device each() runs its body for this thread and then waits for the
// block. Compiled for the host (the tests do that) it runs the body for every thread of the block, in an order that the
// test chooses: a result that depends on the order is a race.
#pragma once
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#ifdef __CUDACC__
#include <cuda_runtime_api.h>
#else
#include <cstdlib>
#include <cstring>
#include <memory>
#endif

#ifdef __CUDACC__
#define FASTIP_DEVICE __device__ __forceinline__
#define FASTIP_PRAGMA(text) _Pragma(#text)
#define FASTIP_UNROLL(n) FASTIP_PRAGMA(unroll(n))
#define FASTIP_NO_UNROLL _Pragma("unroll 1")
#else
#define FASTIP_DEVICE inline
#define FASTIP_UNROLL(n)
#define FASTIP_NO_UNROLL
#endif

namespace fastip {
namespace cuda {

constexpr std::size_t kSharedBytes = 96 * 1024;  // what a block of every architecture from 8.0 on can have

#ifdef __CUDACC__

using Stream = cudaStream_t;

template <int Threads>
struct Block {
    static constexpr int threads = Threads;
    int index;  // of the block in the grid

    template <class Body>
    FASTIP_DEVICE void each(const Body& body) const {
        body(static_cast<int>(threadIdx.x));
        __syncthreads();
    }
    // As each, where nothing is read from shared memory afterwards.
    template <class Body>
    FASTIP_DEVICE void last(const Body& body) const {
        body(static_cast<int>(threadIdx.x));
    }
};

inline void check(cudaError_t error, const char* what) {
    if (error == cudaSuccess) return;
    cudaGetLastError();  // forgotten here, so that the next healthy launch does not report it
    throw std::runtime_error(std::string(what) + ": " + cudaGetErrorName(error) + ", " + cudaGetErrorString(error));
}

// kBlocks: as many must fit on a processor. More of them hide more of each other's waiting, and leave a thread fewer
// registers, 65536 / (threads kBlocks), beyond which it spills: the tests hold what the compiler reports to ceilings.
template <class Kernel>
__global__ void __launch_bounds__(Kernel::threads, Kernel::kBlocks)
    entry(const __grid_constant__ typename Kernel::Params params) {
    extern __shared__ __align__(16) unsigned char memory[];
    Kernel::run(Block<Kernel::threads>{static_cast<int>(blockIdx.x)}, memory, params);
}

template <class Kernel>
void launch(std::int64_t blocks, std::size_t shared, Stream stream, const typename Kernel::Params& params) {
    if (blocks <= 0) return;
    if (shared > 48 * 1024)  // what a launch gets without asking
        check(cudaFuncSetAttribute(entry<Kernel>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                   static_cast<int>(kSharedBytes)),
              "shared memory of a kernel");
    entry<Kernel><<<static_cast<unsigned>(blocks), Kernel::threads, shared, stream>>>(params);
    check(cudaGetLastError(), "launch of a kernel");
}

#else

using Stream = void*;

enum class Order : int { forward = 0, reverse = 1, scattered = 2 };
inline Order thread_order = Order::forward;

template <int Threads>
struct Block {
    static constexpr int threads = Threads;
    int index;

    template <class Body>
    void each(const Body& body) const {
        for (int k = 0; k < Threads; ++k)
            // 97 has no factor with a block's size in common: every thread comes once.
            body(thread_order == Order::forward   ? k
                 : thread_order == Order::reverse ? Threads - 1 - k
                                                  : k * 97 % Threads);
    }
    template <class Body>
    void last(const Body& body) const {
        each(body);
    }
};

template <class Kernel>
void launch(std::int64_t blocks, std::size_t shared, Stream, const typename Kernel::Params& params) {
    if (shared > kSharedBytes) throw std::runtime_error("a block asks for more shared memory than there is");
    for (std::int64_t k = 0; k < blocks; ++k) {
        const std::int64_t index = thread_order == Order::forward   ? k
                                   : thread_order == Order::reverse ? blocks - 1 - k
                                                                    : k;
        // Of the exact size, on the heap, full of NaN: the sanitizers see a write past its end, the tests a read of
        // what nothing wrote.
        const std::unique_ptr<unsigned char[], decltype(&std::free)> memory(
            static_cast<unsigned char*>(std::malloc(shared ? shared : 1)), &std::free);
        std::memset(memory.get(), 0xff, shared);
        Kernel::run(Block<Kernel::threads>{static_cast<int>(index)}, memory.get(), params);
    }
}

#endif

inline std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

}  // namespace cuda
}  // namespace fastip
