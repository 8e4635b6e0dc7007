#include "trace/logits_dump.h"

#include <bit>

#include "contract/records.gen.h"

namespace greta::engine {
namespace {

static_assert(std::endian::native == std::endian::little, "the file is little-endian fp32");

class LogitsDump final : public Probe {
 public:
  explicit LogitsDump(Output& output) : output_(output) {}

  void begin_request(std::string_view id) override {
    request_ = id;
    bytes_.clear();
    rows_ = vocab_ = 0;
  }

  bool last_row_only() const override { return true; }
  void tensor(const Pass&, Point point, int64_t, const float* data, int64_t rows,
              int64_t columns) override {
    if (point != Point::logits || rows == 0) return;
    // Of several rows only the last answers; the others are there for teacher forcing.
    const float* last = data + (rows - 1) * columns;
    bytes_.append(reinterpret_cast<const char*>(last),
                  static_cast<size_t>(columns) * sizeof(float));
    ++rows_;
    vocab_ = columns;
  }

  Result<> end_request() override {
    record::LogitsDump dump;
    dump.file = "logits-" + std::to_string(requests_++) + ".f32";
    dump.rows = rows_;
    dump.vocab = vocab_;
    TRY(output_.write_file(dump.file, bytes_));
    return output_.record(request_, dump);
  }

 private:
  Output& output_;
  std::string request_, bytes_;
  int64_t rows_ = 0, vocab_ = 0, requests_ = 0;
};

}  // namespace

std::unique_ptr<Probe> make_logits_dump(Output& output) {
  return std::make_unique<LogitsDump>(output);
}

}  // namespace greta::engine
