#include "spec/spec_lint.h"

#include <nlohmann/json.hpp>

#include "spec/adapter.h"
#include "spec/prompts.h"
#include "spec/spec_flags.h"
#include "spec/spec_text.h"
#include "spec/yaml_node.h"

namespace greta::runner {
namespace {

enum class FileKind { spec, prompts, adapter };

// A file that cannot be read is taken for a spec, whose reader then says why.
FileKind kind_of(const std::string& file) {
  const auto text = read_text_file(file, file, kMostYamlBytes);
  if (!text) return FileKind::spec;
  Problems ignored;
  const YamlNode root = parse_yaml(*text, file, ignored);
  if (root.find("milestone") != nullptr || root.find("extends") != nullptr) return FileKind::spec;
  if (root.find("argv") != nullptr) return FileKind::adapter;
  const bool only_prompts = root.find("prompts") != nullptr &&
                            root.entries.size() == (root.find("schema") != nullptr ? 2 : 1);
  return only_prompts ? FileKind::prompts : FileKind::spec;
}

std::string plural(size_t count, const std::string& noun) {
  return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

}  // namespace

Result<CheckedSpec> check_spec(const std::string& file, const LoadOptions& options,
                               const nlohmann::json* describe) {
  TRY_ASSIGN(Spec spec, load_spec(file, options));
  TRY_ASSIGN(std::vector<Variant> variants, expand_variants(spec));
  for (const EngineSpec& engine : spec.engines) {
    if (describe != nullptr && engine.adapter.name == "greta") {
      TRY(check_flags(spec, engine, *describe));
    }
  }
  return CheckedSpec{std::move(spec), std::move(variants)};
}

Result<LintReport> lint_file(const std::string& file, const LoadOptions& options,
                             const nlohmann::json* describe) {
  LintReport report;
  switch (kind_of(file)) {
    case FileKind::adapter: {
      TRY_ASSIGN(const Adapter adapter, load_adapter(file, file));
      report.what = "adapter `" + adapter.name + "`";
      break;
    }
    case FileKind::prompts: {
      TRY_ASSIGN(const auto prompts, load_prompts_file(file, file, report.warnings));
      report.what = plural(prompts.size(), "prompt");
      break;
    }
    case FileKind::spec: {
      TRY_ASSIGN(CheckedSpec checked, check_spec(file, options, describe));
      report.warnings = std::move(checked.spec.warnings);
      report.what = plural(checked.variants.size() * checked.spec.prompts.size() *
                               static_cast<size_t>(checked.spec.repeat),
                           "cell");
      report.spec = std::move(checked.spec);
      break;
    }
  }
  return report;
}

}  // namespace greta::runner
