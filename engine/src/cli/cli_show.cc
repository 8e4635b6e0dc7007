// The commands that only look: describe, inspect, tokenize.
#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/cli.h"
#include "cli/cli_input.h"
#include "cli/cli_options.h"
#include "cli/describe.h"
#include "cli/inspect.h"
#include "contract/text.h"
#include "model/gguf.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/unicode.h"

namespace greta::engine {
namespace {

int finish(const Result<>& result) { return result ? 0 : report(result.error()); }

// A token may be part of a character: bytes that are no UTF-8 are shown as \xNN.
std::string in_quotes(std::string_view piece) {
  std::string out = "\"";
  for (size_t i = 0; i < piece.size();) {
    const size_t n = utf8_length(piece, i);
    const auto byte = static_cast<unsigned char>(piece[i]);
    if (piece[i] == '\n') {
      out += "\\n";
    } else if (piece[i] == '"' || piece[i] == '\\') {
      out += '\\';
      out += piece[i];
    } else if (n == 0 || byte < 0x20 || byte == 0x7f) {
      char escaped[5];
      std::snprintf(escaped, sizeof escaped, "\\x%02x", byte);
      out += escaped;
    } else {
      out += piece.substr(i, n);
    }
    i += std::max<size_t>(n, 1);
  }
  return out + "\"";
}

struct TokenizeOptions {
  std::string model, text;
  std::vector<std::string> files;
  bool has_text = false, ids = false, no_special = false, no_bos = false;
};

Result<> tokenize(const TokenizeOptions& options) {
  if (options.model.empty()) return fail(EngineExit::usage, "no model; give one with --model FILE");
  if (options.has_text == !options.files.empty()) {
    return fail(EngineExit::usage,
                "give the text by --text T or by --file F (- is standard input)");
  }
  TRY_ASSIGN(const auto file, GgufFile::open(options.model));
  TRY_ASSIGN(const auto tokenizer, Tokenizer::from_gguf(file));
  const auto show = [&](std::string_view text) {
    const auto ids =
        tokenizer->encode(text, tokenizer->adds_bos() && !options.no_bos, !options.no_special);
    if (options.ids) return print(nlohmann::json(ids).dump() + "\n");
    std::string out;
    for (const int32_t id : ids) {
      out += std::to_string(id) + "\t" + in_quotes(tokenizer->piece(id, /*special=*/true)) + "\n";
    }
    return print(out);
  };
  if (options.has_text) return show(options.text);
  for (const std::string& path : options.files) {
    TRY_ASSIGN(const auto text, read_input(path));
    if (options.files.size() > 1 && !options.ids) TRY(print("## " + printable(path, 400) + "\n"));
    TRY(show(text));
  }
  return {};
}

}  // namespace

RunCommand register_tokenize(CLI::App& app) {
  const auto options = std::make_shared<TokenizeOptions>();
  add_path(app, "-m,--model", options->model, "GGUF file; its weights are not needed");
  auto* const text = app.add_option("--text", options->text, "the text itself")->type_name("TEXT");
  app.add_option("--file", options->files,
                 "a file with the text, read byte for byte; - is standard input; may be repeated")
      ->type_name("FILE")
      ->expected(1)
      ->take_all();
  app.add_flag("--ids", options->ids, "print the ids alone, a JSON list a text");
  app.add_flag("--no-special", options->no_special,
               "control tokens written in the text are plain text");
  app.add_flag("--no-bos", options->no_bos, "put no begin-of-text token in front");
  app.footer(
      "Each line is an id and the token's bytes, \\xNN where they are no character. Example:\n"
      "  greta-infer tokenize --model greta-tiny.gguf --text '<|begin_of_text|>Hola' --ids");
  return [options, text] {
    options->has_text = text->count() > 0;
    return finish(tokenize(*options));
  };
}

RunCommand register_inspect(CLI::App& app) {
  struct Options {
    std::string model;
    bool json = false;
  };
  const auto options = std::make_shared<Options>();
  add_path(app, "MODEL", options->model, "GGUF file");
  app.add_flag("--json", options->json, "as JSON");
  app.footer(
      "Whether greta-infer can run the file and why not, its metadata, and each tensor with its "
      "type,\n"
      "shape and bytes. Also of models that it cannot run. Examples\n"
      "  greta-infer inspect greta-tiny.gguf\n"
      "  greta-infer inspect model.gguf --json | jq .metadata");
  return [options] {
    const auto inspect = [&]() -> Result<> {
      if (options->model.empty())
        return fail(EngineExit::usage, "no file; see greta-infer inspect --help");
      TRY_ASSIGN(const auto file, GgufFile::open(options->model));
      return print(options->json ? inspect_json(file) : inspect_text(file));
    };
    return finish(inspect());
  };
}

RunCommand register_describe(CLI::App& app) {
  const auto json = std::make_shared<bool>(false);
  app.add_flag("--json", *json, "as JSON, the form that the engine contract asks for");
  app.footer(
      "Flags are environment variables of `run`; a record kind is a file that it writes into "
      "--out.\n"
      "Examples\n"
      "  greta-infer describe | less\n"
      "  greta-infer describe --json | jq '.flags[].name'");
  return [json] { return finish(print(*json ? describe_json() : describe_text())); };
}

}  // namespace greta::engine
