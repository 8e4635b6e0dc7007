#include "transfer/export.h"

#include <algorithm>
#include <fstream>
#include <map>
#include <set>

#include "container/packages.h"
#include "system/files.h"
#include "system/json.h"
#include "transfer/archive_file.h"
#include "transfer/image_archive.h"

namespace greta::runner {
namespace fs = std::filesystem;
namespace {

constexpr size_t kPiece = 1 << 20;

ArchiveSource from_text(const std::string& name, std::string text) {
  return {.member = {.name = name,
                     .bytes = static_cast<int64_t>(text.size()),
                     .sha256 = store::sha256_hex(text)},
          .read = [text = std::move(text)](const PieceSink& sink) { return sink(text); }};
}

Result<ArchiveSource> from_file(const std::string& name, const fs::path& file) {
  std::error_code error;
  ArchiveSource out{.member = {.name = name, .sha256 = {}}, .read = {}};
  out.member.bytes = static_cast<int64_t>(fs::file_size(file, error));
  if (error)
    return fail(Exit::infrastructure, "cannot read " + file.string() + ": " + error.message());
  TRY_ASSIGN(out.member.sha256, store::sha256_file(file));
  out.member.executable =
      (fs::status(file, error).permissions() & fs::perms::owner_exec) != fs::perms::none;
  out.read = [file](const PieceSink& sink) -> Result<> {
    std::ifstream in(file, std::ios::binary);
    std::string piece(kPiece, '\0');
    while (in.read(piece.data(), static_cast<std::streamsize>(piece.size())) || in.gcount() > 0)
      TRY(sink(std::string_view(piece).substr(0, static_cast<size_t>(in.gcount()))));
    return {};
  };
  return out;
}

class Export {
 public:
  Export(store::Store& store, const Layout& layout, const ExportOptions& options,
         const Cancel& cancel)
      : store_(store), layout_(layout), options_(options), cancel_(cancel) {}

  Result<> add_run(int64_t run) {
    TRY_ASSIGN(std::string text, store_.export_run(run));
    const SortedJson parsed = SortedJson::parse(text);
    const std::string name = parsed["run"]["name"];
    if (!runs_.insert(name).second) return {};
    for (const SortedJson& cell : parsed["cells"])
      if (cell["bundle"].is_string()) TRY(add_bundle(name, cell["bundle"]));
    sources_.push_back(from_text("runs/" + name + ".json", std::move(text)));
    return {};
  }

  Result<Exported> write(const fs::path& file) {
    TRY(write_archive(file, std::move(sources_), cancel_));
    Exported out{.runs = {runs_.begin(), runs_.end()},
                 .bundles = bundles_.size(),
                 .engines = engines_.size(),
                 .images = images_.size()};
    std::error_code error;
    out.bytes = static_cast<int64_t>(fs::file_size(file, error));
    return out;
  }

 private:
  Result<> add_bundle(const std::string& run, const std::string& hash) {
    if (!bundles_.insert(hash).second) return {};
    const std::string folder = "bundles/" + hash + "/";
    TRY_ASSIGN(std::string manifest, store_.file_bytes(hash, "manifest.json"));
    TRY_ASSIGN(const auto files, store::manifest_files(manifest));
    for (const store::StoredFile& file : files) {
      sources_.push_back(
          {.member = {.name = folder + file.name, .bytes = file.bytes, .sha256 = file.sha256},
           .read = [this, hash, file](const PieceSink& sink) {
             return store_.read_file(hash, file, sink);
           }});
      if (const auto problem = name_problem(sources_.back().member.name))
        return fail(Exit::infrastructure, "bundle " + hash + ": `" + file.name + "` " + *problem);
    }
    const SortedJson parsed = SortedJson::parse(manifest);
    // Another runner's manifest may hold anything here.
    const auto fact = [&](const char* name) {
      const auto found = parsed.find("environment");
      const bool known = found != parsed.end() && found->is_object() && found->contains(name) &&
                         (*found)[name].is_string();
      return known ? (*found)[name].get<std::string>() : std::string();
    };
    TRY(add_packages(fact("image.packages_sha256")));
    // A program of the image goes with the image.
    if (options_.with_engine && fact("program").empty()) {
      TRY(add_engine(run, fact("engine.kept").empty() ? fact("build_key") : fact("engine.kept")));
    }
    if (options_.with_image) TRY(add_image(image_hash(fact("image"))));
    sources_.push_back(from_text(folder + "manifest.json", std::move(manifest)));
    return {};
  }

  // What a diff needs to name the packages that differ.
  Result<> add_packages(const std::string& sha256) {
    if (!is_sha256(sha256) || !packages_.insert(sha256).second) return {};
    auto list = kept_packages(layout_, sha256);
    if (list) sources_.push_back(from_text("packages/" + sha256 + ".txt", std::move(*list)));
    return {};
  }

  Result<> add_engine(const std::string& run, const std::string& key) {
    if (key.empty() || !engines_.insert(key).second) return {};  // recorded figures have none
    const fs::path folder = layout_.engines() / key;
    std::error_code error;
    if (!is_sha256(key) || !fs::exists(folder / "build.json", error)) {
      return fail(Exit::usage, "the engine of " + run + " is not kept here (" + folder.string() +
                                   "): another machine had it, or it was removed; "
                                   "export without --with-engine");
    }
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(folder, error)) files.push_back(entry.path());
    for (const fs::path& file : files) {
      TRY_ASSIGN(ArchiveSource source,
                 from_file("engines/" + key + "/" + file.filename().string(), file));
      sources_.push_back(std::move(source));
    }
    return {};
  }

  Result<> add_image(const std::string& id) {
    if (id.empty() || !images_.insert(id).second) return {};  // it ran without a container
    TRY_ASSIGN(const fs::path file, kept_image(layout_, id, cancel_));
    TRY_ASSIGN(ArchiveSource source, from_file("images/" + id + ".tar", file));
    sources_.push_back(std::move(source));
    return {};
  }

  store::Store& store_;
  const Layout& layout_;
  const ExportOptions& options_;
  const Cancel& cancel_;
  std::set<std::string> runs_, bundles_, engines_, images_, packages_;
  std::vector<ArchiveSource> sources_;
};

}  // namespace

Result<Exported> export_runs(store::Store& store, const Layout& layout,
                             const std::vector<int64_t>& runs, const ExportOptions& options,
                             const fs::path& file, const Cancel& cancel) {
  Export out(store, layout, options, cancel);
  for (const int64_t run : runs) TRY(out.add_run(run));
  return out.write(file);
}

}  // namespace greta::runner
