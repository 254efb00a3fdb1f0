# Compiler settings shared by every target.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()

find_program(TRAINYARD_CCACHE ccache)
if(TRAINYARD_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${TRAINYARD_CCACHE})
endif()
find_program(TRAINYARD_LLD ld.lld)
if(TRAINYARD_LLD)
  add_link_options(-fuse-ld=lld)
endif()
# Dropping unused libraries keeps the start of a process, which loads all of gRPC, short.
add_link_options(-Wl,--as-needed)

# The target machine. Code that pays on wider vectors chooses at run time.
add_compile_options($<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=>-march=x86-64-v3)

if(TRAINYARD_SANITIZER)
  add_compile_definitions(TRAINYARD_SANITIZED)
endif()
if(TRAINYARD_SANITIZER STREQUAL "address")
  add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
  add_link_options(-fsanitize=address,undefined)
elseif(TRAINYARD_SANITIZER STREQUAL "thread")
  add_compile_options(-fsanitize=thread -fno-omit-frame-pointer)
  # protobuf's headers lay out maps otherwise where they see ThreadSanitizer (map_field.h), but Debian's library
  # was built without it: each would read the other's maps at the wrong offsets.
  add_compile_options(-U__SANITIZE_THREAD__)
  add_link_options(-fsanitize=thread)
elseif(TRAINYARD_SANITIZER)
  message(FATAL_ERROR "TRAINYARD_SANITIZER is '${TRAINYARD_SANITIZER}'; it must be empty, address or thread")
endif()

if(TRAINYARD_FUZZ)
  if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    message(FATAL_ERROR "TRAINYARD_FUZZ needs clang; the compiler is ${CMAKE_CXX_COMPILER_ID}")
  endif()
  add_compile_definitions(TRAINYARD_SANITIZED)
  add_compile_options(-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
                      -fno-omit-frame-pointer)
  add_link_options(-fsanitize=address,undefined)
endif()

# Warnings for our own code; generated code does not get them. -Wrestrict of GCC 12 warns of std::string's own
# code (GCC bug 105651).
set(TRAINYARD_WARNINGS -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual
    -Wimplicit-fallthrough -Wno-missing-field-initializers)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  list(APPEND TRAINYARD_WARNINGS -Wno-restrict)
endif()
if(TRAINYARD_WERROR)
  list(APPEND TRAINYARD_WARNINGS -Werror)
endif()
