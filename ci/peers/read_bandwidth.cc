// How fast this machine reads memory: threads sum a buffer much larger than any cache for two
// seconds, asking for what comes next ahead of time; all bytes by all the time, for a decode, too,
// is a mean over seconds. What a decode step of a large model cannot beat.
//   g++ -O3 -march=native -pthread -o read_bandwidth read_bandwidth.cc && ./read_bandwidth THREADS
//   GIB
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

int main(int argc, char** argv) {
  const int threads = argc > 1 ? std::atoi(argv[1]) : 2;
  const size_t words = static_cast<size_t>((argc > 2 ? std::atof(argv[2]) : 2.0) * 0x1p30 / 8);
  std::vector<uint64_t> buffer(words, 1);
  std::vector<uint64_t> sums(static_cast<size_t>(threads) * 64);
  double bytes = 0, spent = 0;
  while (spent < 2) {
    const auto start = std::chrono::steady_clock::now();
    std::vector<std::thread> workers;
    for (int t = 0; t < threads; ++t) {
      workers.emplace_back([&, t] {
        const size_t begin = words / static_cast<size_t>(threads) * static_cast<size_t>(t);
        const size_t end = begin + words / static_cast<size_t>(threads);
        uint64_t lane[32] = {};
        for (size_t i = begin; i + 32 <= end; i += 32) {
          for (size_t k = 0; k < 32; k += 8) __builtin_prefetch(&buffer[i + 128 + k]);
          for (size_t k = 0; k < 32; ++k) lane[k] += buffer[i + k];
        }
        for (const uint64_t value : lane) sums[static_cast<size_t>(t) * 64] += value;
      });
    }
    for (auto& worker : workers) worker.join();
    spent += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    bytes += static_cast<double>(words) * 8;
  }
  uint64_t total = 0;
  for (const uint64_t sum : sums) total += sum;
  std::printf("%.4g\n", total != 0 ? bytes / spent : 0.0);
}
