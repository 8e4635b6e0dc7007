#include "cli/inspect.h"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "contract/text.h"
#include "model/model_config.h"

namespace greta::engine {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kShownItems = 8;  // of an array of metadata

template <class T>
constexpr bool kIsArray = false;
template <class T>
constexpr bool kIsArray<std::vector<T>> = true;

// Arrays are cut: a vocabulary of 128,000 strings tells nobody anything.
Json value_json(const GgufValue& value) {
  return std::visit(
      [](const auto& held) {
        if constexpr (kIsArray<std::decay_t<decltype(held)>>) {
          Json shown = Json::array();
          for (size_t i = 0; i < std::min(held.size(), kShownItems); ++i) shown.push_back(held[i]);
          return Json{{"length", held.size()}, {"first", shown}};
        } else {
          return Json(held);
        }
      },
      value.value);
}

std::string value_text(const GgufValue& value) {
  const Json json = value_json(value);
  const auto text = [](const Json& part) {
    return printable(part.dump(-1, ' ', false, Json::error_handler_t::replace), 200);
  };
  if (!json.is_object()) return text(json);
  std::string items = text(json["first"]);
  if (json["length"].get<size_t>() > kShownItems) items.insert(items.size() - 1, ",…");
  return std::to_string(json["length"].get<size_t>()) + " × " + items;
}

int64_t parameters(const GgufFile& file) {
  int64_t count = 0;
  for (const auto& tensor : file.tensors()) count += tensor.elements();
  return count;
}

// "yes", or why this engine does not run the file.
std::string runnable(const GgufFile& file) {
  const auto config = read_model_config(file);
  return config ? "yes" : config.error().message;
}

}  // namespace

std::string inspect_json(const GgufFile& file) {
  Json out;
  out["file"] = file.path();
  out["bytes"] = file.bytes();
  out["version"] = file.version();
  out["alignment"] = file.alignment();
  out["parameters"] = parameters(file);
  out["runnable"] = runnable(file);
  out["metadata"] = Json::object();
  for (const auto& [key, value] : file.metadata()) out["metadata"][key] = value_json(value);
  out["tensors"] = Json::array();
  for (const auto& tensor : file.tensors()) {
    out["tensors"].push_back({{"name", tensor.name},
                              {"type", to_string(tensor.type)},
                              {"shape", tensor.dims},
                              {"bytes", tensor.data.size()}});
  }
  return out.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string inspect_text(const GgufFile& file) {
  std::string out = printable(file.path(), 4096) + ": GGUF v" + std::to_string(file.version()) +
                    ", " + std::to_string(file.bytes()) + " bytes, " +
                    std::to_string(parameters(file)) + " parameters, data aligned to " +
                    std::to_string(file.alignment()) + "\nruns here: " + runnable(file) +
                    "\n\nMetadata (" + std::to_string(file.metadata().size()) + ")\n";
  for (const auto& [key, value] : file.metadata()) {
    out += "  " + printable(key) + " = " + value_text(value) + "\n";
  }
  out += "\nTensors (" + std::to_string(file.tensors().size()) +
         "); the first dimension is contiguous\n";
  for (const auto& tensor : file.tensors()) {
    char line[160];
    std::snprintf(line, sizeof line, "%-8s %-20s %12zu bytes\n",
                  std::string(to_string(tensor.type)).c_str(), tensor.shape().c_str(),
                  tensor.data.size());
    std::string name = printable(tensor.name);
    name.resize(std::max<size_t>(name.size(), 32), ' ');
    out += "  " + name + " " + line;
  }
  return out;
}

}  // namespace greta::engine
