// The loop of the whole solves on CPUs, played.
#define FASTIP_ISA base
#include "cpu/admm.cpp"
#include "played.hpp"

namespace fastip {

bool forked() { return false; }

namespace {

template <>
void Solver<Played>::prepare(Played*, Index) {
    for (Index i = 0; i < planes * rows.length; ++i) squares[i] = Sums{};
}
template <>
void Solver<Played>::load(Index) const {}
template <>
void Solver<Played>::store(Index) const {}
template <>
void Solver<Played>::chunk_by_plane(Index iterations, bool check) const {
    static_cast<Play*>(args.image)->advance(iterations, check, [&](Index plane, const Sums& sums) {
        squares[plane] = sums;
    });
}
template <>
void Solver<Played>::chunk_by_rows(Index iterations, bool check) const {
    chunk_by_plane(iterations, check);
}

}  // namespace

void play_on_cpu(const AdmmArgs& args) {
    Buffer<char> workspace(Solver<Played>(args, 1, nullptr).workspace());
    Solver<Played>(args, 1, workspace).run(*args.result);
}

}  // namespace fastip
