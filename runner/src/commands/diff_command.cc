// greta diff A B: what differs between two runs, confounders first.

#include <iostream>
#include <set>

#include "commands/metric_options.h"
#include "container/packages.h"
#include "run/history.h"
#include "store/diff.h"
#include "system/context.h"
#include "system/layout.h"

namespace greta::runner {
namespace {

constexpr size_t kUsualRows = 20, kMostPackages = 12;

struct DiffOptions {
  std::string a, b;
  size_t top = kUsualRows;
  bool markdown = false, junit = false, timings = false, show_sql = false;
};

struct OpenedSide {
  std::vector<store::Selection> runs;
  std::map<std::string, std::string> arms;
};
struct OpenedPair {
  store::Store store;
  OpenedSide a, b;
};

constexpr std::string_view kRecordedSuffix = "@recorded";

// Recorded milestones come into the store when somebody names them.
Result<> bring_in_recorded(store::Store& store, const std::string& runs,
                           const std::filesystem::path& root) {
  for (const std::string& name : parts_of({runs})) {
    if (!name.ends_with(kRecordedSuffix)) continue;
    if (name.find_first_of("*?[") == std::string::npos) {
      TRY(select_with_history(store, name, root));
    } else {
      TRY(import_histories(store, root));
    }
  }
  return {};
}

Result<OpenedPair> open_pair(const Context& context, const DiffOptions& options,
                             store::Access access) {
  TRY_ASSIGN(store::Store store, context.open_store(access));
  std::error_code error;
  const auto root = find_history(std::filesystem::current_path(error)).parent_path().parent_path();
  const auto open_side = [&](const std::string& side) -> Result<OpenedSide> {
    TRY_ASSIGN(const store::SideName name, store::parse_side(side));
    if (access == store::Access::read_write) TRY(bring_in_recorded(store, name.run, root));
    TRY_ASSIGN(auto runs, store.select_all(name.run));
    return OpenedSide{std::move(runs), name.arms};
  };
  TRY_ASSIGN(OpenedSide a, open_side(options.a));
  TRY_ASSIGN(OpenedSide b, open_side(options.b));
  return OpenedPair{std::move(store), std::move(a), std::move(b)};
}

// For writing only where recorded figures have to come in.
Result<OpenedPair> open_pair(const Context& context, const DiffOptions& options) {
  auto opened = open_pair(context, options, store::Access::read_only);
  const auto names_recorded = [](const std::string& side) {
    return side.substr(0, side.find('#')).find(kRecordedSuffix) != std::string::npos;
  };
  if (opened || !(names_recorded(options.a) || names_recorded(options.b))) return opened;
  return open_pair(context, options, store::Access::read_write);
}

store::Side side_of(const OpenedSide& opened) {
  store::Side side{{}, opened.arms};
  for (const store::Selection& run : opened.runs) side.runs.push_back(run.run);
  return side;
}

std::string few_of(const std::vector<std::string>& packages) {
  std::string out;
  for (size_t i = 0; i < packages.size() && i < kMostPackages; ++i)
    out += (i > 0 ? ", " : "") + packages[i];
  if (packages.size() > kMostPackages)
    out += ", … " + std::to_string(packages.size() - kMostPackages) + " more";
  return packages.empty() ? "none that the other has not" : out;
}

// Two hashes say that images differ; the lists behind them, where both are kept, say in what.
void name_packages(const Layout& layout, store::Diff& found) {
  for (store::Confounder& one : found.confounders) {
    if (one.what != "image.packages_sha256") continue;
    const auto a = kept_packages(layout, one.a), b = kept_packages(layout, one.b);
    if (!a || !b) return;
    const PackageDifference difference = package_difference(*a, *b);
    one.what = "image.packages";
    one.a = few_of(difference.only_a);
    one.b = few_of(difference.only_b);
  }
}

void say_what_stands_in(const Context& context, const OpenedPair& opened) {
  std::set<int64_t> said;
  for (const OpenedSide* side : {&opened.a, &opened.b}) {
    for (const store::Selection& run : side->runs) {
      if (run.why != store::Selection::Why::latest || !said.insert(run.run).second) continue;
      context.say("note: " + run.milestone +
                  " has no accepted run; this is its latest complete one, " + run.name);
    }
  }
}

Result<> diff(Context& context, const DiffOptions& options) {
  TRY_ASSIGN(OpenedPair opened, open_pair(context, options));
  say_what_stands_in(context, opened);
  TRY_ASSIGN(store::Diff found, store::diff(opened.store, side_of(opened.a), side_of(opened.b)));
  found.timings_count = options.timings;
  name_packages(layout_of(context.find_store()), found);
  std::cout << (options.junit  ? store::to_junit(found)
                : context.json ? store::to_json(found)
                               : store::to_markdown(found, options.top, options.show_sql))
            << std::flush;
  if (!std::cout) return fail(Exit::infrastructure, "standard output cannot be written");
  context.exit_code = store::exit_code(found);
  return {};
}

}  // namespace

void register_diff(CLI::App& app, Context& context) {
  CLI::App* const command = app.add_subcommand(
      "diff", "what differs between two runs, or sets of runs: confounders first, then figures");
  const auto options = std::make_shared<DiffOptions>();
  command
      ->add_option(
          "a", options->a,
          "B3.21, B3.21@recorded, B3.21@RUN, a run's name; several: A,B; 'B3.2*', the run that "
          "stands for each milestone; 'B3.21@*', all its complete executed runs; commit:abc123, "
          "those of a commit; with #AXIS=VALUE,… only the variants that have these values")
      ->required();
  command->add_option("b", options->b, "what to compare with it, in the same words")->required();
  command->add_option("--top", options->top, "figures to list; --json lists all")
      ->capture_default_str();
  command->add_flag("--timings", options->timings,
                    "timings count as well: exit 1 if one is slower, 3 if none has 5 samples a "
                    "side, 5 if the machines differ");
  command->add_flag("--show-sql", options->show_sql,
                    "the query of every figure that is listed, not of the first alone");
  CLI::Option* const markdown =
      command->add_flag("--md", options->markdown, "Markdown: what is printed without it, too");
  command->add_flag("--junit", options->junit, "JUnit's XML for CI: a case for every figure")
      ->excludes(markdown);
  command->footer(
      "exit code: 0 identical or within floor, 1 diverged, 3 nothing in common, 5 not comparable\n"
      "example:\n"
      "  greta diff B3.21@recorded B3.21\n"
      "  greta diff commit:1a2b3c commit:4d5e6f --timings\n"
      "  greta diff 'B3.21#GRETA_FORCE_ATTN_DECODE_KERNEL=manual' "
      "'B3.21#GRETA_FORCE_ATTN_DECODE_KERNEL=fused'");
  command->callback([&context, options] {
    if (const auto done = diff(context, *options); !done) context.fail(done.error());
  });
}

}  // namespace greta::runner
