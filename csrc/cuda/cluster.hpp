// Blocks that reach into each other's shared memory (compute capability 9.0 and later; before that a cluster is one
// block). As in block.hpp, a phase is a body for every thread; each() ends with a barrier of the whole cluster, alone()
// with one of the block.
#pragma once
#include <vector>
#ifndef __CUDACC__
#include <condition_variable>
#include <mutex>
#include <thread>
#endif

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
    check(cudaDeviceGetAttribute(&shared, cudaDevAttrMaxSharedMemoryPerBlockOptin, device),
          "the device's shared memory");
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
        if (ranks == 1) return own;  // such a launch has no cluster attribute
        std::uint64_t address;
        asm("mapa.u64 %0, %1, %2;" : "=l"(address) : "l"(reinterpret_cast<std::uint64_t>(own)), "r"(other));
        return reinterpret_cast<const unsigned char*>(address);
#else
        return own;
#endif
    }
};

template <class Kernel>
__global__ void __launch_bounds__(Kernel::threads, Kernel::kBlocks)
    cluster_entry(const __grid_constant__ typename Kernel::Params params) {
    extern __shared__ __align__(16) unsigned char memory[];
    const int ranks = Kernel::ranks(params), block = static_cast<int>(blockIdx.x);
    Kernel::run(Cluster<Kernel::threads>{memory, block / ranks, block % ranks, ranks}, params);
}

// A launch of clusters of so many ranks. The limit of the kernel's memory is always the device's, so that threads that
// launch at once do not disagree.
template <class Kernel>
struct ClusterLaunch {
    cudaLaunchConfig_t config{};
    cudaLaunchAttribute attribute{};

    ClusterLaunch(std::int64_t clusters, int ranks, std::size_t shared, Stream stream) {
        check(cudaFuncSetAttribute(cluster_entry<Kernel>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                   chip_limits().shared_bytes),
              "shared memory of a kernel");
        config.gridDim = dim3(static_cast<unsigned>(clusters * ranks));
        config.blockDim = dim3(Kernel::threads);
        config.dynamicSmemBytes = shared;
        config.stream = stream;
        attribute.id = cudaLaunchAttributeClusterDimension;
        attribute.val.clusterDim.x = static_cast<unsigned>(ranks);
        attribute.val.clusterDim.y = attribute.val.clusterDim.z = 1;
        config.attrs = &attribute;
        config.numAttrs = ranks > 1 ? 1 : 0;
    }
    ClusterLaunch(const ClusterLaunch&) = delete;
};

// Whether one cluster can run: a part of a device, or a small one, may have too few processors side by side.
template <class Kernel>
bool clusters_fit(int ranks, std::size_t shared) {
    if (ranks == 1) return true;
    const ClusterLaunch<Kernel> launch(1, ranks, shared, nullptr);
    int count = 0;
    const cudaError_t error = cudaOccupancyMaxActiveClusters(&count, cluster_entry<Kernel>, &launch.config);
    if (error != cudaSuccess) cudaGetLastError();
    return error == cudaSuccess && count > 0;
}

template <class Kernel>
void launch_clusters(std::int64_t clusters, std::size_t shared, Stream stream, const typename Kernel::Params& params) {
    const ClusterLaunch<Kernel> launch(clusters, Kernel::ranks(params), shared, stream);
    check(cudaLaunchKernelEx(&launch.config, cluster_entry<Kernel>, params), "launch of a kernel");
}

#else

// Those of compute capability 9.0, the H100: emulated solves take its paths.
inline ChipLimits host_limits{227 * 1024, kMostRanks, 132};
inline ChipLimits chip_limits() { return host_limits; }

// The ranks of a cluster as threads of the host that run one at a time, each until the next barrier of the cluster: the
// order that shows most if one is missing.
class Turns {
  public:
    explicit Turns(int ranks) : ranks_(ranks) {}

    void begin(int rank) {
        std::unique_lock<std::mutex> lock(mutex_);
        changed_.wait(lock, [&] { return arrived_ == place(rank); });
    }
    // The end of a turn; with `more`, returns when all have arrived here and it is this rank's turn again.
    void end(int rank, bool more) {
        std::unique_lock<std::mutex> lock(mutex_);
        const int round = round_;
        if (++arrived_ == ranks_) arrived_ = 0, ++round_;
        changed_.notify_all();
        if (more) changed_.wait(lock, [&] { return round_ > round && arrived_ == place(rank); });
    }

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    const int ranks_;
    int arrived_ = 0, round_ = 0;

    int place(int rank) const { return thread_order == Order::reverse ? ranks_ - 1 - rank : rank; }
};

using Memories = std::vector<std::unique_ptr<unsigned char[], decltype(&std::free)> >;

template <int Threads>
struct Cluster {
    static constexpr int threads = Threads;
    int index, rank, ranks;
    const Memories& memories;
    Turns& turns;

    template <class Body>
    void each(const Body& body) const {
        alone(body);
        turns.end(rank, true);
    }
    template <class Body>
    void alone(const Body& body) const {
        Block<Threads>{rank}.each([&](int t) { body(rank, t, memories[rank].get()); });
    }
    const unsigned char* memory(int other) const { return memories[other].get(); }
};

template <class Kernel>
bool clusters_fit(int, std::size_t) {
    return true;
}

template <class Kernel>
void launch_clusters(std::int64_t clusters, std::size_t shared, Stream, const typename Kernel::Params& params) {
    if (shared > static_cast<std::size_t>(host_limits.shared_bytes))
        throw std::runtime_error("a block asks for more shared memory than there is");
    const int ranks = Kernel::ranks(params);
    for (std::int64_t k = 0; k < clusters; ++k) {
        Memories memories;
        Turns turns(ranks);
        std::vector<std::thread> threads;
        for (int rank = 0; rank < ranks; ++rank) {
            memories.emplace_back(static_cast<unsigned char*>(std::malloc(shared)), &std::free);
            std::memset(memories.back().get(), 0xff, shared);
        }
        for (int rank = 0; rank < ranks; ++rank)
            threads.emplace_back([&, rank] {
                turns.begin(rank);
                Kernel::run(Cluster<Kernel::threads>{static_cast<int>(k), rank, ranks, memories, turns}, params);
                turns.end(rank, false);
            });
        for (std::thread& thread : threads) thread.join();
    }
}

#endif

}  // namespace cuda
}  // namespace fastip
