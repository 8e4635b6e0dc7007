#pragma once
// Records as conform looks at them: more strictly than ingest does, which keeps whatever it can.

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "contract/result.h"
#include "contract/schema.h"
#include "run/bundle.h"

namespace greta::runner {

struct ReadRecord {
  std::string place;  // "out/readout.jsonl:3"
  std::string kind, request;
  nlohmann::ordered_json json;
};
struct ReadRecords {
  std::vector<ReadRecord> records;
  std::vector<std::string> problems;  // "out/readout.jsonl:3: the key `step` twice", in file order
};

// The records of an attempt's folder by the adapter's rules. A line must be one JSON object with
// every key once. Where the engine keeps the contract it also needs `event` and `request`, and bare
// NaN is a problem; elsewhere such a line is let through, and is its text here. A torn last line is
// no record.
Result<ReadRecords> read_records(const std::filesystem::path& folder, const Outputs& outputs,
                                 bool contract);

// What is wrong with the record by its description, or nothing.
std::optional<std::string> misdescribed(const Schema& schema, const ReadRecord& record);

// The first difference between two runs of the same request; timings and addresses may differ, and
// the request's name. Nothing where there is none.
std::optional<std::string> first_difference(const Schema& schema, const ReadRecords& a,
                                            const std::string& request_a, const ReadRecords& b,
                                            const std::string& request_b);

}  // namespace greta::runner
