// Chooses the instruction set once, at the first call.
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <stdexcept>
#include <string>

#include "fastip/kernels.hpp"
#include "fastip/parallel.hpp"

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#endif

namespace fastip {
namespace {

#define FASTIP_ENTRY(name, Args) &FASTIP_TABLE::name,
const Table base_table{"base",
#define FASTIP_TABLE base
                       FASTIP_FAMILIES(FASTIP_ENTRY)};
#undef FASTIP_TABLE
#ifdef FASTIP_HAVE_AVX2
const Table avx2_table{"avx2",
#define FASTIP_TABLE avx2
                       FASTIP_FAMILIES(FASTIP_ENTRY)};
#undef FASTIP_TABLE
#endif
#ifdef FASTIP_HAVE_AVX512
const Table avx512_table{"avx512",
#define FASTIP_TABLE avx512
                         FASTIP_FAMILIES(FASTIP_ENTRY)};
#undef FASTIP_TABLE
#endif
#undef FASTIP_ENTRY

constexpr std::initializer_list<const char*> kWidestFirst = {"avx512", "avx2", "base"};

const Table* require(const char* isa, const char* who) {
    if (const Table* found = table_named(isa)) return found;
    std::string here;
    for (const char* name : kWidestFirst)
        if (table_named(name)) here += here.empty() ? name : std::string(", ") + name;
    throw std::invalid_argument(std::string(who) + " is '" + isa +
                                "'; expected one that is compiled in and that this machine runs: " + here);
}

const Table* widest() {
    for (const char* name : kWidestFirst)
        if (const Table* found = table_named(name)) return found;
    return &base_table;
}

const Table* chosen() {
    const char* asked = std::getenv("FASTIP_CPU_ISA");
    return asked && *asked ? require(asked, "FASTIP_CPU_ISA") : widest();
}

std::atomic<const Table*> current{nullptr};
std::atomic<bool> in_child{false};

#if defined(__unix__) || defined(__APPLE__)
const int watching_forks = pthread_atfork(nullptr, nullptr, [] { in_child.store(true); });
#endif

}  // namespace

const Table* table_named(const char* isa) {
#ifdef FASTIP_HAVE_AVX512
    if (!std::strcmp(isa, "avx512") && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
        return &avx512_table;
#endif
#ifdef FASTIP_HAVE_AVX2
    if (!std::strcmp(isa, "avx2") && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return &avx2_table;
#endif
    return std::strcmp(isa, "base") ? nullptr : &base_table;
}

const Table& table() {
    const Table* now = current.load(std::memory_order_acquire);
    if (!now) current.store(now = chosen(), std::memory_order_release);
    return *now;
}

bool forked() { return in_child.load(std::memory_order_relaxed); }

void use(const char* isa) { current.store(require(isa, "isa"), std::memory_order_release); }

}  // namespace fastip
