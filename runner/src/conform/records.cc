#include "conform/records.h"

#include <algorithm>
#include <set>

#include "contract/text.h"
#include "system/files.h"
#include "system/json.h"

namespace greta::runner {
namespace {

struct Line {
  Json json;
  std::string problem;
};

Line parse_line(std::string_view text, bool contract) {
  Line line;
  std::vector<std::set<std::string>> keys;
  const auto note = [&](int, Json::parse_event_t event, Json& value) {
    if (event == Json::parse_event_t::object_start) keys.emplace_back();
    if (event == Json::parse_event_t::object_end) keys.pop_back();
    if (event == Json::parse_event_t::key && !keys.back().insert(value.get<std::string>()).second &&
        line.problem.empty()) {
      line.problem = "the key `" + printable(value.get<std::string>()) + "` twice";
    }
    return true;
  };
  line.json = Json::parse(text, note, false);
  if (line.json.is_discarded()) {
    // Ingest lets bare NaN through, and programs behind an adapter print it; the contract does not.
    if (line_problem(text)) {
      line.problem = "not JSON";
    } else if (contract) {
      line.problem = "a bare NaN or infinity, which is not JSON";
    }
  } else if (!line.json.is_object()) {
    line.problem = "not a JSON object";
  }
  return line;
}

std::optional<std::string> text_at(const Json& json, const char* key) {
  const auto at = json.find(key);
  if (at == json.end() || !at->is_string() || at->get<std::string>().empty()) return std::nullopt;
  return at->get<std::string>();
}

void read_file_of(const std::string& name, const std::string& kind, std::string_view text,
                  bool contract, ReadRecords& out) {
  for (int64_t number = 1;; ++number) {
    const size_t end = text.find('\n');
    if (end == std::string_view::npos) return;
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end + 1);
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    ReadRecord record;
    record.place = name + ":" + std::to_string(number);
    Line parsed = parse_line(line, contract);
    if (!parsed.problem.empty()) {
      out.problems.push_back(record.place + ": " + parsed.problem);
      continue;
    }
    if (parsed.json.is_discarded()) parsed.json = {{"line", line}};
    const auto event = text_at(parsed.json, "event"), request = text_at(parsed.json, "request");
    if (contract && (!event || !request)) {
      out.problems.push_back(record.place + ": no text under `" + (event ? "request" : "event") +
                             "`");
      continue;
    }
    const std::string stem = name.substr(name.rfind('/') + 1);
    record.kind = event.value_or(kind.empty() ? stem.substr(0, stem.find('.')) : kind);
    record.request = request.value_or("");
    record.json = std::move(parsed.json);
    out.records.push_back(std::move(record));
  }
}

bool is_hash(const Json& value) {
  if (!value.is_string()) return false;
  const std::string text = value.get<std::string>();
  return text.size() == 16 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

bool has_type(FieldType type, const Json& value) {
  switch (type) {
    case FieldType::text:
      return value.is_string();
    case FieldType::integer:
      return value.is_number_integer();
    case FieldType::real:
      return value.is_number() || value == "NaN" || value == "Infinity" || value == "-Infinity";
    case FieldType::boolean:
      return value.is_boolean();
    case FieldType::hash:
      return is_hash(value);
    case FieldType::list:
      return value.is_array();
  }
  return false;
}

bool is_result(const Schema& schema, const std::string& kind, const std::string& field) {
  if (field == "request") return false;
  const Kind* described = schema.find(kind);
  const Field* of_kind = described == nullptr ? nullptr : described->find(field);
  return of_kind == nullptr ||
         (of_kind->role != FieldRole::timing && of_kind->role != FieldRole::address);
}

struct Compared {
  const ReadRecord* record;
  Json json;
};

std::vector<Compared> results_of(const Schema& schema, const ReadRecords& records,
                                 const std::string& request) {
  std::vector<Compared> out;
  for (const ReadRecord& record : records.records) {
    if (record.request != request) continue;
    Json json = Json::object();
    for (const auto& [key, value] : record.json.items()) {
      if (is_result(schema, record.kind, key)) json[key] = value;
    }
    out.push_back({&record, std::move(json)});
  }
  // Records of one kind keep their order; files may be read in any.
  std::stable_sort(out.begin(), out.end(), [](const Compared& x, const Compared& y) {
    return x.record->kind < y.record->kind;
  });
  return out;
}

std::string shown(const Json& value) {
  return printable(value.dump(-1, ' ', false, Json::error_handler_t::replace));
}

}  // namespace

Result<ReadRecords> read_records(const std::filesystem::path& folder, const Outputs& outputs,
                                 bool contract) {
  ReadRecords out;
  for (const BundleFile& file : outputs.files) {
    if (file.role != "records") continue;
    TRY_ASSIGN(const std::string text, read_file(folder / file.name));
    read_file_of(file.name, file.kind, text, contract, out);
  }
  return out;
}

std::optional<std::string> misdescribed(const Schema& schema, const ReadRecord& record) {
  const Kind* kind = schema.find(record.kind);
  if (kind == nullptr) {
    std::vector<std::string> known;
    for (const Kind& one : schema.kinds) known.push_back(one.name);
    return record.place + ": the kind `" + printable(record.kind) + "` is not described" +
           did_you_mean(record.kind, known);
  }
  for (const auto& [key, value] : record.json.items()) {
    if (key == "event" || key == "request") continue;
    const Field* field = kind->find(key);
    const std::string name = record.kind + "." + printable(key);
    if (field == nullptr) {
      std::vector<std::string> known;
      for (const Field& one : kind->fields) known.push_back(one.name);
      return record.place + ": " + name + " is not described" + did_you_mean(key, known);
    }
    if (value.is_null() && field->optional) continue;
    if (!has_type(field->type, value)) {
      return record.place + ": " + name + " is described as " +
             std::string(to_string(field->type)) + " and is " + shown(value);
    }
  }
  for (const Field& field : kind->fields) {
    if (field.optional || record.json.contains(field.name)) continue;
    return record.place + ": " + record.kind + "." + field.name +
           " is missing, and not described as optional";
  }
  return std::nullopt;
}

std::optional<std::string> first_difference(const Schema& schema, const ReadRecords& a,
                                            const std::string& request_a, const ReadRecords& b,
                                            const std::string& request_b) {
  const auto in_a = results_of(schema, a, request_a), in_b = results_of(schema, b, request_b);
  for (size_t i = 0; i < std::min(in_a.size(), in_b.size()); ++i) {
    if (in_a[i].record->kind != in_b[i].record->kind) {
      return "a record `" + in_a[i].record->kind + "` and one `" + in_b[i].record->kind + "`";
    }
    if (in_a[i].json == in_b[i].json) continue;
    for (const auto& [key, value] : in_a[i].json.items()) {
      const Json other = in_b[i].json.value(key, Json());
      if (value == other) continue;
      return in_a[i].record->kind + "." + printable(key) + " " + shown(value) + " and " +
             shown(other) + " (" + in_a[i].record->place + ", " + in_b[i].record->place + ")";
    }
    return in_a[i].record->kind + ": other fields (" + in_a[i].record->place + ")";
  }
  if (in_a.size() == in_b.size()) return std::nullopt;
  return std::to_string(in_a.size()) + " records and " + std::to_string(in_b.size());
}

}  // namespace greta::runner
