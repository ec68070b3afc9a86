// Blocks that reach into each other's shared memory (compute capability 9.0 and later; before that a cluster is one block). As in block.hpp, a phase is a
// body for every thread; each() ends with a barrier of the whole cluster, alone() with one of the block.
#pragma once
#include <vector>

#include "block.hpp"

namespace fastip {
namespace cuda {

constexpr int kMostRanks = 8;  // blocks of a cluster on every device that has clusters

// What a device offers; the tests give the host's.
struct ChipLimits {
    int shared_bytes, ranks, processors;
};

#ifdef __CUDACC__

inline ChipLimits chip_limits() {
    int device = 0, shared = 0, processors = 0, major = 0;
    check(cudaGetDevice(&device), "the device");
    check(cudaDeviceGetAttribute(&shared, cudaDevAttrMaxSharedMemoryPerBlockOptin, device), "the device's shared memory");
    check(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device), "the device's processors");
    check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device), "the device's capability");
    return {shared, major >= 9 ? kMostRanks : 1, processors};
}

template <int Threads>
struct Cluster {
    static constexpr int threads = Threads;
    unsigned char* own;
    int index, rank, ranks;  // of the cluster in the grid; of this block in the cluster

    // body(rank, thread, memory of that rank)
    template <class Body>
    FASTIP_DEVICE void each(const Body& body) const {
        body(rank, static_cast<int>(threadIdx.x), own);
#if __CUDA_ARCH__ >= 900
        asm volatile("barrier.cluster.arrive.aligned;\nbarrier.cluster.wait.aligned;" ::: "memory");
#else
        __syncthreads();
#endif
    }
    template <class Body>
    FASTIP_DEVICE void alone(const Body& body) const {
        body(rank, static_cast<int>(threadIdx.x), own);
        __syncthreads();
    }
    FASTIP_DEVICE const unsigned char* memory(int other) const {
#if __CUDA_ARCH__ >= 900
        std::uint64_t address;
        asm("mapa.u64 %0, %1, %2;" : "=l"(address) : "l"(reinterpret_cast<std::uint64_t>(own)), "r"(other));
        return reinterpret_cast<const unsigned char*>(address);
#else
        return own;
#endif
    }
};

template <class Kernel>
__global__ void __launch_bounds__(Kernel::threads, Kernel::kBlocks) cluster_entry(const __grid_constant__ typename Kernel::Params params) {
    extern __shared__ __align__(16) unsigned char memory[];
    const int ranks = params.ranks, block = static_cast<int>(blockIdx.x);
    Kernel::run(Cluster<Kernel::threads>{memory, block / ranks, block % ranks, ranks}, params);
}

template <class Kernel>
void launch_clusters(std::int64_t clusters, std::size_t shared, Stream stream, const typename Kernel::Params& params) {
    check(cudaFuncSetAttribute(cluster_entry<Kernel>, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared)), "shared memory of a kernel");
    cudaLaunchConfig_t config{};
    config.gridDim = dim3(static_cast<unsigned>(clusters * params.ranks));
    config.blockDim = dim3(Kernel::threads);
    config.dynamicSmemBytes = shared;
    config.stream = stream;
    cudaLaunchAttribute attribute{};
    attribute.id = cudaLaunchAttributeClusterDimension;
    attribute.val.clusterDim.x = static_cast<unsigned>(params.ranks);
    attribute.val.clusterDim.y = attribute.val.clusterDim.z = 1;
    config.attrs = &attribute;
    config.numAttrs = params.ranks > 1 ? 1 : 0;
    check(cudaLaunchKernelEx(&config, cluster_entry<Kernel>, params), "launch of a kernel");
}

#else

inline ChipLimits host_limits{227 * 1024, kMostRanks, 132};
inline ChipLimits chip_limits() { return host_limits; }

template <int Threads>
struct Cluster {
    static constexpr int threads = Threads;
    int index, ranks;
    const std::vector<std::unique_ptr<unsigned char[], decltype(&std::free)> >& memories;

    template <class Body>
    void each(const Body& body) const {
        for (int k = 0; k < ranks; ++k) {
            const int rank = thread_order == Order::reverse ? ranks - 1 - k : k;
            Block<Threads>{rank}.each([&](int t) { body(rank, t, memories[rank].get()); });
        }
    }
    template <class Body>
    void alone(const Body& body) const {
        each(body);
    }
    const unsigned char* memory(int other) const { return memories[other].get(); }
};

template <class Kernel>
void launch_clusters(std::int64_t clusters, std::size_t shared, Stream, const typename Kernel::Params& params) {
    if (shared > static_cast<std::size_t>(host_limits.shared_bytes)) throw std::runtime_error("a block asks for more shared memory than there is");
    for (std::int64_t k = 0; k < clusters; ++k) {
        std::vector<std::unique_ptr<unsigned char[], decltype(&std::free)> > memories;
        for (int rank = 0; rank < params.ranks; ++rank) {
            memories.emplace_back(static_cast<unsigned char*>(std::malloc(shared)), &std::free);
            std::memset(memories.back().get(), 0xff, shared);
        }
        Kernel::run(Cluster<Kernel::threads>{static_cast<int>(k), params.ranks, memories}, params);
    }
}

#endif

}  // namespace cuda
}  // namespace fastip
