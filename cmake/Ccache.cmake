# Compiles through ccache where it is installed, unless the user chose a launcher. Objects are the
# same in every checkout, also those that use precompiled headers.

find_program(STINT_CCACHE ccache)
if(STINT_CCACHE)
  foreach(language CXX CUDA)
    if(NOT DEFINED CMAKE_${language}_COMPILER_LAUNCHER)
      set(CMAKE_${language}_COMPILER_LAUNCHER
        "${CMAKE_COMMAND}" -E env CCACHE_SLOPPINESS=pch_defines,time_macros
        "CCACHE_BASEDIR=${PROJECT_SOURCE_DIR}" CCACHE_NOHASHDIR=yes "${STINT_CCACHE}")
    endif()
  endforeach()
endif()
