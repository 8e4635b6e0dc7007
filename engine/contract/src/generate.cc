// Makes, from records.json: the embedded text (records_json.inc), the writer structs
// (records.gen.h) and the reference page (RECORDS.md).   usage: contract_generate inc|header|page
// records.json OUT
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

namespace {

using json = nlohmann::ordered_json;

std::string camel(const std::string& snake) {
  std::string out;
  bool upper = true;
  for (const char c : snake) {
    if (c == '_') {
      upper = true;
    } else {
      out += upper ? static_cast<char>(std::toupper(static_cast<unsigned char>(c))) : c;
      upper = false;
    }
  }
  return out;
}

std::string cpp_type(const json& field) {
  const std::string type = field["type"];
  if (type == "integer") return "int64_t";
  if (type == "real") return "double";
  if (type == "boolean") return "bool";
  if (type == "hash") return "Hash64";
  if (type == "list") return "std::vector<double>";
  return "std::string";
}

// The text as C++ byte values: a string literal would meet compilers' length limits.
void write_inc(const std::string& text, std::ostream& out) {
  out << "// Made from records.json by contract_generate.\nconstexpr char kRecordsJson[] = {";
  for (size_t i = 0; i < text.size(); ++i) {
    out << (i % 24 ? "" : "\n  ") << static_cast<int>(static_cast<signed char>(text[i])) << ',';
  }
  out << "0};\n";
}

void write_header(const json& records, std::ostream& out) {
  out << "#pragma once\n// Made from records.json by contract_generate: one struct a record kind.\n"
         "// line(request) is the JSONL line; optional fields that are unset are left out.\n\n"
         "#include <cstdint>\n#include <optional>\n#include <string>\n#include <string_view>\n"
         "#include <vector>\n\n#include \"contract/json_line.h\"\n\nnamespace greta::record {\n";
  for (const auto& [name, kind] : records["kinds"].items()) {
    out << "\n// " << kind["doc"].get<std::string>() << "\nstruct " << camel(name) << " {\n"
        << "  static constexpr std::string_view kEvent = \"" << name << "\";\n";
    for (const auto& field : kind["fields"]) {
      const std::string type = cpp_type(field);
      out << "  " << (field.value("optional", false) ? "std::optional<" + type + ">" : type) << ' '
          << field["name"].get<std::string>() << "{};";
      const std::string unit = field.value("unit", "");
      const std::string doc = field.value("doc", "");
      if (!unit.empty() || !doc.empty())
        out << "  // " << doc
            << (unit.empty() ? "" : (doc.empty() ? "" : " ") + ("[" + unit + "]"));
      out << '\n';
    }
    out << "\n  std::string line(std::string_view request) const {\n    JsonLine json;\n"
           "    json.field(\"event\", kEvent).field(\"request\", request);\n";
    for (const auto& field : kind["fields"]) {
      const std::string f = field["name"];
      if (field.value("optional", false))
        out << "    if (" << f << ") json.field(\"" << f << "\", *" << f << ");\n";
      else
        out << "    json.field(\"" << f << "\", " << f << ");\n";
    }
    out << "    return std::move(json).finish();\n  }\n};\n";
  }
  out << "\n}  // namespace greta::record\n";
}

void write_page(const json& records, std::ostream& out) {
  out << "# Record kinds (version " << records["version"]
      << ")\n\n"
         "Made from `records.json`; do not edit. Every record is one JSON object on one line. "
         "Besides the\n"
         "fields below each has `event` (its kind) and `request` (the id of the request that it "
         "belongs to).\n"
         "Reals read back bit for bit; NaN and infinities are the strings `\"NaN\"`, "
         "`\"Infinity\"`,\n"
         "`\"-Infinity\"`. Hashes are 16 hex digits.\n";
  for (const auto& [name, kind] : records["kinds"].items()) {
    out << "\n## " << name << "\n\n"
        << kind["doc"].get<std::string>()
        << "\n\n| field | type | role | unit | meaning |\n|---|---|---|---|---|\n";
    for (const auto& field : kind["fields"]) {
      const std::string type = field["type"];
      out << "| `" << field["name"].get<std::string>() << "` | " << type
          << (field.value("optional", false) ? ", optional" : "") << " | "
          << field.value("role", "value") << " | " << field.value("unit", "") << " | "
          << field.value("doc", "") << " |\n";
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::cerr << "usage: contract_generate inc|header|page records.json OUT\n";
    return 2;
  }
  std::ifstream in(argv[2]);
  std::stringstream text;
  text << in.rdbuf();
  const json records = json::parse(text.str());
  std::ofstream out(argv[3]);
  const std::string what = argv[1];
  if (what == "inc")
    write_inc(text.str(), out);
  else if (what == "header")
    write_header(records, out);
  else if (what == "page")
    write_page(records, out);
  else
    return 2;
  return out.flush() ? 0 : 1;
}
