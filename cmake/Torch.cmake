# Imports LibTorch from the torch wheel in STINT_SITE_PACKAGES by hand: its own CMake package asks for
# a CUDA toolkit even where only the CPU libraries are used.
#
# Defines stint::torch (PyTorch's CPU libraries and headers) and, with STINT_WITH_CUDA,
# stint::torch_cuda (the CUDA ones, and the CUDA runtime).

set(stint_torch_version "2.11.0")

set(stint_site_packages_default "$ENV{STINT_SITE_PACKAGES}")
if(NOT stint_site_packages_default)
  file(GLOB stint_site_packages_default "${PROJECT_SOURCE_DIR}/.venv/lib/python3*/site-packages")
endif()
set(STINT_SITE_PACKAGES "${stint_site_packages_default}" CACHE PATH
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
# The wheel's include folder holds a newer fmt than the system's and hides it; the wheel exports no
# fmt library to link with, so files that see it compile fmt's functions themselves.
target_compile_definitions(stint_torch INTERFACE _GLIBCXX_USE_CXX11_ABI=1 FMT_HEADER_ONLY=1)

if(STINT_WITH_CUDA)
  set(stint_cu13 "${STINT_SITE_PACKAGES}/nvidia/cu13")
  # An installed toolkit, or else the nvcc wheel beside the torch wheel.
  function(stint_is_nvcc_13 result nvcc)
    execute_process(COMMAND "${nvcc}" --version OUTPUT_VARIABLE words)
    if(NOT words MATCHES "release (1[3-9]|[2-9][0-9])")
      set(${result} FALSE PARENT_SCOPE)
    endif()
  endfunction()
  find_program(CMAKE_CUDA_COMPILER nvcc HINTS ENV CUDACXX PATHS /usr/local/cuda/bin "${stint_cu13}/bin"
               VALIDATOR stint_is_nvcc_13 REQUIRED)
  if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES 80-real 90)  # The last one also for later cards, compiled by their driver.
  endif()
  enable_language(CUDA)
  # One CUDA runtime in a process: LibTorch's, linked below.
  set(CMAKE_CUDA_RUNTIME_LIBRARY None)

  stint_import_library(stint_torch_cuda_so "${stint_torch}/lib/libtorch_cuda.so")
  stint_import_library(stint_c10_cuda_so "${stint_torch}/lib/libc10_cuda.so")
  stint_import_library(stint_cudart_so "${stint_cu13}/lib/libcudart.so.13")
  add_library(stint_torch_cuda INTERFACE)
  add_library(stint::torch_cuda ALIAS stint_torch_cuda)
  # The compiler's headers first: the wheels lack those that only a compiler has (crt/).
  target_include_directories(stint_torch_cuda SYSTEM INTERFACE
    ${CMAKE_CUDA_TOOLKIT_INCLUDE_DIRECTORIES} "${stint_cu13}/include")
  # libtorch_cuda registers its kernels when it is loaded; nothing else may refer to it.
  target_link_libraries(stint_torch_cuda INTERFACE
    "-Wl,--push-state,--no-as-needed,${stint_torch}/lib/libtorch_cuda.so,--pop-state"
    stint_torch_cuda_so stint_c10_cuda_so stint_cudart_so stint_torch)
endif()
