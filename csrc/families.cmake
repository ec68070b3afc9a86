# The kernel families, and the only list of them: name, argument struct, and the file in cpu/ (.cpp) and cuda/ (.cu) that
# holds it. The name is that of the compiled function and of torch's operator.
set(FASTIP_FAMILIES
  "strided_conv ConvArgs strided_conv"
  "strided_conv_adjoint ConvArgs strided_conv_adjoint"
  "pixel_unshuffle ShuffleArgs pixel_shuffle"
  "pixel_shuffle ShuffleArgs pixel_shuffle"
  "soft_threshold ThresholdArgs soft_threshold"
  "spectral_step SpectralArgs spectral_step"
  "split_open SplitOpenArgs split_step"
  "split_mix SplitMixArgs split_step"
  "split_close SplitCloseArgs split_step"
  "tv_prox TvArgs tv_prox"
  "admm AdmmArgs admm")

# Argument structs of plain fields, kind:name; the others are in include/fastip/kernels.hpp and arguments.hpp.
set(FASTIP_STRUCTS
  # image: planes x height x width; phases: planes x stride x stride x h x w with h = ceil(height / stride)
  "ShuffleArgs in:source out:out size:planes size:height size:width size:h size:w size:stride"
  # the data step in Fourier space: f (the image's transform in, the extrapolated dual out), p and offset are planes x n
  # real numbers, gain is n
  "SpectralArgs out:f out:p in:offset in:gain size:planes size:n number:relaxation"
  # the passes of a second split: x and r are images x channels x height x width, the dual q and dual two such grids an
  # image, height x width of grid_height x grid_width, all else images x channels grids; kept is broadcast to them
  "SplitOpenArgs in:x in:q out:w size:images size:channels size:height size:width size:grid_height size:grid_width"
  # w and s, in and out, are planes x n complex numbers, spectrum and far n, near n real ones
  "SplitMixArgs out:w out:s in:spectrum in:near in:far size:planes size:n"
  "SplitCloseArgs in:image in:blurred in:x in:q in:kept in:target out:dual out:r size:images size:channels size:height size:width size:grid_height size:grid_width size:kept_images size:kept_channels number:beta")
set(_in "const void*")
set(_out "void*")
set(_size "std::int64_t")
set(_number "double")

# FASTIP_FILES: the files without ending. FASTIP_GENERATED: an include folder with fastip/families.hpp: the structs of
# plain fields, FASTIP_BIND_STRUCTS, which arguments.hpp binds them by, and FASTIP_FAMILIES(F), F(name, struct) for each
# family.
set(FASTIP_FILES)
set(_structs)
set(_bound "#define FASTIP_BIND_STRUCTS")
foreach(_fields IN LISTS FASTIP_STRUCTS)
  string(REPLACE " " ";" _fields "${_fields}")
  list(POP_FRONT _fields _struct)
  string(APPEND _structs "struct ${_struct} {\n")
  string(APPEND _bound " FASTIP_STRUCT(${_struct}")
  foreach(_field IN LISTS _fields)
    string(REPLACE ":" ";" _field "${_field}")
    list(GET _field 0 _kind)
    list(GET _field 1 _name)
    string(APPEND _structs "    ${_${_kind}} ${_name};\n")
    string(APPEND _bound ", FASTIP_FIELD(${_struct}, ${_name})")
  endforeach()
  string(APPEND _structs "};\n")
  string(APPEND _bound ");")
endforeach()
set(_lines "#define FASTIP_FAMILIES(F)")
foreach(_family IN LISTS FASTIP_FAMILIES)
  string(REPLACE " " ";" _family "${_family}")
  list(GET _family 0 _name)
  list(GET _family 1 _struct)
  list(GET _family 2 _file)
  string(APPEND _lines " F(${_name}, ${_struct})")
  list(APPEND FASTIP_FILES ${_file})
endforeach()
list(REMOVE_DUPLICATES FASTIP_FILES)
set(FASTIP_GENERATED ${CMAKE_CURRENT_BINARY_DIR}/families)
file(CONFIGURE OUTPUT ${FASTIP_GENERATED}/fastip/families.hpp CONTENT
  "#pragma once\n#include <cstdint>\nnamespace fastip {\n${_structs}}\n${_bound}\n${_lines}\n")
