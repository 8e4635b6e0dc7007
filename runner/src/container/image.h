#pragma once
// The image that an engine is built and run in: a folder with a Dockerfile, or one that exists.

#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "container/executor.h"
#include "contract/result.h"
#include "spec/spec.h"
#include "system/layout.h"
#include "system/progress.h"

namespace greta::runner {

struct Image {
  std::string reference;  // what `run` is given
  std::string id;      // "sha256:…" of the image here; differs between two builds of one recipe
  std::string recipe;  // hash of the folder, or the pinned digest: what the spec asked for
  std::string base;    // BASE build argument, "" if none
  std::string packages_sha256;  // of the sorted list of installed packages; "" where none is known
  std::map<std::string, std::string> versions;  // image.rocm, image.hip, image.compiler
  // What of it can change a result, for build keys: the recipe and the packages, or the id where
  // the image has no package list.
  std::string key() const;
};

// A folder is built when its contents or its base have no image yet: an executable `base` in it is
// run as `base podman|docker [engine.base]` and the last line that it prints is the build argument
// BASE. Errors (infrastructure) have the end of the log and its place.
Result<Image> resolve_image(const EngineSpec& engine, const std::filesystem::path& root,
                            const Executor& executor, const Layout& layout, Progress& progress,
                            const Cancel& cancel);

// An image that is here, by its id: what an earlier run used. Nothing when it is gone.
Result<std::optional<Image>> image_by_id(const std::string& id, const Executor& executor,
                                         const Layout& layout, const Cancel& cancel);

// Hash over names, modes and contents of all files of a folder.
Result<std::string> folder_hash(const std::filesystem::path& folder);

}  // namespace greta::runner
