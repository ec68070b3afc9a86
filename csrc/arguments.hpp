// The argument structs of the kernels as Python classes that are filled by name, ConvArgs(source=..., h=..., ...): a
// name that is missing or that does not exist is a TypeError. Pointers are addresses, boundaries their names.
#pragma once
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <string>
#include <tuple>
#include <type_traits>

#include "fastip/kernels.hpp"

namespace fastip {

constexpr const char* kBoundaries[] = {"circular", "valid", "reflect", "zero"};  // in the order of Boundary

inline Boundary boundary_named(const std::string& name) {
    int value = 0;
    for (const char* known : kBoundaries) {
        if (name == known) return static_cast<Boundary>(value);
        ++value;
    }
    throw pybind11::value_error("there is no boundary '" + name + "'");
}

// What Python gets of a whole solve: iterations done, looks at the stop rule, status.
using Counts = std::tuple<std::int64_t, std::int64_t, int>;
inline Counts counts(const AdmmResult& result) {
    return {result.iterations, result.checks, static_cast<int>(result.status)};
}

template <class Args>
struct Field {
    const char* name;
    void (*set)(Args&, pybind11::handle);
    bool required = true;
};

template <class Args, auto Member>
void set_field(Args& args, pybind11::handle value) {
    auto& field = args.*Member;
    using T = std::remove_reference_t<decltype(field)>;
    if constexpr (std::is_pointer_v<T>)
        field = reinterpret_cast<T>(value.cast<std::uintptr_t>());
    else if constexpr (std::is_same_v<T, Boundary>)
        field = boundary_named(value.cast<std::string>());
    else if constexpr (std::is_enum_v<T>)
        field = static_cast<T>(value.cast<int>());
    else
        field = value.cast<T>();
}

template <class Args, std::size_t N>
Args filled(const char* what, const Field<Args> (&fields)[N], const pybind11::kwargs& given) {
    static PyObject* names[N];  // as Python has them, for as long as the process lives: a call costs a microsecond less
    Args args{};
    std::size_t used = 0;
    for (std::size_t i = 0; i < N; ++i) {
        if (!names[i]) names[i] = PyUnicode_InternFromString(fields[i].name);
        PyObject* value = PyDict_GetItemWithError(given.ptr(), names[i]);
        if (!value && fields[i].required) throw pybind11::type_error(std::string(what) + " lacks " + fields[i].name);
        if (!value) continue;
        fields[i].set(args, value);
        ++used;
    }
    if (used != given.size())
        throw pybind11::type_error(std::string(what) +
                                   " was given a name that it does not have: " + std::string(pybind11::str(given)));
    return args;
}

// The class is known in this module alone, because the tests load a second one that has it too.
#define FASTIP_STRUCT(Args, ...)                                                                                      \
    pybind11::class_<Args>(m, #Args, pybind11::module_local()).def(pybind11::init([](const pybind11::kwargs& given) { \
        static constexpr Field<Args> fields[] = {__VA_ARGS__};                                                        \
        return filled(#Args, fields, given);                                                                          \
    }))
#define FASTIP_FIELD(Args, member) {#member, &set_field<Args, &Args::member>}
#define FASTIP_OPTIONAL(Args, member) {#member, &set_field<Args, &Args::member>, false}

inline void bind_arguments(pybind11::module_& m) {
    FASTIP_BIND_STRUCTS
#define F(member) FASTIP_FIELD(ConvArgs, member)
#define O(member) FASTIP_OPTIONAL(ConvArgs, member)
    FASTIP_STRUCT(ConvArgs, F(source), F(out), F(psf), O(first), O(second), F(planes), F(height), F(width), F(h), F(w),
                  F(kh), F(kw), F(stride), F(boundary), O(scale), O(a), O(b));
#undef F
#undef O
#define F(member) FASTIP_FIELD(ThresholdArgs, member)
    FASTIP_STRUCT(ThresholdArgs, F(v), F(add), F(out), F(n), FASTIP_PROX(F));
#undef F
#define F(member) FASTIP_FIELD(TvArgs, member)
    FASTIP_STRUCT(TvArgs, F(v), F(u), F(r), F(out), F(planes), F(h), F(w), F(steps), F(isotropic), F(step), F(weight),
                  F(momentum), FASTIP_PROX(F));
#undef F
#define F(member) FASTIP_FIELD(AdmmArgs, member)
#define O(member) FASTIP_OPTIONAL(AdmmArgs, member)
    FASTIP_STRUCT(AdmmArgs, F(y), F(q), F(image), F(images), F(channels), F(h), F(w), F(height), F(width), F(psf),
                  F(kh), F(kw), F(stride), F(boundary), F(taps), F(half), F(beta), FASTIP_PROX(F), F(relaxation),
                  F(iterations), F(every), F(patience), F(tolerance), F(history), O(sizes), O(floors), O(norm),
                  O(rounding), O(unit), O(workspace), O(relaxed), O(states), O(path), O(ranks), O(by_phase));
#undef F
#undef O
}

}  // namespace fastip
