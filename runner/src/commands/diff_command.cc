// greta diff A B: what differs between two runs, confounders first.

#include <iostream>

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
  bool markdown = false, junit = false;
};

struct OpenedPair {
  store::Store store;
  store::Selection a, b;
  std::map<std::string, std::string> arms_a, arms_b;
};

Result<OpenedPair> open_pair(const Context& context, const DiffOptions& options,
                             store::Access access) {
  TRY_ASSIGN(store::Store store, context.open_store(access));
  std::error_code error;
  const auto root = find_history(std::filesystem::current_path(error)).parent_path().parent_path();
  TRY_ASSIGN(const store::SideName name_a, store::parse_side(options.a));
  TRY_ASSIGN(const store::SideName name_b, store::parse_side(options.b));
  const auto select = [&](const std::string& name) -> Result<store::Selection> {
    if (access == store::Access::read_only) return store.select(name);
    return select_with_history(store, name, root);
  };
  TRY_ASSIGN(store::Selection a, select(name_a.run));
  TRY_ASSIGN(store::Selection b, select(name_b.run));
  return OpenedPair{std::move(store), std::move(a), std::move(b), name_a.arms, name_b.arms};
}

// For writing only where recorded figures have to come in.
Result<OpenedPair> open_pair(const Context& context, const DiffOptions& options) {
  auto opened = open_pair(context, options, store::Access::read_only);
  const auto is_recorded = [](const std::string& side) {
    return side.substr(0, side.find('#')).ends_with("@recorded");
  };
  const bool may_import = is_recorded(options.a) || is_recorded(options.b);
  if (opened || !may_import) return opened;
  return open_pair(context, options, store::Access::read_write);
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

Result<> diff(Context& context, const DiffOptions& options) {
  TRY_ASSIGN(OpenedPair opened, open_pair(context, options));
  for (const store::Selection* selection : {&opened.a, &opened.b}) {
    if (selection == &opened.b && opened.b.run == opened.a.run) continue;
    if (selection->why == store::Selection::Why::latest) {
      context.say("note: " + selection->milestone +
                  " has no accepted run; this is its latest complete one, " + selection->name);
    }
  }
  TRY_ASSIGN(store::Diff found, store::diff(opened.store, store::Side{opened.a.run, opened.arms_a},
                                            store::Side{opened.b.run, opened.arms_b}));
  name_packages(layout_of(context.find_store()), found);
  std::cout << (options.junit  ? store::to_junit(found)
                : context.json ? store::to_json(found)
                               : store::to_markdown(found, options.top))
            << std::flush;
  if (!std::cout) return fail(Exit::infrastructure, "standard output cannot be written");
  context.exit_code = store::exit_code(found);
  return {};
}

}  // namespace

void register_diff(CLI::App& app, Context& context) {
  CLI::App* const command = app.add_subcommand(
      "diff", "what differs between two runs: confounders first, then figures, worst first");
  const auto options = std::make_shared<DiffOptions>();
  command
      ->add_option(
          "a", options->a,
          "B3.21, B3.21@recorded, B3.21@RUN, a run's name; with #AXIS=VALUE,… only its variants "
          "that have these values")
      ->required();
  command->add_option("b", options->b, "the run to compare with it")->required();
  command->add_option("--top", options->top, "figures to list; --json lists all")
      ->capture_default_str();
  CLI::Option* const markdown =
      command->add_flag("--md", options->markdown, "Markdown: what is printed without it, too");
  command->add_flag("--junit", options->junit, "JUnit's XML for CI: a case for every figure")
      ->excludes(markdown);
  command->footer(
      "exit code: 0 identical or within floor, 1 diverged, 3 nothing in common, 5 not comparable\n"
      "example:\n"
      "  greta diff B3.21@recorded B3.21\n"
      "  greta diff 'B3.21#GRETA_FORCE_ATTN_DECODE_KERNEL=manual' "
      "'B3.21#GRETA_FORCE_ATTN_DECODE_KERNEL=fused'");
  command->callback([&context, options] {
    if (const auto done = diff(context, *options); !done) context.fail(done.error());
  });
}

}  // namespace greta::runner
