// greta bundle export|import: runs from one machine to another, as one archive.

#include <cstdio>

#include "contract/text.h"
#include "run/history.h"
#include "system/context.h"
#include "system/files.h"
#include "system/json.h"
#include "system/layout.h"
#include "transfer/export.h"
#include "transfer/import.h"

namespace greta::runner {
namespace {

struct ExportWords {
  std::vector<std::string> runs;
  std::string file;
  ExportOptions options;
};

std::string count_of(size_t number, const std::string& what) {
  return std::to_string(number) + " " + what + (number == 1 ? "" : "s");
}

Result<> export_all(Context& context, const ExportWords& words) {
  std::vector<int64_t> runs;
  for (const std::string& selector : words.runs) {
    TRY_ASSIGN(const OpenedRun opened, open_run(context, selector));
    runs.push_back(opened.selection.run);
  }
  TRY_ASSIGN(store::Store store, context.open_store(store::Access::read_only));
  // A store on a medium that cannot be written can be exported, too; images are kept beside it.
  Layout layout = layout_of(context.find_store());
  if (words.options.with_image) {
    TRY_ASSIGN(layout, make_layout(context.find_store()));
  }
  TRY_ASSIGN(const Exported done,
             export_runs(store, layout, runs, words.options, words.file, process_cancel()));
  context.say(words.file + ": " + count_of(done.runs.size(), "run") + ", " +
              count_of(done.bundles, "bundle") +
              (done.engines > 0 ? ", " + count_of(done.engines, "engine") : "") +
              (done.images > 0 ? ", " + count_of(done.images, "image") : "") + ", " +
              human_bytes(static_cast<double>(done.bytes)));
  if (context.json) {
    std::printf("%s\n", SortedJson({{"file", words.file},
                                    {"runs", done.runs},
                                    {"bundles", done.bundles},
                                    {"engines", done.engines},
                                    {"images", done.images},
                                    {"bytes", done.bytes}})
                            .dump()
                            .c_str());
  } else {
    for (const std::string& run : done.runs) std::printf("%s\n", run.c_str());
  }
  return {};
}

Result<> import_all(Context& context, const std::vector<std::string>& files, int64_t most_bytes) {
  TRY_ASSIGN(store::Store store, context.open_store(store::Access::read_write));
  TRY_ASSIGN(const Layout layout, make_layout(context.find_store()));
  SortedJson imported = SortedJson::array();
  for (const std::string& file : files) {
    TRY_ASSIGN(const ImportedArchive done,
               import_archive(store, layout, file, most_bytes, process_cancel()));
    size_t known = 0;
    for (const store::ImportedRun& run : done.runs) known += run.known;
    context.say(printable(file, 200) + ": " + count_of(done.runs.size(), "run") +
                (known > 0 ? " (" + std::to_string(known) + " known already)" : "") + ", " +
                count_of(done.bundles, "bundle"));
    for (const std::string& note : done.notes) context.say(note);
    for (const store::ImportedRun& run : done.runs) {
      imported.push_back({{"run", run.name}, {"known", run.known}});
      if (!context.json) std::printf("%s\n", run.name.c_str());
      if (run.accepted_elsewhere.empty()) continue;
      context.say("note: " + run.name + " is accepted where it comes from; here " +
                  run.accepted_elsewhere + " is, and stays so (greta accept " + run.name + ")");
    }
  }
  if (context.json) std::printf("%s\n", SortedJson({{"runs", imported}}).dump().c_str());
  return {};
}

void add_export(CLI::App& bundle, Context& context) {
  CLI::App* const command = bundle.add_subcommand("export", "runs into one archive");
  const auto words = std::make_shared<ExportWords>();
  command->add_option("RUN", words->runs, "runs or milestones, as greta show takes them")
      ->required();
  command->add_option("-o,--output", words->file, "the archive: NAME.greta.tar.zst")->required();
  command->add_flag("--with-engine", words->options.with_engine,
                    "with the programs that were built for them");
  command->add_flag("--with-image", words->options.with_image,
                    "with the images that they ran in (large)");
  command->footer("Equal runs give equal files. `tar --zstd -tf FILE` lists what is in it.");
  command->fallthrough();
  command->callback([&context, words] {
    install_signal_handlers();
    if (const auto done = export_all(context, *words); !done) context.fail(done.error());
  });
}

void add_import(CLI::App& bundle, Context& context) {
  CLI::App* const command = bundle.add_subcommand("import", "the runs of archives into the store");
  const auto files = std::make_shared<std::vector<std::string>>();
  const auto most = std::make_shared<uint64_t>(kMostArchiveBytes);
  command->add_option("FILE", *files, "archives of greta bundle export")->required();
  command
      ->add_option("--most-bytes", *most,
                   "refuse an archive that would unpack to more: 500MiB, 2GiB; default 64GiB")
      ->transform(CLI::AsSizeValue(false))
      ->check(CLI::Range(uint64_t{1}, uint64_t{1} << 62));
  command->footer(
      "Everything is checked before anything appears; importing the same thing twice changes\n"
      "nothing. exit: 2 when an archive is refused");
  command->fallthrough();
  command->callback([&context, files, most] {
    install_signal_handlers();
    const auto done = import_all(context, *files, static_cast<int64_t>(*most));
    if (!done) context.fail(done.error());
  });
}

}  // namespace

void register_bundle(CLI::App& app, Context& context) {
  CLI::App* const command =
      app.add_subcommand("bundle", "move runs between machines as one verified archive");
  command->require_subcommand(1);
  add_export(*command, context);
  add_import(*command, context);
}

}  // namespace greta::runner
