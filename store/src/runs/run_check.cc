#include "runs/run_check.h"

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>

#include "contract/text.h"
#include "ingest/ingest_manifest.h"

namespace greta::store {
namespace {

using nlohmann::json;

tl::unexpected<Error> wrong(const std::string& what) {
  return tl::unexpected(Error{.message = "run: " + what});
}

std::string text_of(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

// As a spec may name it.
bool is_milestone(const std::string& name) {
  return !name.empty() && std::isalnum(static_cast<unsigned char>(name[0])) != 0 &&
         std::all_of(name.begin(), name.end(), [](unsigned char c) {
           return std::isalnum(c) != 0 || c == '.' || c == '_' || c == '-';
         });
}

// "2026-02-03T10:00:00.000Z"
bool is_time(const std::string& text) {
  constexpr std::string_view kForm = "dddd-dd-ddTdd:dd:dd.dddZ";
  return text.size() == kForm.size() &&
         std::equal(text.begin(), text.end(), kForm.begin(), [](char c, char form) {
           return form == 'd' ? std::isdigit(static_cast<unsigned char>(c)) != 0 : c == form;
         });
}

std::string shown(const json& cell) {
  return "cell " + printable(text_of(cell, "variant") + ", " + text_of(cell, "prompt"), 120);
}

}  // namespace

Result<> check_run_row(const json& run) {
  const std::string milestone = text_of(run, "milestone");
  if (!is_milestone(milestone)) {
    return wrong("`" + printable(milestone) + "` is no name of a milestone");
  }
  if (text_of(run, "provenance") != "recorded") {
    for (const char* key : {"started_at", "ended_at"}) {
      const std::string when = text_of(run, key);  // "" where a manifest did not say
      if (!when.empty() && !is_time(when)) {
        return wrong("`" + std::string(key) + "` is no time: `" + printable(text_of(run, key)) +
                     "`");
      }
    }
  }
  if (run["accepted"] != 0 && run["accepted"] != 1) return wrong("`accepted` is neither 0 nor 1");
  const auto planned = run.find("cells_planned");
  if (planned != run.end() && (!planned->is_number_integer() || *planned < 0)) {
    return wrong("`cells_planned` is no number of cells");
  }
  const auto purpose = run.find("purpose");
  if (purpose != run.end() && *purpose != "run" && *purpose != "replay" && *purpose != "probe") {
    return wrong("`purpose` is none of run, replay, probe");
  }
  return {};
}

Result<> check_cells_of_bundle(const json& whole, const std::string& hash,
                               std::string_view manifest) {
  TRY_ASSIGN(const Manifest sealed, parse_manifest(manifest));
  const bool recorded = sealed.provenance == "recorded";
  if (recorded != (text_of(whole["run"], "provenance") == "recorded")) {
    return wrong("bundle " + hash + " has another provenance than the run");
  }
  if (recorded) return {};  // figures of a report: no cell of them was executed
  // What does not say for which milestone it ran stands under any.
  const bool same_milestone =
      sealed.milestone.empty() || sealed.milestone == text_of(whole["run"], "milestone");
  for (const json& cell : whole["cells"]) {
    if (cell["bundle"] != hash) continue;
    const auto own =
        std::find_if(sealed.cells.begin(), sealed.cells.end(), [&](const ManifestCell& each) {
          return each.identity == cell["identity"] && each.request == cell["request"];
        });
    if (own == sealed.cells.end()) {
      return wrong(shown(cell) + " is none of its bundle's, " + hash);
    }
    const bool same_names = own->prompt == text_of(cell, "prompt") &&
                            sealed.variant == cell["variant"] && same_milestone;
    if (own->status != cell["status"] || sealed.repeat != cell["repeat"] ||
        (cell["cached"] == 0 && !same_names)) {
      return wrong(shown(cell) + " is another one in its bundle, " + hash);
    }
  }
  return {};
}

}  // namespace greta::store
