#pragma once
// Where a store keeps what is not in its SQLite file, and how greta processes stay out of each
// other's way there.
//
//   bundles/<2 hex>/<hash>/   sealed attempts        engines/<build key>/   built engines, describe
//   tmp/<owner>.<n>/          attempts under way     git/   mirrors of URLs   logs/   builds
//   reports/<run>.md                                 locks/  flock files
//   images/<id>.tar           saved images           packages/<sha256>.txt   what images have

#include <filesystem>
#include <string>

#include "contract/result.h"

namespace greta::runner {

struct Layout {
  std::filesystem::path store;  // the SQLite file, absolute
  std::filesystem::path home;   // its folder when that is named .greta, else <store>.files
  std::string label;            // names this store on containers: 16 hex of its path

  std::filesystem::path bundles() const { return home / "bundles"; }
  std::filesystem::path engines() const { return home / "engines"; }
  std::filesystem::path images() const { return home / "images"; }
  std::filesystem::path packages() const { return home / "packages"; }
  std::filesystem::path temporary() const { return home / "tmp"; }
  std::filesystem::path mirrors() const { return home / "git"; }
  std::filesystem::path logs() const { return home / "logs"; }
  std::filesystem::path reports() const { return home / "reports"; }
  std::filesystem::path locks() const { return home / "locks"; }
};

// Where they are, or would be. Makes nothing.
Layout layout_of(const std::filesystem::path& store_file);
// Makes the folders. Errors: no permission, disk full.
Result<Layout> make_layout(const std::filesystem::path& store_file);

// A folder below tmp/ of this process: its name says who owns it, so that what a killed greta left
// can be removed by the next one.
Result<std::filesystem::path> make_temporary(const Layout& layout);
// "PID:STARTTIME" of a folder made by make_temporary; "" for any other name.
std::string owner_of_temporary(const std::filesystem::path& folder);

}  // namespace greta::runner
