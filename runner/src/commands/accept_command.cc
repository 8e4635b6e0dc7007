// greta accept RUN: this run is its milestone's baseline from now on.

#include "system/context.h"

namespace greta::runner {
namespace {

Result<> accept(Context& context, const std::string& run) {
  TRY_ASSIGN(store::Store store, context.open_store_to_change());
  TRY_ASSIGN(const store::Selection selection, store.select(run));
  TRY(store.accept(selection.name));
  context.say(selection.name + " is now the accepted run of " + selection.milestone);
  return {};
}

}  // namespace

void register_accept(CLI::App& app, Context& context) {
  CLI::App* const command = app.add_subcommand("accept", "make a run its milestone's baseline");
  const auto run = std::make_shared<std::string>();
  command->add_option("run", *run, "a run's name, or a milestone for its latest run")->required();
  command->callback([&context, run] {
    if (const auto done = accept(context, *run); !done) context.fail(done.error());
  });
}

}  // namespace greta::runner
