#include "transfer/image_archive.h"

#include <archive.h>
#include <archive_entry.h>

#include <map>
#include <memory>

#include "contract/text.h"
#include "store/store.h"
#include "system/files.h"
#include "system/json.h"
#include "transfer/archive_index.h"

namespace greta::runner {
namespace fs = std::filesystem;
namespace {

constexpr double kSaveTimeout_s = 1800, kAskTimeout_s = 60;
constexpr int64_t kMostMetadata = 16 << 20;  // manifest.json and the image's configuration
const char* const kTools[] = {"podman", "docker"};

bool has_image(const std::string& tool, const std::string& id, const Cancel& cancel) {
  const auto known =
      output_of({tool, "image", "inspect", "--format", "{{.Id}}", id}, cancel, kAskTimeout_s);
  return known && image_hash(known->substr(0, known->find('\n'))) == id;
}

struct Free {
  void operator()(archive* a) const { archive_free(a); }
};

// The small files of an image archive, by name; layers are skipped.
Result<std::map<std::string, std::string>> metadata_of(const fs::path& file) {
  const std::unique_ptr<archive, Free> a(archive_read_new());
  if (!a || archive_read_support_format_tar(a.get()) != ARCHIVE_OK ||
      archive_read_open_filename(a.get(), file.c_str(), 1 << 16) != ARCHIVE_OK) {
    return fail(Exit::usage, "is no image archive");
  }
  std::map<std::string, std::string> out;
  int64_t total = 0;
  archive_entry* entry = nullptr;
  while (true) {
    const int code = archive_read_next_header(a.get(), &entry);
    if (code == ARCHIVE_EOF) return out;
    if (code != ARCHIVE_OK) return fail(Exit::usage, "is no image archive, or damaged");
    const char* const name = archive_entry_pathname(entry);
    const int64_t size = archive_entry_size(entry);
    const bool layer = name != nullptr && std::string_view(name).ends_with(".tar");
    if (name == nullptr || layer || archive_entry_filetype(entry) != AE_IFREG ||
        size > kMostMetadata) {
      continue;
    }
    total += size;
    // Layers of newer archives have no ending; of those the small ones are read along.
    if (total > 16 * kMostMetadata) return fail(Exit::usage, "has too many small files");
    std::string bytes(static_cast<size_t>(size), '\0');
    if (archive_read_data(a.get(), bytes.data(), bytes.size()) != size)
      return fail(Exit::usage, "is cut short");
    if (!out.emplace(name, std::move(bytes)).second)
      return fail(Exit::usage, "has `" + printable(name) + "` twice");
  }
}

// A loader takes tags from any of these; an archive saved by id has none.
bool names_an_image(const SortedJson& manifest, const std::map<std::string, std::string>& files) {
  const auto tags = manifest.find("RepoTags");
  if (tags != manifest.end() && !tags->empty()) return true;
  const auto old = files.find("repositories");
  if (old != files.end() && SortedJson::parse(old->second, nullptr, false) != SortedJson::object())
    return true;
  const auto index = files.find("index.json");
  return index != files.end() && (index->second.find("image.name") != std::string::npos ||
                                  index->second.find("ref.name") != std::string::npos);
}

}  // namespace

std::string image_hash(std::string_view id) {
  if (id.starts_with("sha256:")) id.remove_prefix(7);
  return is_sha256(id) ? std::string(id) : std::string();
}

Result<fs::path> kept_image(const Layout& layout, const std::string& id, const Cancel& cancel) {
  const fs::path kept = layout.images() / (id + ".tar");
  std::error_code error;
  if (fs::exists(kept, error)) return kept;
  for (const std::string tool : kTools) {
    if (find_program(tool).empty() || !has_image(tool, id, cancel)) continue;
    TRY_ASSIGN(const fs::path work, make_temporary(layout));
    struct Cleaner {
      fs::path folder;
      ~Cleaner() { remove_tree(folder); }
    } cleaner{work};
    const fs::path saved = work / "image.tar";
    // By its id, so that the archive holds no tag.
    std::vector<std::string> argv = {tool, "save", "-o", saved.string(), id};
    if (tool == "podman") argv.insert(argv.begin() + 2, {"--quiet", "--format", "docker-archive"});
    TRY(output_of(argv, cancel, kSaveTimeout_s));
    auto checked = check_image_archive(saved, id);
    if (!checked) {
      checked.error().message = tool + " save: the archive " + checked.error().message;
      checked.error().exit_code = static_cast<int>(Exit::infrastructure);
      return tl::unexpected(std::move(checked.error()));
    }
    TRY(sync_path(saved));
    fs::rename(saved, kept, error);
    if (!error) return kept;
    return fail(Exit::infrastructure, "cannot keep the image: " + error.message());
  }
  return fail(Exit::usage, "neither podman nor docker has the image " + id.substr(0, 12) +
                               " any more; export without --with-image");
}

Result<> check_image_archive(const fs::path& file, const std::string& id) {
  TRY_ASSIGN(const auto files, metadata_of(file));
  const auto manifest = files.find("manifest.json");
  if (manifest == files.end()) return fail(Exit::usage, "has no manifest.json");
  const SortedJson images =
      SortedJson::parse(manifest->second, nullptr, /*allow_exceptions=*/false);
  if (!images.is_array() || images.size() != 1 || !images[0].is_object() ||
      !images[0].contains("Config") || !images[0]["Config"].is_string()) {
    return fail(Exit::usage, "does not hold one image");
  }
  if (names_an_image(images[0], files))
    return fail(Exit::usage, "names its image: it would take that tag");
  const auto config = files.find(images[0]["Config"].get<std::string>());
  if (config != files.end() && store::sha256_hex(config->second) == id) return {};
  return fail(Exit::usage, "is not of the image " + id.substr(0, 12));
}

Result<std::string> load_image(const fs::path& file, const std::string& id, const Cancel& cancel) {
  std::string problem = "neither podman nor docker is here";
  for (const std::string tool : kTools) {
    if (find_program(tool).empty()) continue;
    if (has_image(tool, id, cancel)) return tool + " has it";
    const auto loaded =
        output_of({tool, "load", "--quiet", "-i", file.string()}, cancel, kSaveTimeout_s);
    if (cancel.requested()) return fail(Exit::interrupted, "interrupted");
    if (loaded && has_image(tool, id, cancel)) return "loaded into " + tool;
    problem = loaded ? tool + " knows it by another id" : loaded.error().message;
  }
  return "kept as " + file.string() + ", not loaded: " + problem;
}

}  // namespace greta::runner
