#pragma once
// Images as files, kept by their id in the store's home, so that an engine can run again where its
// image can no longer be built.

#include <filesystem>
#include <string>
#include <string_view>

#include "contract/result.h"
#include "system/layout.h"
#include "system/process.h"

namespace greta::runner {

// The 64 hex of "sha256:…" or of the bare id; "" for anything else.
std::string image_hash(std::string_view id);

// images/<id>.tar, saved by podman or docker if it is not there yet. An error (usage) where neither
// has the image.
Result<std::filesystem::path> kept_image(const Layout& layout, const std::string& id,
                                         const Cancel& cancel);

// Whether a file is an archive of this one image, without a name: loading it can give no other
// image and take no tag. Errors: usage.
Result<> check_image_archive(const std::filesystem::path& file, const std::string& id);

// Hands a kept image to podman or docker, unless it has it. Returns what a person should know:
// "loaded into podman", or why it was not.
Result<std::string> load_image(const std::filesystem::path& file, const std::string& id,
                               const Cancel& cancel);

}  // namespace greta::runner
