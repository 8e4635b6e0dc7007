// greta plan, greta lint: what a spec would run, and what is wrong with it. Nothing is executed.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <iostream>

#include "contract/text.h"
#include "run/baselines.h"
#include "run/plan_command.h"
#include "spec/spec.h"
#include "spec/spec_lint.h"
#include "spec/spec_reader.h"
#include "spec/spec_text.h"
#include "system/context.h"
#include "system/json.h"

namespace greta::runner {
namespace {

std::string dump(const Json& value) {
  return value.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string seconds_text(double seconds) {
  const auto ms = std::llround(seconds * 1000);
  if (ms % 60'000 == 0) return std::to_string(ms / 60'000) + "m";
  if (ms % 1000 == 0) return std::to_string(ms / 1000) + "s";
  return std::to_string(ms) + "ms";
}

std::string plural(size_t count, const std::string& noun) {
  return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

std::string prompt_text(const Prompt& prompt) {
  if (prompt.tokens) return plural(prompt.tokens->size(), "token");
  return plural(prompt.text->size(), "byte") + "  \"" + printable(*prompt.text, 50) + "\"";
}

std::string title_of(const Spec& spec) {
  const auto title = nlohmann::json::parse(spec.title_json);
  return title.value("en", title.value("es", ""));
}

// Flags that not every variant has alike: what a reader of the plan wants to compare.
std::vector<std::string> differing_settings(const Spec& spec) {
  std::vector<std::string> axes;
  for (const auto& [axis, values] : spec.matrix) {
    if (values.size() > 1) axes.push_back(axis);
  }
  return axes;
}

std::string engine_text(const EngineSpec& engine) {
  if (engine.binary) return engine.binary->string() + " (ready program)";
  if (!engine.program.empty()) return engine.program + " of " + engine.image;
  return engine.commit + " of " + engine.repo + ", built in " + engine.image +
         (engine.base.empty() ? "" : " on " + engine.base);
}

// The same grouping as make_plan, counted without the inputs that only a run resolves.
struct Totals {
  size_t variants = 0, cells = 0, attempts = 0;
};
Totals totals_of(const Spec& spec, const std::vector<Variant>& variants) {
  const size_t processes = variants.size() * static_cast<size_t>(spec.repeat);
  const size_t cells = processes * spec.prompts.size();
  return {variants.size(), cells, spec.isolation == Isolation::request ? cells : processes};
}

}  // namespace

std::string plan_text(const Spec& spec, const std::vector<Variant>& variants) {
  const Totals totals = totals_of(spec, variants);
  const std::string title = title_of(spec);
  std::string out = spec.milestone + (title.empty() ? "" : "  " + title) + "\n";
  for (const EngineSpec& engine : spec.engines) {
    out += "  engine   " + (engine.name.empty() ? "" : engine.name + ": ") + engine_text(engine);
    out += engine.adapter.name == "greta" ? "\n" : ", adapter " + engine.adapter.name + "\n";
    for (const auto& [name, value] : engine.flags) {
      out.append("    flag   ").append(name).append("=").append(value).append("\n");
    }
  }
  if (spec.has_model) out += "  model    " + spec.model_file.string() + "\n";
  const DecodeSettings& decode = spec.decode;
  out += "  decode   max_tokens " + std::to_string(decode.max_tokens) + ", backend " +
         decode.backend + ", numerics " + decode.numerics + ", kv_type " + decode.kv_type +
         ", threads " + std::to_string(decode.threads) + "\n";
  const auto add_flag = [&out](const std::string& name, const std::string& value) {
    out.append("  flag     ").append(name).append("=").append(value).append("\n");
  };
  for (const auto& [name, value] : spec.flags) add_flag(name, value);
  for (const auto& [axis, values] : spec.matrix) {
    if (values.size() == 1) add_flag(axis, values[0]);
  }

  const auto axes = differing_settings(spec);
  const bool is_list = variants.size() > 1;
  for (size_t v = 0; v < variants.size(); ++v) {
    const bool last = v + 1 == variants.size();
    std::string label = is_list ? "" : variants[v].name;
    for (const std::string& axis : axes) {
      if (!is_list) continue;
      label.append(label.empty() ? "" : ", ").append(axis).append("=");
      label.append(variants[v].axes.at(axis));
    }
    out += (last ? "  └─ " : "  ├─ ") + label + "\n";
    for (size_t p = 0; p < spec.prompts.size(); ++p) {
      out += last ? "     " : "  │  ";
      out += p + 1 == spec.prompts.size() ? "└─ " : "├─ ";
      out += spec.prompts[p].id + " × " + std::to_string(spec.repeat) + "   " +
             prompt_text(spec.prompts[p]) + "\n";
    }
  }
  out += "  " + plural(totals.variants, "variant") + " × " + plural(spec.prompts.size(), "prompt") +
         " × " + plural(static_cast<size_t>(spec.repeat), "repeat") + " = " +
         plural(totals.cells, "cell") + " in " + plural(totals.attempts, "attempt") +
         " (isolation: " + (spec.isolation == Isolation::request ? "request" : "process") +
         ", timeout " + seconds_text(spec.limits.timeout_s) + ")\n";
  out += "  " + plural(spec.expect.size(), "gate");
  for (size_t i = 0; i < spec.expect.size(); ++i) out += (i == 0 ? ": " : ", ") + spec.expect[i].id;
  return out + "\n";
}

std::string plan_json(const std::vector<Spec>& specs,
                      const std::vector<std::vector<Variant>>& variants) {
  Json out = {{"specs", Json::array()}};
  size_t cells = 0, attempts = 0;
  for (size_t s = 0; s < specs.size(); ++s) {
    const Spec& spec = specs[s];
    const Totals totals = totals_of(spec, variants[s]);
    cells += totals.cells;
    attempts += totals.attempts;
    Json entry = {{"file", spec.file.string()},
                  {"milestone", spec.milestone},
                  {"title", Json::parse(spec.title_json)},
                  {"engines", Json::array()},
                  {"model", spec.model_file.string()},
                  {"variants", Json::array()},
                  {"prompts", Json::array()},
                  {"differs", differing_settings(spec)},
                  {"repeat", spec.repeat},
                  {"isolation", spec.isolation == Isolation::request ? "request" : "process"},
                  {"timeout_s", spec.limits.timeout_s},
                  {"gates", Json::array()},
                  {"cells", totals.cells},
                  {"attempts", totals.attempts},
                  {"warnings", spec.warnings}};
    for (const EngineSpec& engine : spec.engines) {
      entry["engines"].push_back({{"name", engine.name},
                                  {"engine", engine_text(engine)},
                                  {"adapter", engine.adapter.name},
                                  {"flags", engine.flags}});
    }
    for (const Variant& variant : variants[s]) {
      entry["variants"].push_back({{"name", variant.name},
                                   {"axes", variant.axes},
                                   {"flags", variant.flags},
                                   {"decode",
                                    {{"max_tokens", variant.decode.max_tokens},
                                     {"backend", variant.decode.backend},
                                     {"numerics", variant.decode.numerics},
                                     {"kv_type", variant.decode.kv_type},
                                     {"threads", variant.decode.threads}}}});
    }
    for (const Prompt& prompt : spec.prompts) {
      Json item = {{"id", prompt.id}, {"sha256", prompt.sha256}};
      if (prompt.text) item["bytes"] = prompt.text->size();
      if (prompt.tokens) item["tokens"] = prompt.tokens->size();
      entry["prompts"].push_back(std::move(item));
    }
    for (const auto& gate : spec.expect) entry["gates"].push_back(gate.id);
    out["specs"].push_back(std::move(entry));
  }
  out["cells"] = cells;
  out["attempts"] = attempts;
  return dump(out);
}

Result<std::map<std::string, std::string>> parse_vars(const std::vector<std::string>& options) {
  std::map<std::string, std::string> vars;
  for (const std::string& option : options) {
    const size_t equals = option.find('=');
    if (equals == std::string::npos || !is_identifier(option.substr(0, equals))) {
      return fail(Exit::usage, "--var wants NAME=VALUE, got `" + printable(option) + "`");
    }
    vars[option.substr(0, equals)] = option.substr(equals + 1);
  }
  return vars;
}

namespace {

struct Options {
  std::vector<std::string> specs, vars;
  std::string describe;
};

Result<nlohmann::json> read_description(const std::string& file) {
  TRY_ASSIGN(const std::string text, read_text_file(file, file, size_t{16} << 20));
  nlohmann::json out = nlohmann::json::parse(text, nullptr, false);
  if (!out.is_object()) {
    return tl::unexpected<Error>(
        Error{.message = "not the JSON object that ENGINE describe --json prints", .file = file});
  }
  return out;
}

// Lines of one Error, each with its own place.
void print_mistakes(const Error& error, Json& out) {
  std::istringstream lines(error.str());
  for (std::string line; std::getline(lines, line);) out.push_back(line);
}

// What the store says of the runs that gates compare with, where there is a store.
std::vector<std::string> warnings_of_store(const Context& context, const Spec& spec) {
  const bool asks = std::any_of(spec.expect.begin(), spec.expect.end(), [](const auto& gate) {
    return gate.partner.what == store::Partner::What::run;
  });
  std::error_code error;
  if (!asks || !std::filesystem::exists(context.find_store(), error)) return {};
  auto store = context.open_store(store::Access::read_only);
  if (!store) return {"the store cannot be asked for the runs of gates: " + store.error().str()};
  return partner_warnings(*store, spec);
}

void plan(const Options& options, Context& context) {
  const auto vars = parse_vars(options.vars);
  if (!vars) return context.fail(vars.error());
  std::vector<Spec> specs;
  std::vector<std::vector<Variant>> variants;
  for (const std::string& file : options.specs) {
    auto checked = check_spec(file, {.vars = *vars}, nullptr);
    if (!checked) {
      context.fail(checked.error());
      continue;
    }
    for (const std::string& warning : checked->spec.warnings) context.say("warning: " + warning);
    for (const std::string& warning : warnings_of_store(context, checked->spec))
      context.say("warning: " + warning);
    specs.push_back(std::move(checked->spec));
    variants.push_back(std::move(checked->variants));
  }
  if (context.json) {
    std::cout << plan_json(specs, variants);
    return;
  }
  for (size_t i = 0; i < specs.size(); ++i) {
    std::cout << (i == 0 ? "" : "\n") << plan_text(specs[i], variants[i]);
  }
}

void lint(const Options& options, Context& context) {
  const auto vars = parse_vars(options.vars);
  if (!vars) return context.fail(vars.error());
  std::optional<nlohmann::json> describe;
  if (!options.describe.empty()) {
    auto read = read_description(options.describe);
    if (!read) return context.fail(read.error());
    describe = std::move(*read);
  }
  Json out = {{"files", Json::array()}};
  size_t errors = 0, warnings = 0;
  for (const std::string& file : options.specs) {
    Json entry = {{"file", file}, {"errors", Json::array()}, {"warnings", Json::array()}};
    auto linted = lint_file(file, {.vars = *vars}, describe ? &*describe : nullptr);
    if (!linted) {
      ++errors;
      print_mistakes(linted.error(), entry["errors"]);
      if (context.json) {
        context.exit_code = linted.error().exit_code;
      } else {
        context.fail(linted.error());
      }
    } else {
      if (linted->spec) {
        for (std::string& warning : warnings_of_store(context, *linted->spec))
          linted->warnings.push_back(std::move(warning));
      }
      warnings += linted->warnings.size();
      entry["warnings"] = linted->warnings;
      if (!context.json) {
        for (const std::string& warning : linted->warnings) {
          std::cout << "warning: " << warning << "\n";
        }
        std::cout << file << ": ok, " << linted->what << "\n";
      }
    }
    out["files"].push_back(std::move(entry));
  }
  if (context.json) std::cout << dump(out);
  if (options.specs.size() > 1) {
    context.say(plural(options.specs.size(), "file") + ": " + std::to_string(errors) + " wrong, " +
                plural(warnings, "warning"));
  }
}

CLI::App* add_command(CLI::App& app, const std::string& name, const std::string& text,
                      Options& options) {
  CLI::App* command = app.add_subcommand(name, text);
  command->add_option("SPEC", options.specs, "experiment files")->required()->type_name("");
  command
      ->add_option("--var", options.vars, "NAME=VALUE for a name that the spec declares in `vars`")
      ->take_all()
      ->type_name("NAME=VALUE");
  return command;
}

}  // namespace

void register_plan(CLI::App& app, Context& context) {
  const auto plan_options = std::make_shared<Options>();
  CLI::App* plan_command = add_command(
      app, "plan", "the variants, prompts and repeats of a spec; nothing is run", *plan_options);
  plan_command->callback([plan_options, &context] { plan(*plan_options, context); });

  const auto lint_options = std::make_shared<Options>();
  CLI::App* lint_command = add_command(
      app, "lint", "check specs, prompt libraries and adapters; nothing is run", *lint_options);
  lint_command
      ->add_option("--engine-describe", lint_options->describe,
                   "what ENGINE describe --json printed: checks the flags too")
      ->type_name("FILE");
  lint_command->callback([lint_options, &context] { lint(*lint_options, context); });
}

}  // namespace greta::runner
