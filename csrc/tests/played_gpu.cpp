// The loop of the whole solves on GPUs, played; the kernels of the stop rule run. The rest of the file is as it is.
#include "cuda/admm.cu"
#include "played.hpp"

namespace fastip {
namespace cuda {

template <>
class Chip<Played> {
  public:
    Chip(const AdmmArgs&, const Prox<float>&) {}
    bool fits() const { return false; }
};

namespace {

template <>
void Solve<Played>::advance(Index count, bool check) {
    residual_blocks = image_blocks = 1;
    static_cast<Play*>(a.image)->advance(count, check, [&](Index plane, const Sums& sums) {
        const LookSums& left = work.sums;
        for (Index other = plane - plane % a.channels; other <= plane; ++other) {
            const Sums its = other == plane ? sums : Sums{};
            left.residual[other] = its.r, left.pending[other] = its.pending;
            left.image[2 * other] = its.moved, left.image[2 * other + 1] = its.pulled;
        }
    });
}

}  // namespace
}  // namespace cuda

void play_on_gpu(const AdmmArgs& args) {
    std::vector<double> workspace(cuda::Workspace<float>(args, nullptr).used / sizeof(double) + 1);
    cuda::AdmmState states[2];
    AdmmArgs complete = args;
    complete.workspace = workspace.data(), complete.states = states;
    cuda::Solve<Played>(complete, nullptr).run();
}

}  // namespace fastip
