#include "container/image.h"

#include <algorithm>
#include <sstream>
#include <vector>

#include "container/packages.h"
#include "store/store.h"
#include "system/environment.h"
#include "system/files.h"
#include "system/lock.h"

namespace greta::runner {
namespace fs = std::filesystem;
namespace {

constexpr double kBaseTimeout_s = 1800, kBuildTimeout_s = 3600;

std::string without_newline(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  return text;
}

// The id of an image that is here; "" if it is not.
Result<std::string> image_id(const Executor& executor, const std::string& name,
                             const Cancel& cancel) {
  const auto id = output_of(
      {to_string(executor.kind), "image", "inspect", "--format", "{{.Id}}", name}, cancel, 60);
  if (!id && cancel.requested()) return tl::unexpected(id.error());
  return id ? without_newline(*id) : "";
}

// `asked`: what the spec says, else "".
Result<std::string> find_base(const fs::path& folder, const std::string& asked,
                              const std::string& tag_name, const Executor& executor,
                              const Layout& layout, Progress& progress, const Cancel& cancel) {
  const fs::path script = folder / "base";
  if (!fs::exists(script)) return asked;
  const fs::path log = layout.logs() / ("base-" + tag_name + ".log");
  const fs::path answer = layout.logs() / ("base-" + tag_name + ".out");
  auto step = progress.begin("finding the base image of " + folder.filename().string());
  Command command;
  command.argv = {script.string(), to_string(executor.kind)};
  if (!asked.empty()) command.argv.push_back(asked);
  command.stdout_file = answer;
  command.stderr_file = log;
  command.timeout_s = kBaseTimeout_s;
  TRY_ASSIGN(const Finished finished, run_command(command, cancel));
  if (finished.stop == Stop::cancelled) return fail(Exit::interrupted, "interrupted");
  TRY_ASSIGN(const std::string text, read_file(answer));
  const std::string lines = without_newline(text);
  const std::string base = lines.substr(lines.rfind('\n') + 1);
  if (!finished.ok() || base.empty()) {
    return fail(Exit::infrastructure, script.string() + " found no base image (" +
                                          (finished.stop == Stop::timeout
                                               ? finished.reason
                                               : "exit " + std::to_string(finished.exit_code)) +
                                          ")\n" + log_tail(log) + "\nlog: " + log.string());
  }
  if (step.seconds() > 5) step.done("base image: " + base);
  return base;
}

Result<> build_image(const ImageBuild& build, const fs::path& log, Progress& progress,
                     const Cancel& cancel) {
  auto step = progress.begin("building the image " + build.tag);
  progress.detail("log: " + log.string());
  Command command;
  command.argv = build_argv(build);
  command.stdout_file = log;
  command.merge_streams = true;
  command.timeout_s = kBuildTimeout_s;
  TRY_ASSIGN(const Finished finished, run_command(command, cancel));
  if (finished.stop == Stop::cancelled) return fail(Exit::interrupted, "interrupted");
  if (!finished.ok()) {
    return fail(Exit::infrastructure, "the image " + build.tag + " did not build (" +
                                          (finished.stop == Stop::timeout
                                               ? finished.reason
                                               : "exit " + std::to_string(finished.exit_code)) +
                                          ")\n" + log_tail(log) + "\nlog: " + log.string());
  }
  step.done("built the image " + build.tag);
  return {};
}

// The installed packages, sorted; asked once for an image id.
Result<std::string> packages_of(const Executor& executor, const Image& image, const Layout& layout,
                                const Cancel& cancel) {
  const std::string short_id = store::sha256_hex(image.id).substr(0, 32);
  const fs::path known = cache_folder() / "packages" / (short_id + ".txt");
  if (auto text = read_file(known)) return *text;
  Executor inside = executor;
  inside.image = image.reference;
  std::string text;
  for (const std::vector<std::string>& argv :
       {std::vector<std::string>{"dpkg-query", "-W", "-f",
                                 "${Package} ${Version} ${Architecture}\n"},
        {"rpm", "-qa"},
        {"apk", "info", "-v"}}) {
    TRY_ASSIGN(const fs::path folder, make_temporary(layout));
    Job job;
    job.purpose = "packages";
    job.argv = argv;
    job.stdout_file = folder / "out";
    job.stderr_file = folder / "err";
    job.timeout_s = 120;
    job.pids = 64;
    job.memory_bytes = int64_t{1} << 30;
    job.again = [](const std::string&) { return Result<>(); };
    const auto finished = run_job(inside, job, cancel);
    auto listed = read_file(folder / "out");
    remove_tree(folder);
    if (cancel.requested()) return fail(Exit::interrupted, "interrupted");
    if (finished && finished->stop == Stop::lost) {
      return fail(Exit::infrastructure,
                  "cannot list the packages of " + image.reference + ": " + finished->reason);
    }
    if (!finished || !finished->ok() || !listed) continue;  // this package manager is not in it
    std::vector<std::string> lines;
    std::istringstream in(*listed);
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    std::sort(lines.begin(), lines.end());
    for (const auto& line : lines) text += line + "\n";
    break;
  }
  TRY(make_folders(known.parent_path()));
  TRY(write_file(known, text));
  return text;
}

Result<> add_packages(const Executor& executor, const Layout& layout, const Cancel& cancel,
                      Image& image) {
  TRY_ASSIGN(const std::string packages, packages_of(executor, image, layout, cancel));
  if (packages.empty()) return {};
  image.packages_sha256 = store::sha256_hex(packages);
  image.versions = tool_versions(packages);
  return keep_packages(layout, packages);
}

// A repository name has lower-case letters, digits and single separators.
std::string repository_name(const std::string& folder) {
  std::string out;
  for (const char c : folder) {
    const char low = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    const bool plain = (low >= 'a' && low <= 'z') || (low >= '0' && low <= '9');
    if (plain) {
      out += low;
    } else if (!out.empty() && out.back() != '-') {
      out += '-';
    }
  }
  while (!out.empty() && out.back() == '-') out.pop_back();
  return out.empty() ? "image" : out;
}

Result<Image> from_folder(const fs::path& folder, const std::string& base, const Executor& executor,
                          const Layout& layout, Progress& progress, const Cancel& cancel) {
  Image image;
  TRY_ASSIGN(image.recipe, folder_hash(folder));
  const std::string name = repository_name(folder.filename().string());
  const std::string lock_name = "image-" + store::sha256_hex(folder.string()).substr(0, 16);
  TRY_ASSIGN(const auto lock, FileLock::acquire(layout.locks() / lock_name, cancel, [&] {
               progress.say("waiting for another greta that makes the image " + name);
             }));
  TRY_ASSIGN(image.base, find_base(folder, base, name, executor, layout, progress, cancel));
  std::string base_id;
  if (!image.base.empty()) {
    TRY_ASSIGN(base_id, image_id(executor, image.base, cancel));
  }
  ImageBuild build;
  build.tool = executor.tool.tool;
  build.quirks = executor.tool.quirks;
  build.folder = folder;
  build.labels = {{"greta.recipe", image.recipe}};
  build.tag = "localhost/greta/" + name + ":" +
              store::sha256_hex(image.recipe + "|" + image.base + "|" + base_id).substr(0, 16);
  if (!image.base.empty()) build.build_args["BASE"] = image.base;
  image.reference = build.tag;
  TRY_ASSIGN(image.id, image_id(executor, build.tag, cancel));
  if (image.id.empty()) {
    TRY(build_image(build, layout.logs() / ("image-" + name + ".log"), progress, cancel));
    TRY_ASSIGN(image.id, image_id(executor, build.tag, cancel));
  }
  return image;
}

Result<Image> from_name(const EngineSpec& engine, const fs::path& folder, const Executor& executor,
                        Progress& progress, const Cancel& cancel) {
  Image image;
  image.reference = image.recipe = engine.image;
  TRY_ASSIGN(image.id, image_id(executor, engine.image, cancel));
  if (!image.id.empty()) {
    // A name without a digest may stand for other contents tomorrow.
    if (engine.image.find("@sha256:") == std::string::npos) image.recipe += "|" + image.id;
    return image;
  }
  if (engine.image.find("@sha256:") == std::string::npos) {
    return fail_at(
        engine.place,
        "engine.image: `" + engine.image + "` is neither a folder with a Dockerfile (looked at " +
            (fs::path(engine.place.file).parent_path() / engine.image).lexically_normal().string() +
            " and " + folder.string() + ") nor an image that " + to_string(executor.kind) +
            " has here; only `name@sha256:…` is pulled, since a tag may change");
  }
  auto step = progress.begin("pulling " + engine.image);
  const auto pulled = output_of({to_string(executor.kind), "pull", "--quiet", engine.image}, cancel,
                                kBaseTimeout_s);
  if (!pulled) return tl::unexpected(pulled.error());
  step.done("pulled " + engine.image);
  TRY_ASSIGN(image.id, image_id(executor, engine.image, cancel));
  return image;
}

}  // namespace

std::string Image::key() const {
  return packages_sha256.empty() ? recipe + "|" + id : recipe + "|" + packages_sha256;
}

Result<std::optional<Image>> image_by_id(const std::string& id, const Executor& executor,
                                         const Layout& layout, const Cancel& cancel) {
  Image image;
  TRY_ASSIGN(image.id, image_id(executor, id, cancel));
  if (image.id.empty()) return std::nullopt;
  image.reference = image.id;
  TRY(add_packages(executor, layout, cancel, image));
  return image;
}

Result<std::string> folder_hash(const fs::path& folder) {
  std::vector<std::string> lines;
  std::error_code error;
  for (fs::recursive_directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error)) {
    if (it->is_directory(error) && !it->is_symlink(error)) continue;
    const std::string name = it->path().lexically_relative(folder).string();
    if (it->is_symlink(error)) {
      lines.push_back(name + "\tlink\t" + fs::read_symlink(it->path(), error).string());
      continue;
    }
    TRY_ASSIGN(const std::string hash, store::sha256_file(it->path()));
    const bool executable =
        (it->status(error).permissions() & fs::perms::owner_exec) != fs::perms::none;
    lines.push_back(name + "\t" + (executable ? "x" : "-") + "\t" + hash);
  }
  if (error) {
    return fail(Exit::infrastructure, "cannot read " + folder.string() + ": " + error.message());
  }
  std::sort(lines.begin(), lines.end());
  std::string text;
  for (const auto& line : lines) text += line + "\n";
  return store::sha256_hex(text);
}

Result<Image> resolve_image(const EngineSpec& engine, const fs::path& root,
                            const Executor& executor, const Layout& layout, Progress& progress,
                            const Cancel& cancel) {
  std::error_code error;
  const fs::path folder = fs::weakly_canonical(root / engine.image, error);
  Image image;
  if (fs::is_directory(folder, error)) {
    if (!fs::exists(folder / "Dockerfile", error)) {
      return fail_at(engine.place, "engine.image: no Dockerfile in " + folder.string());
    }
    TRY_ASSIGN(image, from_folder(folder, engine.base, executor, layout, progress, cancel));
  } else {
    if (!engine.base.empty()) {
      return fail_at(engine.place,
                     "engine.base: `" + engine.image +
                         "` is a ready image; only one of a folder is made from a base");
    }
    TRY_ASSIGN(image, from_name(engine, folder, executor, progress, cancel));
  }
  TRY(add_packages(executor, layout, cancel, image));
  return image;
}

}  // namespace greta::runner
