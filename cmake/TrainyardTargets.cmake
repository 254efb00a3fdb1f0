# trainyard_library(NAME SOURCES … [DEPENDS …]): a static library of our own code.
function(trainyard_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_include_directories(${name} PUBLIC ${CMAKE_SOURCE_DIR})
  target_compile_options(${name} PRIVATE "$<$<COMPILE_LANGUAGE:CXX>:${TRAINYARD_WARNINGS}>"
                                         "$<$<COMPILE_LANGUAGE:CUDA>:${TRAINYARD_CUDA_WARNINGS}>")
  target_link_libraries(${name} PUBLIC ${ARG_DEPENDS})
endfunction()

# trainyard_binary(NAME SOURCES … [DEPENDS …]): a program in build/<preset>/bin.
function(trainyard_binary name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR})
  target_compile_options(${name} PRIVATE ${TRAINYARD_WARNINGS})
  target_link_libraries(${name} PRIVATE ${ARG_DEPENDS})
endfunction()

# trainyard_test(NAME SOURCES … [DEPENDS …] [LABELS …] [TIMEOUT seconds] [PREFIX text] [SERIAL]): a GoogleTest
# program, every case of it a ctest test. "tests/paths.h" says where data and programs are. PREFIX stands
# before their names, where programs share suites. SERIAL keeps its cases from running beside others.
function(trainyard_test name)
  cmake_parse_arguments(ARG "SERIAL" "TIMEOUT;PREFIX" "SOURCES;DEPENDS;LABELS" ${ARGN})
  trainyard_binary(${name} SOURCES ${ARG_SOURCES} DEPENDS ${ARG_DEPENDS} GTest::gmock GTest::gtest_main)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  # What is tested is optimised; optimising the tests themselves would take longer than running them.
  target_compile_options(${name} PRIVATE -O1)
  if(TRAINYARD_GRPC_PART AND "grpc" IN_LIST ARG_LABELS)
    set_target_properties(${name} PROPERTIES EXCLUDE_FROM_ALL TRUE)
    return()
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  set(properties TIMEOUT ${ARG_TIMEOUT})
  if(ARG_LABELS)
    list(APPEND properties LABELS "${ARG_LABELS}")
  endif()
  if(ARG_SERIAL)
    list(APPEND properties RUN_SERIAL TRUE)
  endif()
  gtest_discover_tests(${name} TEST_PREFIX "${ARG_PREFIX}" DISCOVERY_TIMEOUT 60 PROPERTIES ${properties})
endfunction()

# trainyard_benchmark(NAME SOURCES … [DEPENDS …]): a Google Benchmark program in
# build/<preset>/benchmarks; never run by ctest.
function(trainyard_benchmark name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
  trainyard_binary(${name} SOURCES ${ARG_SOURCES} DEPENDS ${ARG_DEPENDS} benchmark::benchmark)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/benchmarks)
endfunction()
