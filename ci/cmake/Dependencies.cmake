# Every third-party library, with the room that may use it. All are Debian packages (ci/install).
find_package(Threads REQUIRED)
find_package(nlohmann_json 3.11 REQUIRED)        # everywhere JSON is read or written
find_path(EXPECTED_INCLUDE tl/expected.hpp REQUIRED)
add_library(dep_expected INTERFACE)
target_include_directories(dep_expected SYSTEM INTERFACE ${EXPECTED_INCLUDE})
find_package(PkgConfig REQUIRED)

# CLI11 is header-only: both command lines.
find_path(CLI11_INCLUDE CLI/CLI.hpp REQUIRED)
add_library(dep_cli11 INTERFACE)
target_include_directories(dep_cli11 SYSTEM INTERFACE ${CLI11_INCLUDE})

if(GRETA_ENGINE)
  pkg_check_modules(hwy REQUIRED IMPORTED_TARGET libhwy)          # kernels only
  pkg_check_modules(pcre2 REQUIRED IMPORTED_TARGET libpcre2-8)    # engine: pre-tokeniser
  pkg_check_modules(xxhash REQUIRED IMPORTED_TARGET libxxhash)    # engine: tensor hashes
  find_package(Boost 1.74 REQUIRED CONFIG COMPONENTS context)     # kernels: fibers of the GPU emulator
endif()
if(GRETA_RUNNER)
  pkg_check_modules(sqlite3 REQUIRED IMPORTED_TARGET sqlite3)     # store only
  pkg_check_modules(zstd REQUIRED IMPORTED_TARGET libzstd)        # store only
  find_package(OpenSSL REQUIRED)                                  # store: SHA-256
  find_package(simdjson REQUIRED)                                 # store only: JSONL
  pkg_check_modules(yamlcpp REQUIRED IMPORTED_TARGET yaml-cpp)    # runner only
  pkg_check_modules(cmark REQUIRED IMPORTED_TARGET libcmark-gfm)  # runner only: reports
  pkg_check_modules(archive REQUIRED IMPORTED_TARGET libarchive)  # runner only: bundle export, import
endif()
if(GRETA_TESTS)
  find_package(GTest REQUIRED)
endif()
