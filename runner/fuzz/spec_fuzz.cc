// libFuzzer entry: any bytes as a spec, a prompt library and an adapter. Nothing may crash, hang or
// allocate without bound; every refusal must have a message.
//
//   cmake -B build/fuzz -G Ninja -DCMAKE_CXX_COMPILER=clang++ -DGRETA_ENGINE=OFF -DGRETA_TESTS=OFF
//   \
//       -DGRETA_FUZZ=ON -DGRETA_SANITIZE=fuzzer-no-link,address,undefined
//   cmake --build build/fuzz --target spec_fuzz
//   build/fuzz/bin/spec_fuzz -max_len=4096 -max_total_time=60 -dict=runner/fuzz/spec.dict FOLDER
//       runner/testdata/specs/good runner/testdata/specs/bad/structure

#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "spec/adapter.h"
#include "spec/plan.h"
#include "spec/prompts.h"
#include "spec/spec.h"

namespace {

using namespace greta::runner;

std::filesystem::path write_input(const uint8_t* data, size_t size) {
  static const std::filesystem::path file =
      std::filesystem::temp_directory_path() / ("spec_fuzz." + std::to_string(getpid()) + ".yaml");
  std::ofstream(file, std::ios::binary | std::ios::trunc)
      .write(reinterpret_cast<const char*>(data), static_cast<std::streamsize>(size));
  return file;
}

template <class T>
void require_message(const greta::Result<T>& result) {
  if (!result && result.error().message.empty()) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::filesystem::path file = write_input(data, size);
  const auto spec = load_spec(file);
  require_message(spec);
  if (spec) {
    size_t points = spec->prompts.size() * static_cast<size_t>(spec->repeat);
    for (const auto& [axis, values] : spec->matrix) points *= values.size();
    // Larger plans are refused or only slow; the interesting ones are small.
    if (points < 1000) require_message(make_plan(*spec, {}));
  }
  std::vector<std::string> warnings;
  require_message(load_prompts_file(file, file.string(), warnings));
  require_message(load_adapter(file, file.string()));
  return 0;
}
