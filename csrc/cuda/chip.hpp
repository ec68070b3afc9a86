// Whether the planes of a solve fit into shared memory (chip_kernel.hpp), on how many blocks each, and the launch.
#pragma once
#include "chip_kernel.hpp"

namespace fastip {
namespace cuda {

template <class T>
class Chip {
  public:
    Chip(const AdmmArgs& args, const Prox<Sum<T>>& prox) : a(args), prox_(prox) {
        constexpr bool single = !std::is_same_v<T, double>;
        // Strides to 4: a thread keeps S * S sums in registers. Axes to 4096: the plan counts in ints.
        const bool known = (a.boundary == Boundary::circular || a.boundary == Boundary::zero) && a.stride <= 4;
        if (!single || !known || a.path == AdmmPath::sweeps || a.h > 4096 || a.w > 4096) return;
        if (a.by_phase && !std::is_same_v<T, float>) return;
        const ChipLimits limits = chip_limits();
        const std::int64_t planes = a.images * a.channels;
        for (int ranks = 1; ranks <= limits.ranks; ranks *= 2) {
            if (a.ranks && a.ranks != ranks) continue;
            const ChipPlan plan = chip_plan(a, ranks);
            if (plan.bytes() > limits.shared_bytes || !placeable(plan)) continue;
            // Three blocks or more share a processor: one computes while another waits. Few planes are spread over as
            // many blocks as there are processors, but for bands of one row: rows are worked on two at a time.
            const bool crowded = chosen_.ranks > 0 && chosen_.bytes() <= kComfortable;
            if (crowded && (planes * ranks > limits.processors || plan.rows < 2)) break;
            chosen_ = plan;
        }
    }

    bool fits() const { return chosen_.ranks > 0; }
    int ranks() const { return chosen_.ranks; }

    void advance(std::int64_t count, bool check, Gate gate, const LookSums& sums, Stream stream) const {
        with_kernel([&](auto kernel) { start<decltype(kernel)>(count, check, gate, sums, stream); });
    }

  private:
    // Bytes: three such blocks fit into the 228 KiB of a processor of compute capability 9.0. Smaller, and planes are
    // spread over more blocks, which wait for each other's margins; larger, and fewer blocks hide each other's waiting.
    static constexpr int kComfortable = 72 * 1024;

    template <class Work>
    void with_kernel(const Work& work) const {
        if constexpr (!std::is_same_v<T, double>) {
            switch (a.stride) {
                case 1:
                    return with_form<1>(work);
                case 2:
                    return with_form<2>(work);
                case 3:
                    return with_form<3>(work);
                default:
                    return with_form<4>(work);
            }
        }
    }

    template <int S, class Work>
    void with_form(const Work& work) const {
        if constexpr (std::is_same_v<T, float>) {
            if (a.by_phase) return work(ChipKernel<T, S, true>{});
        }
        work(ChipKernel<T, S>{});
    }

    // Whether the device, or the part of it that this process has, can run such a cluster at all.
    bool placeable(const ChipPlan& plan) const {
        bool can = false;
        with_kernel([&](auto kernel) {
            can = clusters_fit<decltype(kernel)>(plan.ranks, static_cast<std::size_t>(plan.bytes()));
        });
        return can;
    }

    template <class Kernel>
    void start(std::int64_t count, bool check, Gate gate, const LookSums& sums, Stream stream) const {
        const typename Kernel::Params params{chosen_,
                                             static_cast<int>(count),
                                             static_cast<int>(count) + (check && a.tolerance > 0),
                                             check,
                                             static_cast<const T*>(a.y),
                                             static_cast<float*>(a.q),
                                             static_cast<T*>(a.image),
                                             static_cast<T*>(a.relaxed),
                                             a.psf,
                                             a.taps,
                                             static_cast<float>(a.beta),
                                             static_cast<float>(a.relaxation),
                                             static_cast<float>(a.unit),
                                             prox_,
                                             sums,
                                             gate};
        launch_clusters<Kernel>(a.images * a.channels, static_cast<std::size_t>(chosen_.bytes()), stream, params);
    }

    const AdmmArgs& a;
    const Prox<Sum<T>> prox_;
    ChipPlan chosen_{};
};

}  // namespace cuda
}  // namespace fastip
