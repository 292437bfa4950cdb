# Imports LibTorch from the torch wheel in STINT_SITE_PACKAGES by hand: its own CMake package asks for
# a CUDA toolkit even where only the CPU libraries are used.
#
# Defines stint::torch (PyTorch's CPU libraries and headers) and, with STINT_WITH_CUDA,
# stint::torch_cuda (the CUDA ones, and the CUDA runtime).

set(stint_torch_version "2.11.0")

file(GLOB stint_site_packages_found "${PROJECT_SOURCE_DIR}/.venv/lib/python3*/site-packages")
set(STINT_SITE_PACKAGES "${stint_site_packages_found}" CACHE PATH
    "Folder that holds the torch wheel, unpacked by pip")
set(stint_torch "${STINT_SITE_PACKAGES}/torch")
if(NOT EXISTS "${stint_torch}/lib/libtorch_cpu.so")
  message(FATAL_ERROR "No torch wheel in '${STINT_SITE_PACKAGES}': run 'make setup', or set STINT_SITE_PACKAGES")
endif()
file(STRINGS "${stint_torch}/version.py" stint_torch_found REGEX "^__version__ = ")
if(NOT stint_torch_found MATCHES "'${stint_torch_version}[+']")
  message(FATAL_ERROR "Stint needs torch ${stint_torch_version} (op capture depends on it), found: ${stint_torch_found}")
endif()

function(stint_import_library target file)
  add_library(${target} SHARED IMPORTED)
  set_target_properties(${target} PROPERTIES IMPORTED_LOCATION "${file}")
endfunction()

stint_import_library(stint_c10 "${stint_torch}/lib/libc10.so")
stint_import_library(stint_torch_cpu "${stint_torch}/lib/libtorch_cpu.so")
add_library(stint_torch INTERFACE)
add_library(stint::torch ALIAS stint_torch)
target_include_directories(stint_torch SYSTEM INTERFACE
  "${stint_torch}/include" "${stint_torch}/include/torch/csrc/api/include")
target_link_libraries(stint_torch INTERFACE stint_torch_cpu stint_c10)
target_compile_definitions(stint_torch INTERFACE _GLIBCXX_USE_CXX11_ABI=1)

if(STINT_WITH_CUDA)
  set(stint_cu13 "${STINT_SITE_PACKAGES}/nvidia/cu13")
  stint_import_library(stint_torch_cuda_so "${stint_torch}/lib/libtorch_cuda.so")
  stint_import_library(stint_c10_cuda_so "${stint_torch}/lib/libc10_cuda.so")
  stint_import_library(stint_cudart_so "${stint_cu13}/lib/libcudart.so.13")
  add_library(stint_torch_cuda INTERFACE)
  add_library(stint::torch_cuda ALIAS stint_torch_cuda)
  target_include_directories(stint_torch_cuda SYSTEM INTERFACE "${stint_cu13}/include")
  # libtorch_cuda registers its kernels when it is loaded; nothing else refers to most of it.
  target_link_libraries(stint_torch_cuda INTERFACE
    "-Wl,--no-as-needed,${stint_torch}/lib/libtorch_cuda.so,--as-needed"
    stint_torch_cuda_so stint_c10_cuda_so stint_cudart_so stint_torch)
endif()
