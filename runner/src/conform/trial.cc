#include "conform/trial.h"

#include <algorithm>

#include "system/files.h"
#include "system/json.h"

namespace greta::runner {
bool BaseRun::ok() const {
  return std::all_of(attempts.begin(), attempts.end(),
                     [](const Attempt& one) { return one.manifest.status == "ok"; });
}

Result<const Description*> Trial::description() {
  if (description_) return &*description_;
  Description out;
  TRY_ASSIGN(out.answer, subject_.describe());
  TRY_ASSIGN(out.text, read_file(out.answer.folder / "stdout.log"));
  SortedJson json = SortedJson::parse(out.text, nullptr, false);
  if (json.is_object()) {
    if (json.contains("flags") && json["flags"].is_array()) {
      for (const SortedJson& flag : json["flags"]) {
        const bool named = flag.is_object() && flag.value("name", SortedJson()).is_string();
        if (named) out.flags.push_back(flag);
      }
    }
    out.json = std::move(json);
  }
  description_ = std::move(out);
  return &*description_;
}

Result<const BaseRun*> Trial::base() {
  if (base_) return &*base_;
  BaseRun out;
  TRY_ASSIGN(out.attempts, subject_.attempt());
  for (const Attempt& attempt : out.attempts) {
    TRY_ASSIGN(Outputs outputs, inspect_outputs(attempt.bundle, subject_.adapter()));
    TRY_ASSIGN(ReadRecords records, read_records(attempt.bundle, outputs, !subject_.adapted()));
    // Records of an adapter's engine carry no request: the attempt says whose they are.
    for (ReadRecord& record : records.records) {
      if (record.request.empty() && attempt.manifest.cells.size() == 1) {
        record.request = attempt.manifest.cells[0].request;
      }
      out.records.records.push_back(std::move(record));
    }
    for (auto& problem : records.problems) out.records.problems.push_back(std::move(problem));
    out.outputs.ended_requests.merge(outputs.ended_requests);
    out.outputs.has_effective = outputs.has_effective;
  }
  base_ = std::move(out);
  return &*base_;
}

Result<const Schema*> Trial::schema() {
  if (schema_) return &*schema_;
  schema_ = builtin_schema();
  if (!subject_.adapted()) {
    TRY_ASSIGN(const Description* const described, description());
    if (described->json && described->json->contains("records")) {
      auto parsed = parse_schema((*described->json)["records"].dump());
      if (parsed) schema_ = std::move(*parsed);
    }
  }
  return &*schema_;
}

Result<ReadRecords> Trial::records_of(const Answer& answer) {
  TRY_ASSIGN(const Outputs outputs, inspect_outputs(answer.folder, subject_.adapter()));
  return read_records(answer.folder, outputs, !subject_.adapted());
}

Result<const SortedJson*> Trial::some_flag() {
  TRY_ASSIGN(const Description* const described, description());
  for (const char* type :
       {"choice", "boolean", "integer", "list", "layers", "heads", "positions", "phases"}) {
    for (const SortedJson& flag : described->flags) {
      const bool default_known =
          flag.value("default", SortedJson()).is_string() && flag["default"] != "";
      const bool free = !subject_.spec().flags.contains(flag["name"].get<std::string>());
      if (flag.value("type", SortedJson()) == type && default_known && free) return &flag;
    }
  }
  return nullptr;
}

}  // namespace greta::runner
