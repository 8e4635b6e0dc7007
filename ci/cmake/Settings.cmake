# Compiler settings as one INTERFACE target that every project target links.
option(GRETA_TIDY "run clang-tidy on every source while compiling" OFF)
set(GRETA_SANITIZE "" CACHE STRING "sanitizers, comma separated, e.g. address,undefined")

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
set(CMAKE_VERIFY_INTERFACE_HEADER_SETS ON)

add_library(project_settings INTERFACE)
target_compile_options(project_settings INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -Wnon-virtual-dtor
  -Woverloaded-virtual -Werror
  # Results must not depend on which a*b+c the compiler chose to contract.
  -ffp-contract=off)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC 12 reports false positives of these inside the standard library at -O2.
  target_compile_options(project_settings INTERFACE -Wno-restrict -Wno-maybe-uninitialized
    -Wno-array-bounds -Wno-stringop-overflow -Wno-stringop-overread)
endif()
if(GRETA_SANITIZE)
  target_compile_options(project_settings INTERFACE -fsanitize=${GRETA_SANITIZE}
    -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(project_settings INTERFACE -fsanitize=${GRETA_SANITIZE})
endif()
# Tests, and what waits for files and not for arithmetic: the compiler's time counts, not the program's.
add_library(quick_to_compile INTERFACE)
if(GRETA_SANITIZE)
  target_compile_options(quick_to_compile INTERFACE -O0)
else()
  target_compile_options(quick_to_compile INTERFACE $<$<CONFIG:Release>:-O1>)
endif()
# What is tested is looked at for undefined behaviour, the tests are not: that halves their compilation.
add_library(test_settings INTERFACE)
if(GRETA_SANITIZE MATCHES "undefined")
  target_compile_options(test_settings INTERFACE -fno-sanitize=undefined)
endif()
# Most of a build is headers, over and over: compiled in groups of eight, files share them. For builds
# from nothing (ci/test, ci/quickstart); after a change, a build without it does less.
# compile_together(target files…): the files stay alone, for they have a name in common with another.
option(GRETA_UNITY "compile files that are not hot in groups" OFF)
function(compile_together target)
  if(GRETA_UNITY AND TARGET ${target})
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON)
    set_source_files_properties(${ARGN} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
  endif()
endfunction()
if(GRETA_TIDY)
  set(CMAKE_CXX_CLANG_TIDY clang-tidy --quiet)
endif()
find_program(GRETA_CCACHE ccache)
if(GRETA_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${GRETA_CCACHE})
endif()
