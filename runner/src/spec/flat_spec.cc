#include "spec/flat_spec.h"
#include "system/json.h"

namespace greta::runner {
namespace {

// What stood for itself once must do so when it is read again.
void escape_variables(Json& value) {
  if (value.is_string()) {
    std::string& text = value.get_ref<std::string&>();
    for (size_t at = 0; (at = text.find("${", at)) != std::string::npos; at += 3) {
      text.insert(at, "$");
    }
  }
  if (value.is_structured()) {
    for (Json& item : value) escape_variables(item);
  }
}

Json prompt_json(const Prompt& prompt) {
  Json out = {{"id", prompt.id}};
  if (prompt.tokens) {
    out["tokens"] = Json::array();
    for (const int64_t id : *prompt.tokens) out["tokens"].push_back(std::to_string(id));
  } else {
    out["text"] = prompt.text.value_or("");
    out["literal_escapes"] = "true";  // whatever stands in it has been looked at
  }
  return out;
}

// What the reader found goes in place of what it looked for.
void settle(const EngineSpec& engine, Json& section) {
  if (!section.is_object()) section = Json::object();
  if (engine.binary) section["binary"] = engine.binary->string();
  if (!engine.program.empty()) section["program"] = engine.program;
  if (!engine.binary) section["image"] = engine.image;
  if (!engine.adapter.json.empty()) section["adapter"] = Json::parse(engine.adapter.json);
}

}  // namespace

Json texts_of(const YamlNode& node) {
  switch (node.kind) {
    case YamlNode::Kind::null:
      return nullptr;
    case YamlNode::Kind::scalar:
      return node.text;
    case YamlNode::Kind::list: {
      Json out = Json::array();
      for (const YamlNode& item : node.items) out.push_back(texts_of(item));
      return out;
    }
    case YamlNode::Kind::map: {
      Json out = Json::object();
      for (const auto& entry : node.entries) out[entry.key] = texts_of(entry.value);
      return out;
    }
  }
  return nullptr;
}

Json flat_spec(const YamlNode& root, const Spec& spec) {
  Json out = {{"schema", "1"}};
  out.update(texts_of(root));
  if (root.find("prompts") != nullptr) {
    out["prompts"] = Json::array();
    for (const Prompt& prompt : spec.prompts) out["prompts"].push_back(prompt_json(prompt));
  }
  for (const EngineSpec& engine : spec.engines) {
    if (engine.name.empty()) {
      settle(engine, out["engine"]);
    } else {
      out.erase("engine");
      settle(engine, out["engines"][engine.name]);
    }
  }
  escape_variables(out);
  return out;
}

}  // namespace greta::runner
