// Which image archives are taken: of one image, the one that was asked for, without a name.

#include "transfer/image_archive.h"

#include <gtest/gtest.h>

#include <functional>

#include "system/json.h"
#include "system/test_folder.h"
#include "transfer/archive_fixture.h"

namespace greta::runner {
namespace {

// As `podman save` and `docker save` write them.
TEST(ImageArchive, OneNamelessImageOfThisId) {
  const TestFolder folder;
  const auto file = folder / "image.tar";
  const std::string config = R"({"architecture":"amd64"})", id = store::sha256_hex(config);
  const SortedJson manifest = {
      {{"Config", id + ".json"}, {"RepoTags", nullptr}, {"Layers", {"l.tar"}}}};
  const std::vector<TestEntry> good = {{.name = "l.tar", .bytes = "layer"},
                                       {.name = id + ".json", .bytes = config},
                                       {.name = "manifest.json", .bytes = manifest.dump()},
                                       {.name = "repositories", .bytes = "{}"}};
  struct Case {
    std::function<void(std::vector<TestEntry>&)> change;
    const char* message;  // "" is taken
  };
  SortedJson tagged = manifest, two = manifest, other = manifest;
  tagged[0]["RepoTags"] = {"localhost/greta/base:trixie"};
  two.push_back(manifest[0]);
  other[0]["Config"] = "l.tar.json";
  const Case cases[] = {
      {[](auto&) {}, ""},
      {[](auto& e) { e.pop_back(); }, ""},
      {[&](auto& e) { e[2].bytes = tagged.dump(); }, "names its image"},
      {[](auto& e) { e[3].bytes = R"({"localhost/greta/base":{"trixie":"x"}})"; },
       "names its image"},
      {[](auto& e) {
         e.push_back(
             {.name = "index.json",
              .bytes = R"({"manifests":[{"annotations":{"io.containerd.image.name":"x"}}]})"});
       },
       "names its image"},
      {[&](auto& e) { e[2].bytes = two.dump(); }, "does not hold one image"},
      {[](auto& e) { e[2].bytes = "no JSON"; }, "does not hold one image"},
      {[](auto& e) { e.erase(e.begin() + 2); }, "has no manifest.json"},
      {[](auto& e) { e[1].bytes += " "; }, "is not of the image"},
      {[&](auto& e) { e[2].bytes = other.dump(); }, "is not of the image"},
      {[](auto& e) { e.push_back(e[2]); }, "has `manifest.json` twice"},
  };
  for (const Case& one : cases) {
    auto entries = good;
    one.change(entries);
    write_entries(file, entries, Packed::no);
    const auto checked = check_image_archive(file, id);
    const std::string said = checked ? "" : checked.error().message;
    if (*one.message == '\0') {
      EXPECT_EQ(said, "");
    } else {
      EXPECT_NE(said.find(one.message), std::string::npos) << said << " for " << one.message;
    }
  }
  folder.write("image.tar", "no tar at all");
  EXPECT_FALSE(check_image_archive(file, id));
}

TEST(ImageArchive, IdsOfBothTools) {
  const std::string hex(64, 'a');
  EXPECT_EQ(image_hash(hex), hex);
  EXPECT_EQ(image_hash("sha256:" + hex), hex);
  for (const char* wrong : {"", "sha256:", "latest", "../../x"}) EXPECT_EQ(image_hash(wrong), "");
}

}  // namespace
}  // namespace greta::runner
