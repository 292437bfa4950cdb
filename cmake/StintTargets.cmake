# The functions every folder uses to say what it builds.

# stint_add_library(<folder> SOURCES <file>... [DEPS <target>...] [PRIVATE_DEPS <target>...])
function(stint_add_library name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;DEPS;PRIVATE_DEPS")
  add_library(stint_${name} STATIC ${arg_SOURCES})
  add_library(stint::${name} ALIAS stint_${name})
  target_include_directories(stint_${name} PUBLIC "${PROJECT_SOURCE_DIR}")
  target_link_libraries(stint_${name} PUBLIC ${arg_DEPS} PRIVATE ${arg_PRIVATE_DEPS} stint_options)
endfunction()

# stint_add_test(<name> LABEL <label> SOURCES <file>... DEPS <target>...)
function(stint_add_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "LABEL" "SOURCES;DEPS")
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE ${arg_DEPS} GTest::gmock GTest::gtest_main stint_options)
  # PRE_TEST: a build machine without a GPU driver must still build GPU tests.
  gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST PROPERTIES LABELS ${arg_LABEL})
endfunction()
