#include "trace/logits_dump.h"

#include <gtest/gtest.h>
#include <unistd.h>
#include <filesystem>
#include <fstream>

namespace greta::engine {
namespace {

TEST(LogitsDump, OneRowAPassAndTheRecordNamesTheFile) {
  const auto folder =
      std::filesystem::temp_directory_path() / ("logits_dump_" + std::to_string(getpid()));
  auto output = Output::open(folder);
  ASSERT_TRUE(output) << output.error().str();
  const auto dump = make_logits_dump(**output);
  const float prefill[] = {9, 9, 9, 1, 2, 3};  // two rows: the last one answers
  const float decode[] = {4, 5, 6};
  dump->begin_request("p4_sys");
  dump->tensor({}, Point::x_out, 0, decode, 1, 3);
  dump->tensor({}, Point::logits, -1, prefill, 2, 3);
  dump->tensor({}, Point::logits, -1, decode, 1, 3);
  ASSERT_TRUE(dump->end_request());

  std::ifstream in(folder / "logits-0.f32", std::ios::binary);
  std::vector<float> values(7);
  in.read(reinterpret_cast<char*>(values.data()), 7 * sizeof(float));
  EXPECT_EQ(in.gcount(), 6 * static_cast<std::streamsize>(sizeof(float)));
  values.resize(6);
  EXPECT_EQ(values, (std::vector<float>{1, 2, 3, 4, 5, 6}));
  std::ifstream record(folder / "logits_dump.jsonl");
  std::string line;
  std::getline(record, line);
  EXPECT_EQ(
      line,
      R"({"event":"logits_dump","request":"p4_sys","file":"logits-0.f32","rows":2,"vocab":3})");
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace greta::engine
