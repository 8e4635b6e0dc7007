// Runs a fuzz target over the files of a corpus, so that ctest with any compiler keeps what fuzzing
// found; then, for --seconds N, over changed copies of them, which with a sanitizer is a short
// fuzzing without libFuzzer. An input that fails is left in the file that --last names.
//   TARGET_replay [--seconds N --last FILE] FOLDER…
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

using Bytes = std::vector<uint8_t>;

// A copy of the exact size, so that a sanitizer sees the first byte read too many.
void run(const Bytes& input) {
  const Bytes exact(input);
  LLVMFuzzerTestOneInput(exact.data(), exact.size());
}

std::vector<Bytes> read(const std::vector<std::string>& folders) {
  std::vector<std::filesystem::path> paths;
  for (const auto& folder : folders) {
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      paths.push_back(entry.path());
    }
  }
  std::sort(paths.begin(), paths.end());
  std::vector<Bytes> corpus;
  for (const auto& path : paths) {
    std::ifstream file(path, std::ios::binary);
    corpus.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  return corpus;
}

// One to four changes: a bit, a byte at an edge, a piece taken out or put in from another input.
class Changes {
 public:
  explicit Changes(const std::vector<Bytes>& corpus) : corpus_(corpus) {}
  Bytes next() {
    Bytes bytes = any();
    for (size_t n = 1 + below(4); n > 0; --n) change(bytes);
    return bytes;
  }

 private:
  const Bytes& any() { return corpus_[below(corpus_.size())]; }
  size_t below(size_t n) { return n == 0 ? 0 : random_() % n; }
  void change(Bytes& bytes) {
    static constexpr uint8_t kEdges[] = {0, 1, 0x7f, 0x80, 0xff, '"', '\n', '{'};
    const size_t at = below(bytes.size());
    const auto place = bytes.begin() + static_cast<std::ptrdiff_t>(at);
    switch (below(4)) {
      case 0:
        if (!bytes.empty()) bytes[at] = static_cast<uint8_t>(bytes[at] ^ (1U << below(8)));
        break;
      case 1:
        if (!bytes.empty()) bytes[at] = kEdges[below(std::size(kEdges))];
        break;
      case 2:
        bytes.erase(place, place + static_cast<std::ptrdiff_t>(below(bytes.size() - at)));
        break;
      default: {
        const Bytes& other = any();
        const size_t from = below(other.size());
        const auto first = other.begin() + static_cast<std::ptrdiff_t>(from);
        bytes.insert(place, first, first + static_cast<std::ptrdiff_t>(below(other.size() - from)));
      }
    }
  }

  const std::vector<Bytes>& corpus_;
  std::mt19937 random_{1};  // the same changes each time: a failure can be repeated
};

void write(const std::string& path, const Bytes& bytes) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> words(argv + 1, argv + argc), folders;
  double seconds = 0;
  std::string last;
  for (size_t i = 0; i < words.size(); ++i) {
    if (words[i] == "--seconds" && i + 1 < words.size()) {
      seconds = std::strtod(words[++i].c_str(), nullptr);
    } else if (words[i] == "--last" && i + 1 < words.size()) {
      last = words[++i];
    } else {
      folders.push_back(words[i]);
    }
  }
  const std::vector<Bytes> corpus = read(folders);
  if (corpus.empty()) return 1;
  for (const Bytes& input : corpus) run(input);
  Changes changes(corpus);
  const auto start = std::chrono::steady_clock::now();
  int64_t runs = 0;
  while (std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() <
         seconds) {
    const Bytes input = changes.next();
    if (!last.empty()) write(last, input);
    run(input);
    ++runs;
  }
  if (!last.empty()) std::filesystem::remove(last);
  std::printf("%zu files replayed, %lld changed copies\n", corpus.size(),
              static_cast<long long>(runs));
  return 0;
}
