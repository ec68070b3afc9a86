# The kernel families, and the only list of them: name, argument struct (include/fastip/kernels.hpp), and the file in
# cpu/ (.cpp) and cuda/ (.cu) that holds it. The name is that of the compiled function and of torch's operator.
set(FASTIP_FAMILIES
  "strided_conv ConvArgs strided_conv"
  "strided_conv_adjoint ConvArgs strided_conv_adjoint"
  "pixel_unshuffle ShuffleArgs pixel_shuffle"
  "pixel_shuffle ShuffleArgs pixel_shuffle"
  "soft_threshold ThresholdArgs soft_threshold"
  "spectral_step SpectralArgs spectral_step"
  "tv_prox TvArgs tv_prox"
  "admm AdmmArgs admm")

# FASTIP_FILES: the files without ending. FASTIP_GENERATED: an include folder with fastip/families.hpp, where
# FASTIP_FAMILIES(F) is F(name, struct) for each family.
set(FASTIP_FILES)
set(_lines "#pragma once\n#define FASTIP_FAMILIES(F)")
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
file(CONFIGURE OUTPUT ${FASTIP_GENERATED}/fastip/families.hpp CONTENT "${_lines}\n")
