// Whole iterations on planes that stay in shared memory: a cluster of blocks keeps one plane, each block a band of data
// rows and the image rows under it. The image is kept as stride^2 phases on the data grid with margins, so A, C and A^T
// are stencils on bands; a band's margins are fetched from its neighbours' memory before each of the three sweeps.
// Where a margin's cell stands is found once for all phases; ByPhase finds it again for each of them, which costs far
// more instructions and is kept to be measured against.
#pragma once
#include "chip_plan.hpp"
#include "cluster.hpp"
#include "scalar.hpp"
#include "stop_rule.hpp"

namespace fastip {
namespace cuda {

template <class T, int S, bool ByPhase = false>
struct ChipKernel {
    static constexpr int threads = 256, kBlocks = 3;  // as many as kComfortable lets share a processor
    struct Params {
        ChipPlan plan;
        int iterations, rounds;  // one more round where it is looked at, for the residual of x' alone
        bool check;              // the last iteration leaves sums, and x' itself where there is relaxation
        const T* y;
        float* q;
        T *image, *relaxed;
        const double *psf, *taps;
        float beta, relaxation, unit;
        Prox<float> prox;
        LookSums sums;
        Gate gate;
    };

    static FASTIP_DEVICE int ranks(const Params& p) { return p.plan.ranks; }

    static FASTIP_DEVICE void run(const Cluster<threads>& cluster, const Params& p) {
        if (p.gate.closed()) return;
        const ChipPlan& plan = p.plan;
        const std::int64_t data = static_cast<std::int64_t>(cluster.index) * plan.h * plan.w, image = data * S * S;
        cluster.each([&](int rank, int t, unsigned char* memory) {
            fill(p, rank, t, reinterpret_cast<float*>(memory), data, image);
        });
        for (int k = 0; k < p.rounds; ++k) {
            const bool last = p.check && k + 1 == p.iterations, pending = k == p.iterations;
            cluster.alone([&](int rank, int t, unsigned char* memory) {
                float* own = reinterpret_cast<float*>(memory);
                if constexpr (ByPhase) {
                    for (int phase = 0; phase < S * S; ++phase)
                        fetch<1>(cluster, plan, plan.x, phase * plan.phase, rank, t, own);
                } else {
                    fetch<S * S>(cluster, plan, plan.x, 0, rank, t, own);
                }
            });
            cluster.each([&](int rank, int t, unsigned char* memory) {
                const float unit = pending ? p.unit / p.relaxation : p.unit;
                residual(p, rank, t, reinterpret_cast<float*>(memory), last || pending, unit);
            });
            if (last || pending) gather<1>(cluster, pending ? p.sums.pending : p.sums.residual);
            if (pending) break;
            cluster.alone([&](int rank, int t, unsigned char* memory) {
                fetch<1>(cluster, plan, plan.r, 0, rank, t, reinterpret_cast<float*>(memory));
            });
            cluster.each([&](int rank, int t, unsigned char* memory) {
                dual(p, rank, t, reinterpret_cast<float*>(memory), last && p.rounds > p.iterations);
            });
            cluster.alone([&](int rank, int t, unsigned char* memory) {
                fetch<1>(cluster, plan, plan.t, 0, rank, t, reinterpret_cast<float*>(memory));
            });
            cluster.each([&](int rank, int t, unsigned char* memory) {
                prior(p, rank, t, reinterpret_cast<float*>(memory), last, image);
            });
            if (last) gather<2>(cluster, p.sums.image);
        }
        cluster.alone([&](int rank, int t, unsigned char* memory) {
            empty(p, rank, t, reinterpret_cast<float*>(memory), data, image);
        });
    }

  private:
    static FASTIP_DEVICE int rows_of(const ChipPlan& plan, int rank) {
        const int left = plan.h - rank * plan.rows;
        return left < 0 ? 0 : left < plan.rows ? left : plan.rows;
    }

    // y, q, the image and the weights into shared memory.
    static FASTIP_DEVICE void fill(const Params& p, int rank, int t, float* own, std::int64_t data,
                                   std::int64_t image) {
        const ChipPlan& plan = p.plan;
        const int rows = rows_of(plan, rank), width = plan.w * S, size = 2 * plan.half + 1;
        const std::int64_t first = static_cast<std::int64_t>(rank) * plan.rows;
        for (int k = t; k < rows * plan.w; k += threads) {
            own[plan.y + k] = load(p.y + data + first * plan.w + k);
            own[plan.q + k] = p.q[data + first * plan.w + k];
        }
        for (int k = t; k < rows * S * width; k += threads) {
            const int row = k / width, column = k % width;
            own[plan.x.at(row / S, column / S) + (row % S * S + column % S) * plan.phase] =
                load(p.image + image + (first * S + row) * width + column);
        }
        WeightedOffset* forward = reinterpret_cast<WeightedOffset*>(own + plan.forward);
        for (int k = t; k < plan.kh * plan.kw; k += threads) {
            const int u = plan.centre_row - k / plan.kw, v = plan.centre_column - k % plan.kw, i = down_div(u, S),
                      j = down_div(v, S);
            forward[k] = {((u - i * S) * S + v - j * S) * plan.phase + i * plan.x.pitch + j,
                          static_cast<float>(p.psf[k])};
        }
        WeightedOffset* correction = reinterpret_cast<WeightedOffset*>(own + plan.correction);
        for (int k = t; k < size * size; k += threads)
            correction[k] = {(plan.half - k / size) * plan.r.pitch + plan.half - k % size,
                             static_cast<float>(p.taps[k])};
        const int across = plan.t.left + plan.t.right + 1, shifts = (plan.t.up + plan.t.down + 1) * across;
        for (int k = t; k < shifts * S * S; k += threads) {
            const int shift = k / (S * S), phase = k % (S * S);
            const int u = S * (shift / across - plan.t.up) + plan.centre_row - phase / S,
                      v = S * (shift % across - plan.t.left) + plan.centre_column - phase % S;
            own[plan.backward + k] =
                u >= 0 && u < plan.kh && v >= 0 && v < plan.kw ? static_cast<float>(p.psf[u * plan.kw + v]) : 0.0f;
        }
    }

    // q and the image out of shared memory.
    static FASTIP_DEVICE void empty(const Params& p, int rank, int t, const float* own, std::int64_t data,
                                    std::int64_t image) {
        const ChipPlan& plan = p.plan;
        const int rows = rows_of(plan, rank), width = plan.w * S;
        const std::int64_t first = static_cast<std::int64_t>(rank) * plan.rows;
        for (int k = t; k < rows * plan.w; k += threads) p.q[data + first * plan.w + k] = own[plan.q + k];
        for (int k = t; k < rows * S * width; k += threads) {
            const int row = k / width, column = k % width;
            store(p.image + image + (first * S + row) * width + column,
                  own[plan.x.at(row / S, column / S) + (row % S * S + column % S) * plan.phase]);
        }
    }

    // The margins of N bands, a phase apart, the first of them `shift` floats on, from whoever owns the cells that
    // stand there.
    template <int N>
    static FASTIP_DEVICE void fetch(const Cluster<threads>& cluster, const ChipPlan& plan, const Band& band, int shift,
                                    int rank, int t, float* own) {
        const int rows = rows_of(plan, rank), sides = band.left + band.right,
                  around = (band.up + band.down) * band.pitch;
        for (int k = t; k < around + rows * sides; k += threads) {
            int i, j;
            if (k < around) {
                i = k / band.pitch, j = k % band.pitch - band.left;
                i = i < band.up ? i - band.up : i - band.up + rows;
            } else {
                i = (k - around) / sides, j = (k - around) % sides;
                j = j < band.left ? j - band.left : j - band.left + plan.w;
            }
            const int row = source(rank * plan.rows + i, plan.h, plan.boundary),
                      column = source(j, plan.w, plan.boundary);
            const bool there = row >= 0 && column >= 0;
            const int owner = there ? row / plan.rows : 0;
            const float* from = reinterpret_cast<const float*>(cluster.memory(owner)) + shift +
                                (there ? band.at(row - owner * plan.rows, column) : 0);
            float* to = own + shift + band.at(i, j);
            FASTIP_UNROLL((N + 7) / 8)
            for (int first = 0; first < N; first += 8) {  // loads are on their way together; more of them would spill
                float values[8] = {};
                FASTIP_UNROLL(8)
                for (int n = 0; n < 8; ++n)
                    if (there && first + n < N) values[n] = from[(first + n) * plan.phase];
                FASTIP_UNROLL(8)
                for (int n = 0; n < 8; ++n)
                    if (first + n < N) to[(first + n) * plan.phase] = values[n];
            }
        }
    }

    // Two rows at a time share each weight: sum[k] = sum over taps of weight * base[k * step + offset].
    static FASTIP_DEVICE void correlate(float (&sum)[2], const float* base, int step, const WeightedOffset* taps,
                                        int count) {
        FASTIP_UNROLL(4)  // loads of four taps are on their way together; more cost registers
        for (int k = 0; k < count; ++k) {
            const WeightedOffset tap = taps[k];
            sum[0] += tap.weight * base[tap.offset];
            sum[1] += tap.weight * base[step + tap.offset];
        }
    }

    static FASTIP_DEVICE void residual(const Params& p, int rank, int t, float* own, bool check, float unit) {
        const ChipPlan& plan = p.plan;
        const int rows = rows_of(plan, rank), pairs = (rows + 1) / 2;
        double total = 0;
        for (int k = t; k < pairs * plan.w; k += threads) {
            const int i = k / plan.w * 2, j = k % plan.w, at = i * plan.w + j;
            const bool two = i + 1 < rows;
            float sum[2] = {};
            correlate(sum, own + plan.x.at(i, j), two ? plan.x.pitch : 0,
                      reinterpret_cast<const WeightedOffset*>(own + plan.forward), plan.kh * plan.kw);
            FASTIP_UNROLL(2)
            for (int n = 0; n < 2; ++n) {
                if (n == 1 && !two) continue;
                const float value = own[plan.y + at + n * plan.w] - p.beta * own[plan.q + at + n * plan.w] - sum[n];
                own[plan.r.at(i + n, j)] = value;
                total += check ? squared(value * unit) : 0.0;
            }
        }
        if (check) reinterpret_cast<double*>(own)[t] = total;
    }

    // With `look`, y becomes what makes the residual of the state after this iteration -alpha (beta (q' - q) - r'), as
    // in the sweeps (admm.cu); it is read for nothing else then.
    static FASTIP_DEVICE void dual(const Params& p, int rank, int t, float* own, bool look) {
        const ChipPlan& plan = p.plan;
        const int rows = rows_of(plan, rank), pairs = (rows + 1) / 2, size = 2 * plan.half + 1;
        for (int k = t; k < pairs * plan.w; k += threads) {
            const int i = k / plan.w * 2, j = k % plan.w, at = i * plan.w + j;
            const bool two = i + 1 < rows;
            float step[2] = {};
            correlate(step, own + plan.r.at(i, j), two ? plan.r.pitch : 0,
                      reinterpret_cast<const WeightedOffset*>(own + plan.correction), size * size);
            FASTIP_UNROLL(2)
            for (int n = 0; n < 2; ++n) {
                if (n == 1 && !two) continue;
                const float old = own[plan.q + at + n * plan.w];
                own[plan.t.at(i + n, j)] = old + step[n] + step[n];
                own[plan.q + at + n * plan.w] = old + p.relaxation * step[n];
                if (look)
                    own[plan.y + at + n * plan.w] -=
                        p.relaxation * p.beta * step[n] - (p.relaxation - 1) * own[plan.r.at(i + n, j)];
            }
        }
    }

    static FASTIP_DEVICE void prior(const Params& p, int rank, int t, float* own, bool last, std::int64_t image) {
        const ChipPlan& plan = p.plan;
        const int rows = rows_of(plan, rank), down = plan.t.up + plan.t.down, across = plan.t.left + plan.t.right;
        double total[2] = {};
        for (int k = t; k < rows * plan.w; k += threads) {
            const int i = k / plan.w, j = k % plan.w;
            float sum[S * S] = {};
            FASTIP_NO_UNROLL
            for (int u = 0; u <= down; ++u) {
                FASTIP_UNROLL(2)  // more would spill the sums
                for (int v = 0; v <= across; ++v) {
                    const float value = own[plan.t.at(i - plan.t.up + u, j - plan.t.left + v)];
                    const float* weights = own + plan.backward + (u * (across + 1) + v) * S * S;
                    constexpr int kPack = S % 2 ? 1 : 4;  // S * S weights begin on 16 bytes where S is even
                    FASTIP_UNROLL(S * S)
                    for (int n = 0; n < S * S; n += kPack) {
                        const Pack<float, kPack> some = *reinterpret_cast<const Pack<float, kPack>*>(weights + n);
                        FASTIP_UNROLL(kPack)
                        for (int m = 0; m < kPack; ++m) sum[n + m] += some.value[m] * value;
                    }
                }
            }
            FASTIP_UNROLL(S * S)
            for (int n = 0; n < S * S; ++n) {
                float* place = own + plan.x.at(i, j) + n * plan.phase;
                const float old = *place, now = p.prox(old + sum[n]), step = now - old;
                *place = p.relaxed ? old + p.relaxation * step : now;
                if (!last) continue;
                total[0] += squared(step * p.unit), total[1] += squared(sum[n] * p.unit);
                const std::int64_t row = (static_cast<std::int64_t>(rank) * plan.rows + i) * S + n / S;
                if (p.relaxed) store(p.relaxed + image + row * plan.w * S + j * S + n % S, now);
            }
        }
        if (!last) return;
        FASTIP_UNROLL(2)
        for (int n = 0; n < 2; ++n) reinterpret_cast<double*>(own)[2 * t + n] = total[n];
    }

    // The block's sums of N numbers a thread, to sums[cluster * ranks + rank].
    template <int N>
    static FASTIP_DEVICE void gather(const Cluster<threads>& cluster, double* sums) {
        for (int half = threads / 2; half > 0; half /= 2)
            cluster.alone([&](int, int t, unsigned char* memory) {
                double* scratch = reinterpret_cast<double*>(memory);
                if (t < half) {
                    FASTIP_UNROLL(N)
                    for (int n = 0; n < N; ++n) scratch[t * N + n] += scratch[(t + half) * N + n];
                }
            });
        cluster.alone([&](int rank, int t, unsigned char* memory) {
            if (t < N)
                sums[(static_cast<std::int64_t>(cluster.index) * cluster.ranks + rank) * N + t] =
                    reinterpret_cast<const double*>(memory)[t];
        });
    }
};

}  // namespace cuda
}  // namespace fastip
