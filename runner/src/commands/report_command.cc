// greta report RUN: the milestone report, every figure with its query.

#include <algorithm>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "contract/text.h"
#include "markdown/html_page.h"
#include "run/history.h"
#include "store/report.h"
#include "system/context.h"

namespace greta::runner {
namespace {

struct ReportOptions {
  std::string run, language = "both", format = "md", output;
};

Result<store::Language> language_of(const std::string& name) {
  if (name == "en") return store::Language::en;
  if (name == "es") return store::Language::es;
  if (name == "both") return store::Language::both;
  return fail(Exit::usage, "--lang " + printable(name) + ": it is en, es or both");
}

// Of JUnit's XML there is no JSON.
Result<> check_format(const std::string& format, bool json) {
  const std::vector<std::string> known = {"md", "html", "junit"};
  if (std::find(known.begin(), known.end(), format) == known.end()) {
    return fail(Exit::usage, "--format " + printable(format) + ": it is md, html or junit" +
                                 did_you_mean(format, known));
  }
  if (json && format == "junit") return fail(Exit::usage, "--format junit: not with --json");
  return {};
}

Result<std::vector<std::string>> recorded_baselines(store::Store& store, int64_t run) {
  TRY_ASSIGN(const store::Table table,
             store.query(
                 "SELECT value FROM runs, json_each(baseline) WHERE value LIKE '%@recorded'", run));
  std::vector<std::string> out;
  for (const auto& row : table.rows) {
    if (!store.select(row[0].text)) out.push_back(row[0].text);
  }
  return out;
}

// The recorded figures that the report compares with may not have been imported yet. Without them
// the report says which are missing.
Result<> import_baselines(Context& context, const OpenedRun& opened,
                          const std::vector<std::string>& missing) {
  TRY_ASSIGN(store::Store store, context.open_store(store::Access::read_write));
  std::error_code error;
  const auto root = find_history(std::filesystem::current_path(error)).parent_path().parent_path();
  for (const std::string& baseline : missing) {
    if (const auto found = select_with_history(store, baseline, root); !found) {
      context.say("note: baseline of " + opened.selection.name + ": " + found.error().str());
    }
  }
  return {};
}

Result<> write(const std::string& file, const std::string& text) {
  if (file.empty()) {
    std::cout << text << std::flush;
    if (!std::cout) return fail(Exit::infrastructure, "standard output cannot be written");
    return {};
  }
  std::ofstream out(file, std::ios::binary | std::ios::trunc);
  out << text << std::flush;
  if (!out) return fail(Exit::infrastructure, printable(file, 400) + ": cannot be written");
  return {};
}

Result<> report(Context& context, const ReportOptions& options) {
  TRY(check_format(options.format, context.json));
  TRY_ASSIGN(const store::Language language, language_of(options.language));
  TRY_ASSIGN(OpenedRun opened, open_run(context, options.run));
  if (options.format == "junit") {
    TRY_ASSIGN(const std::string xml, store::junit_report(opened.store, opened.selection.run));
    return write(options.output, xml);
  }
  TRY_ASSIGN(const auto missing, recorded_baselines(opened.store, opened.selection.run));
  if (!missing.empty()) TRY(import_baselines(context, opened, missing));
  TRY_ASSIGN(std::string text,
             store::markdown_report(opened.store, opened.selection.run, language));
  const bool html = options.format == "html";
  if (html) text = html_page(text, language == store::Language::es ? "es" : "en");
  if (context.json) {
    const nlohmann::ordered_json json = {{"run", opened.selection.name},
                                         {"milestone", opened.selection.milestone},
                                         {"language", options.language},
                                         {html ? "html" : "markdown", text}};
    text = json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  }
  return write(options.output, text);
}

}  // namespace

void register_report(CLI::App& app, Context& context) {
  CLI::App* const command =
      app.add_subcommand("report", "the milestone report of a run, every figure with its query");
  const auto options = std::make_shared<ReportOptions>();
  command->add_option("run", options->run, "B3.21, B3.21@recorded, B3.21@RUN, a run's name")
      ->required();
  command->add_option("--lang", options->language, "en, es or both")->capture_default_str();
  command
      ->add_option("--format", options->format,
                   "md; html, one page that needs nothing else; or junit: its gates, lints (as "
                   "skipped) and cells as JUnit's XML for CI")
      ->capture_default_str();
  command->add_option("-o,--output", options->output, "write to this file instead of stdout");
  command->footer(
      "examples:\n  greta report B3.21 --lang es -o informe.md\n"
      "  greta report B3.21 --format html -o report.html\n"
      "  greta report B3.21 --format junit -o gates.xml");
  command->callback([&context, options] {
    if (const auto done = report(context, *options); !done) context.fail(done.error());
  });
}

}  // namespace greta::runner
