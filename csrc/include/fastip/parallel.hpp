// Threads and scratch memory for the kernels. The loops themselves live in plain functions with __restrict: gcc drops
// it when it outlines an OpenMP region.
#pragma once
#include <cstdint>
#include <cstdlib>
#ifdef __linux__
#include <sys/mman.h>
#endif
#ifdef _OPENMP
#include <omp.h>
#endif

namespace fastip {

bool forked();  // true in a child of fork, where opening an OpenMP team would hang

namespace {

// Element operations below which a team costs more than it brings: larger, and threads stand idle; smaller, and small
// calls pay for a team that they hardly use.
constexpr std::int64_t kGrain = 1 << 15;

// Aligned scratch memory; false when there was none to have.
template <class T>
class Buffer {
  public:
    explicit Buffer(std::int64_t n) : data_(allocate((static_cast<std::size_t>(n) * sizeof(T) + 127) / 64 * 64)) {}
    ~Buffer() { std::free(data_); }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;
    explicit operator bool() const { return data_ != nullptr; }
    operator T*() const { return data_; }

  private:
    // Large buffers ask for huge pages: fewer faults when they are first touched, fewer translations when many rows are
    // walked at once. Below two such pages rounding up to whole ones could double the buffer.
    static T* allocate(std::size_t bytes) {
        constexpr std::size_t kHuge = std::size_t{2} << 20;
        if (bytes < 2 * kHuge) return static_cast<T*>(std::aligned_alloc(64, bytes));
        const std::size_t whole = (bytes + kHuge - 1) / kHuge * kHuge;
        void* data = std::aligned_alloc(kHuge, whole);
#ifdef __linux__
        if (data) madvise(data, whole, MADV_HUGEPAGE);  // advice: whether it is taken does not matter
#endif
        return static_cast<T*>(data);
    }

    T* data_;
};

// The team for so many items at so many operations each: `threads` or 1, never between (a changing team size costs
// milliseconds).
inline int team_for(std::int64_t items, std::int64_t operations, int threads) {
    return threads > 1 && items > 1 && operations > kGrain / items && !forked() ? threads : 1;
}

// body(begin, end, member) over [0, items), a contiguous part for each member of the team
template <class Body>
void share(std::int64_t items, int team, const Body& body) {
#ifdef _OPENMP
    if (team > 1) {
#pragma omp parallel num_threads(team)
        {
            const std::int64_t members = omp_get_num_threads(), member = omp_get_thread_num();
            const std::int64_t begin = items * member / members, end = items * (member + 1) / members;
            if (begin < end) body(begin, end, static_cast<int>(member));
        }
        return;
    }
#endif
    if (items > 0) body(0, items, 0);
}

}  // namespace
}  // namespace fastip
