#include "transfer/archive_index.h"

#include <algorithm>
#include <limits>
#include <set>

#include "contract/text.h"
#include "store/store.h"
#include "system/json.h"

namespace greta::runner {
namespace {

constexpr int kArchiveVersion = 1;
constexpr size_t kMostName = 4096, kMostPart = 255;

Error wrong(const std::string& what) { return Error{.message = "index.json: " + what}; }

SortedJson as_json(const ArchiveIndex& index) {
  SortedJson members = SortedJson::array();
  for (const ArchiveMember& member : index.members) {
    SortedJson item = {{"name", member.name}, {"bytes", member.bytes}, {"sha256", member.sha256}};
    if (member.executable) item["executable"] = true;
    members.push_back(std::move(item));
  }
  return {{"greta_archive", kArchiveVersion}, {"members", members}};
}

// The hash is of the index without it.
std::string with_own_hash(SortedJson index) {
  index["sha256"] = store::sha256_hex(index.dump());
  return index.dump(1) + "\n";
}

Result<ArchiveMember> parse_member(const SortedJson& item) {
  if (!item.is_object() || !item.contains("name") || !item["name"].is_string())
    return tl::unexpected(wrong("a member without a `name`"));
  ArchiveMember member{.name = item["name"].get<std::string>(), .sha256 = {}};
  if (const auto problem = name_problem(member.name))
    return tl::unexpected(wrong("member `" + printable(member.name) + "` " + *problem));
  const auto bytes = item.find("bytes");
  const bool sized = bytes != item.end() && bytes->is_number_unsigned() &&
                     bytes->get<uint64_t>() <= std::numeric_limits<int64_t>::max();
  const auto hash = item.find("sha256");
  if (!sized || hash == item.end() || !hash->is_string() ||
      !is_sha256(hash->get_ref<const std::string&>())) {
    return tl::unexpected(
        wrong("member `" + printable(member.name) + "` needs `bytes` and a lower-case `sha256`"));
  }
  member.bytes = bytes->get<int64_t>();
  member.sha256 = hash->get<std::string>();
  member.executable = item.contains("executable") && item["executable"] == true;
  return member;
}

// A name that is also a folder of another one could not be unpacked.
Result<> check_folders(const std::vector<ArchiveMember>& members) {
  std::set<std::string_view> names;
  for (const ArchiveMember& member : members) names.insert(member.name);
  for (const std::string_view name : names) {
    for (size_t at = name.find('/'); at != std::string_view::npos; at = name.find('/', at + 1)) {
      if (!names.contains(name.substr(0, at))) continue;
      return tl::unexpected(wrong("member `" + printable(name.substr(0, at)) +
                                  "` is a folder of `" + printable(name) + "`"));
    }
  }
  return {};
}

}  // namespace

int64_t ArchiveIndex::bytes() const {
  int64_t sum = 0;
  for (const ArchiveMember& member : members) {
    if (member.bytes > std::numeric_limits<int64_t>::max() - sum)
      return std::numeric_limits<int64_t>::max();
    sum += member.bytes;
  }
  return sum;
}

std::string to_json(ArchiveIndex index) {
  std::sort(index.members.begin(), index.members.end(),
            [](const ArchiveMember& a, const ArchiveMember& b) { return a.name < b.name; });
  return with_own_hash(as_json(index));
}

Result<ArchiveIndex> parse_index(std::string_view text) {
  const SortedJson index = SortedJson::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!index.is_object()) return tl::unexpected(wrong("not a JSON object"));
  const auto version = index.find("greta_archive");
  if (version == index.end() || *version != kArchiveVersion) {
    return tl::unexpected(
        wrong("its `greta_archive` is " +
              (version != index.end() && version->is_number() ? version->dump()
                                                              : std::string("no number")) +
              ", this greta reads version " + std::to_string(kArchiveVersion)));
  }
  if (!index.contains("members") || !index["members"].is_array())
    return tl::unexpected(wrong("`members` is no list"));
  ArchiveIndex out;
  for (const SortedJson& item : index["members"]) {
    TRY_ASSIGN(ArchiveMember member, parse_member(item));
    if (!out.members.empty() && member.name == out.members.back().name)
      return tl::unexpected(wrong("member `" + printable(member.name) + "` stands twice"));
    if (!out.members.empty() && member.name < out.members.back().name)
      return tl::unexpected(wrong("its members are not sorted by name"));
    out.members.push_back(std::move(member));
  }
  TRY(check_folders(out.members));
  if (with_own_hash(as_json(out)) != text)
    return tl::unexpected(wrong("is damaged: it does not have its own hash"));
  return out;
}

std::optional<std::string> name_problem(std::string_view name) {
  if (name.empty() || name.size() > kMostName) return "has no name that a file could have";
  if (name.find('\0') != std::string_view::npos) return "has a NUL in its name";
  if (name[0] == '/') return "is absolute";
  size_t parts = 0;
  for (size_t at = 0; at <= name.size(); ++parts) {
    const size_t end = std::min(name.find('/', at), name.size());
    const std::string_view part = name.substr(at, end - at);
    if (part.empty() || part == "." || part == ".." || part.size() > kMostPart)
      return "has `" + printable(part) + "` as a part of its name";
    at = end + 1;
  }
  const std::string_view room = name.substr(0, name.find('/'));
  if (room == "runs" && parts == 2 && name.ends_with(".json")) return std::nullopt;
  for (const auto& [folder, end] :
       {std::pair<std::string_view, std::string_view>{"images", ".tar"}, {"packages", ".txt"}}) {
    const size_t before = folder.size() + 1;
    const bool named = name.size() == before + 64 + end.size() && name.ends_with(end) &&
                       is_sha256(name.substr(before, 64));
    if (room == folder && parts == 2 && named) return std::nullopt;
  }
  const bool below_hash =
      parts >= 3 && is_sha256(name.substr(room.size() + 1, 64)) && name[room.size() + 65] == '/';
  if ((room == "bundles" || (room == "engines" && parts == 3)) && below_hash) return std::nullopt;
  return "has no place here (runs/NAME.json, bundles/HASH/…, engines/KEY/…, images/ID.tar, "
         "packages/HASH.txt)";
}

bool is_sha256(std::string_view text) {
  return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

}  // namespace greta::runner
