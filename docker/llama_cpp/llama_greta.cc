// llama.cpp as an engine: greedy answers with the records that greta-infer would write, through
// libllama. llama.cpp's own tools print neither logits nor hashes.
//   llama-greta --model F --requests R.jsonl --out DIR [--max-tokens N] [--threads N]
//               [--backend auto|cpu] [--kv-type f32|f16|bf16] [--logits=full] [--no-stop-at-eos]
// Requests are greta's: {"id", "text" | "tokens", "max_tokens"} a line. DIR gets readout.jsonl,
// tokens.jsonl, timing.jsonl, request_end.jsonl, effective.json and, with --logits=full,
// logits-N.f32 with logits_dump.jsonl (engine/contract/RECORDS.md describes all of them).
// Exit codes as in engine/ENGINE.md: 2 arguments, 3 model or request, 4 backend, 143 stopped.
#define XXH_INLINE_ALL
#include <llama.h>
#include <xxhash.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

volatile std::sig_atomic_t stop_signal = 0;

[[noreturn]] void die(int code, const std::string& what) {
  std::fprintf(stderr, "llama-greta: %s\n", what.c_str());
  std::exit(code);
}

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

struct Options {
  std::string model, requests, out, backend = "auto", kv_type = "f32", logits;
  int max_tokens = 1, threads = 2;
  bool stop_at_eos = true;
};

int whole_number(const std::string& name, const std::string& text) {
  char* end = nullptr;
  const long value = std::strtol(text.c_str(), &end, 10);
  if (text.empty() || *end != 0 || value < 1 || value > 1'000'000) {
    die(2, name + " wants a whole number from 1, got `" + text + "`");
  }
  return static_cast<int>(value);
}

Options read_options(int argc, char** argv) {
  Options o;
  const std::map<std::string, std::string*> texts = {
      {"--model", &o.model},     {"--requests", &o.requests}, {"--out", &o.out},
      {"--backend", &o.backend}, {"--kv-type", &o.kv_type},   {"--logits", &o.logits}};
  const std::map<std::string, int*> numbers = {{"--max-tokens", &o.max_tokens},
                                               {"--threads", &o.threads}};
  for (int i = 1; i < argc; ++i) {
    std::string name = argv[i];
    if (name == "--no-stop-at-eos") {
      o.stop_at_eos = false;
      continue;
    }
    std::string value;
    const size_t equals = name.find('=');
    if (!texts.contains(name.substr(0, equals)) && !numbers.contains(name.substr(0, equals))) {
      die(2, "no option `" + name + "`");
    }
    if (equals != std::string::npos) {
      value = name.substr(equals + 1);
      name.resize(equals);
    } else if (++i < argc) {
      value = argv[i];
    } else {
      die(2, name + " wants a value");
    }
    if (texts.contains(name)) {
      *texts.at(name) = value;
    } else {
      *numbers.at(name) = whole_number(name, value);
    }
  }
  for (const char* name : {"--model", "--requests", "--out"}) {
    if (texts.at(name)->empty()) die(2, std::string(name) + " is missing");
  }
  if (o.backend != "auto" && o.backend != "cpu") {
    die(4, "--backend " + o.backend + ": this build of llama.cpp has auto and cpu");
  }
  if (!o.logits.empty() && o.logits != "full" && o.logits != "none") {
    die(2, "--logits wants full or none, got `" + o.logits + "`");
  }
  return o;
}

ggml_type kv_type_of(const std::string& name) {
  if (name == "f32") return GGML_TYPE_F32;
  if (name == "f16") return GGML_TYPE_F16;
  if (name == "bf16") return GGML_TYPE_BF16;
  die(2, "--kv-type wants f32, f16 or bf16, got `" + name + "`");
}

class Vocabulary {
 public:
  explicit Vocabulary(const llama_model* model) : vocab_(llama_model_get_vocab(model)) {}
  int size() const { return llama_vocab_n_tokens(vocab_); }
  bool is_end(llama_token token) const { return llama_vocab_is_eog(vocab_, token); }

  // Special tokens are recognised; one begin-of-text is put in front unless the text has it.
  std::vector<llama_token> tokenize(const std::string& text) const {
    std::vector<llama_token> ids(text.size() + 16);
    const int n = llama_tokenize(vocab_, text.data(), static_cast<int>(text.size()), ids.data(),
                                 static_cast<int>(ids.size()), /*add_special=*/false,
                                 /*parse_special=*/true);
    if (n < 0) die(3, "a text has more tokens than bytes");
    ids.resize(static_cast<size_t>(n));
    const llama_token bos = llama_vocab_bos(vocab_);
    const bool has_bos = !ids.empty() && ids[0] == bos;
    if (llama_vocab_get_add_bos(vocab_) && !has_bos) ids.insert(ids.begin(), bos);
    return ids;
  }

  std::string piece(llama_token token, bool special) const {
    std::string text(256, '\0');
    int n =
        llama_token_to_piece(vocab_, token, text.data(), static_cast<int>(text.size()), 0, special);
    if (n < 0) {
      text.resize(static_cast<size_t>(-n));
      n = llama_token_to_piece(vocab_, token, text.data(), -n, 0, special);
    }
    text.resize(static_cast<size_t>(std::max(n, 0)));
    return text;
  }

 private:
  const llama_vocab* vocab_;
};

struct Request {
  std::string id;
  std::vector<llama_token> tokens;
  int max_tokens = 1;
};

// All of them, before anything runs.
std::vector<Request> read_requests(const Options& o, const Vocabulary& vocab) {
  std::ifstream in(o.requests, std::ios::binary);
  if (!in) die(3, "cannot read " + o.requests);
  std::vector<Request> out;
  int number = 0;
  for (std::string line; std::getline(in, line);) {
    const std::string place = o.requests + ":" + std::to_string(++number) + ": ";
    if (line.empty()) continue;
    const Json json = Json::parse(line, nullptr, false);
    if (!json.is_object() || !json.contains("id") || !json["id"].is_string()) {
      die(3, place + "no request: a JSON object with `id` is wanted");
    }
    Request request{json["id"].get<std::string>(), {}, o.max_tokens};
    const bool text = json.contains("text") && json["text"].is_string();
    const bool tokens = json.contains("tokens") && json["tokens"].is_array();
    if (text == tokens) die(3, place + "exactly one of `text` and `tokens` is wanted");
    if (text) request.tokens = vocab.tokenize(json["text"].get<std::string>());
    for (const Json& token : tokens ? json["tokens"] : Json::array()) {
      if (!token.is_number_integer() || token < 0 || token >= vocab.size()) {
        die(3, place + "token " + token.dump() + " is not in the vocabulary of " +
                   std::to_string(vocab.size()));
      }
      request.tokens.push_back(token.get<llama_token>());
    }
    if (request.tokens.empty()) die(3, place + "no tokens");
    if (json.contains("max_tokens")) {
      request.max_tokens = whole_number(place + "max_tokens", json["max_tokens"].dump());
    }
    for (const auto& [key, value] : json.items()) {
      if (key != "id" && key != "text" && key != "tokens" && key != "max_tokens") {
        die(3, place + "unknown key `" + key + "`");
      }
    }
    for (const Request& other : out) {
      if (other.id == request.id) die(3, place + "the id `" + request.id + "` twice");
    }
    out.push_back(std::move(request));
  }
  if (out.empty()) die(3, o.requests + " holds no request");
  return out;
}

// Each file is flushed with each line: what is there is whole.
class Output {
 public:
  explicit Output(fs::path folder) : folder_(std::move(folder)) {
    std::error_code error;
    fs::create_directories(folder_, error);
    if (error) die(2, "cannot make " + folder_.string() + ": " + error.message());
    if (!fs::is_empty(folder_, error) || error) die(2, folder_.string() + " is not empty");
  }
  void record(const std::string& kind, const std::string& request, const Json& fields) {
    Json line = {{"event", kind}, {"request", request}};
    line.update(fields);
    std::ofstream& file = files_[kind];
    if (!file.is_open()) file.open(folder_ / (kind + ".jsonl"), std::ios::binary);
    file << line.dump(-1, ' ', false, Json::error_handler_t::replace) << '\n' << std::flush;
    if (!file) die(2, "cannot write " + kind + ".jsonl");
  }
  void write(const std::string& name, const std::string& bytes) {
    std::ofstream file(folder_ / name, std::ios::binary);
    file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    if (!file.flush()) die(2, "cannot write " + name);
  }

 private:
  fs::path folder_;
  std::map<std::string, std::ofstream> files_;
};

// JSON has no NaN; greta's records say it as a text.
Json real(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  return value;
}

struct Top {
  int64_t id[2] = {-1, -1};
  float value[2] = {std::numeric_limits<float>::quiet_NaN(),
                    std::numeric_limits<float>::quiet_NaN()};
};
Top top2(std::span<const float> logits) {
  Top top;
  for (size_t i = 0; i < logits.size(); ++i) {
    const float value = logits[i];
    if (std::isnan(value)) continue;
    if (top.id[0] < 0 || value > top.value[0]) {  // the smaller id among equals
      top.id[1] = top.id[0];
      top.value[1] = top.value[0];
      top.id[0] = static_cast<int64_t>(i);
      top.value[0] = value;
    } else if (top.id[1] < 0 || value > top.value[1]) {
      top.id[1] = static_cast<int64_t>(i);
      top.value[1] = value;
    }
  }
  return top;
}

double entropy(std::span<const float> logits, double largest) {
  double total = 0, weighted = 0;
  for (const float logit : logits) {
    const double shifted = logit - largest, e = std::exp(shifted);
    total += e;
    if (e > 0 || std::isnan(e)) weighted += e * shifted;
  }
  return std::log(total) - weighted / total;
}

Json statistics(std::span<const float> logits) {
  double sum = 0, least = 0, most = 0;
  int64_t finite = 0, nan = 0, inf = 0;
  for (const float value : logits) {
    if (std::isnan(value)) ++nan;
    if (std::isinf(value)) ++inf;
    if (!std::isfinite(value)) continue;
    least = finite == 0 ? value : std::min<double>(least, value);
    most = finite == 0 ? value : std::max<double>(most, value);
    sum += value;
    ++finite;
  }
  const auto n = static_cast<double>(std::max<int64_t>(finite, 1));
  const double mean = sum / n;
  double deviations = 0;
  for (const float value : logits) {
    if (std::isfinite(value)) deviations += (value - mean) * (value - mean);
  }
  return {{"logits_min", least}, {"logits_max", most},
          {"logits_mean", mean}, {"logits_std", std::sqrt(deviations / n)},
          {"nan", nan},          {"inf", inf}};
}

class Engine {
 public:
  Engine(const Options& options, llama_model* model, double load_s, Output& output)
      : o_(options), model_(model), vocab_(model), load_s_(load_s), output_(output) {}

  void answer(const Request& request) {
    const int trained = llama_model_n_ctx_train(model_);
    const int prompt = static_cast<int>(request.tokens.size());
    if (prompt > trained) {
      die(3, "`" + request.id + "` has " + std::to_string(prompt) +
                 " tokens, the model's context " + std::to_string(trained));
    }
    llama_context_params params = llama_context_default_params();
    params.n_ctx = static_cast<uint32_t>(std::min(prompt + request.max_tokens, trained));
    params.n_batch = params.n_ubatch = params.n_ctx;
    // No flash attention and no cache narrower than asked for: only the arithmetic differs.
    params.type_k = params.type_v = kv_type_of(o_.kv_type);
    params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
    params.n_threads = params.n_threads_batch = o_.threads;
    const std::unique_ptr<llama_context, decltype(&llama_free)> context(
        llama_init_from_model(model_, params), llama_free);
    if (!context) die(4, "llama.cpp made no context for `" + request.id + "`");

    std::vector<llama_token> generated, next = request.tokens;
    std::string text, rows, stop_reason = "max_tokens";
    double prefill_s = 0, decode_s = 0;
    for (int step = 0, position = 0; step < request.max_tokens; ++step) {
      if (stop_signal != 0) std::exit(128 + stop_signal);
      if (position + static_cast<int>(next.size()) > trained) {
        stop_reason = "context_full";
        break;
      }
      const auto start = Clock::now();
      const std::span<const float> logits = feed(context.get(), next, position);
      (step == 0 ? prefill_s : decode_s) += seconds_since(start);
      position += static_cast<int>(next.size());
      const Top top = top2(logits);
      readout(request.id, step, position, next.back(), logits, top);
      if (o_.logits == "full") {
        rows.append(reinterpret_cast<const char*>(logits.data()), logits.size_bytes());
      }
      if (top.id[0] < 0) {
        std::fprintf(stderr, "llama-greta: `%s`: no finite logit\n", request.id.c_str());
        std::exit(5);
      }
      const auto token = static_cast<llama_token>(top.id[0]);
      generated.push_back(token);
      text += vocab_.piece(token, false);
      next = {token};
      if (o_.stop_at_eos && vocab_.is_end(token)) {
        stop_reason = "eos";
        break;
      }
    }
    finish(request, generated, rows,
           {{"load_s", load_s_}, {"prefill_s", prefill_s}, {"decode_s", decode_s}},
           {{"stop_reason", stop_reason}, {"text", text}});
    std::printf("%s: %s\n", request.id.c_str(), text.c_str());
  }

 private:
  // Feeds tokens from this position on; the logits of the last one, until the next call.
  std::span<const float> feed(llama_context* context, const std::vector<llama_token>& tokens,
                              int position) const {
    const int count = static_cast<int>(tokens.size());
    llama_batch batch = llama_batch_init(count, 0, 1);
    batch.n_tokens = count;
    for (int i = 0; i < count; ++i) {
      batch.token[i] = tokens[static_cast<size_t>(i)];
      batch.pos[i] = position + i;
      batch.n_seq_id[i] = 1;
      batch.seq_id[i][0] = 0;
      batch.logits[i] = i == count - 1;
    }
    const int failed = llama_decode(context, batch);
    llama_batch_free(batch);
    if (failed != 0) die(4, "llama_decode answered " + std::to_string(failed));
    return {llama_get_logits_ith(context, -1), static_cast<size_t>(vocab_.size())};
  }

  void readout(const std::string& request, int step, int position, llama_token fed,
               std::span<const float> logits, const Top& top) {
    char hash[17];
    std::snprintf(hash, sizeof hash, "%016llx",
                  static_cast<unsigned long long>(XXH3_64bits(logits.data(), logits.size_bytes())));
    Json record = {{"phase", step == 0 ? "prefill_last" : "decode" + std::to_string(step - 1)},
                   {"step", step},
                   {"tokens_total", position},
                   {"seq_len", position},
                   {"pos_id", position - 1},
                   {"token_id", fed},
                   {"logits_hash", hash}};
    record.update(statistics(logits));
    record.update(Json{{"top1_id", top.id[0]},
                       {"top1_logit", real(top.value[0])},
                       {"top2_id", top.id[1]},
                       {"top2_logit", real(top.value[1])},
                       {"gap", real(static_cast<double>(top.value[0]) - top.value[1])},
                       {"entropy", real(entropy(logits, top.value[0]))},
                       {"vocab", vocab_.size()}});
    if (top.id[0] >= 0) {
      record["top1_text"] = vocab_.piece(static_cast<llama_token>(top.id[0]), true);
    }
    output_.record("readout", request, record);
  }

  void finish(const Request& request, const std::vector<llama_token>& generated,
              const std::string& rows, Json timing, Json end) {
    std::vector<llama_token> all = request.tokens;
    all.insert(all.end(), generated.begin(), generated.end());
    for (size_t i = 0; i < all.size(); ++i) {
      output_.record("tokens", request.id,
                     {{"index", i},
                      {"source", i < request.tokens.size() ? "prompt" : "generated"},
                      {"token_id", all[i]},
                      {"text", vocab_.piece(all[i], true)}});
    }
    if (!rows.empty()) {
      const std::string name = "logits-" + std::to_string(dumps_++) + ".f32";
      output_.write(name, rows);
      output_.record("logits_dump", request.id,
                     {{"file", name},
                      {"rows", rows.size() / sizeof(float) / static_cast<size_t>(vocab_.size())},
                      {"vocab", vocab_.size()}});
    }
    const double prefill_s = timing["prefill_s"], decode_s = timing["decode_s"];
    const auto rate = [](size_t tokens, double s) {
      return s > 0 ? static_cast<double>(tokens) / s : 0;
    };
    timing["prefill_tok_s"] = rate(request.tokens.size(), prefill_s);
    timing["decode_tok_s"] = rate(generated.empty() ? 0 : generated.size() - 1, decode_s);
    timing["threads"] = o_.threads;
    output_.record("timing", request.id, timing);
    Json last = {{"prompt_tokens", request.tokens.size()}, {"generated_tokens", generated.size()}};
    last.update(end);
    output_.record("request_end", request.id, last);
  }

  const Options& o_;
  llama_model* model_;
  Vocabulary vocab_;
  double load_s_;
  Output& output_;
  int dumps_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  const Options options = read_options(argc, argv);
  static_cast<void>(kv_type_of(options.kv_type));
  for (const int number : {SIGINT, SIGTERM}) std::signal(number, [](int s) { stop_signal = s; });
  llama_log_set(
      [](ggml_log_level level, const char* text, void*) {
        if (level == GGML_LOG_LEVEL_ERROR) std::fputs(text, stderr);
      },
      nullptr);
  llama_backend_init();
  const auto start = Clock::now();
  llama_model* const model =
      llama_model_load_from_file(options.model.c_str(), llama_model_default_params());
  if (model == nullptr) die(3, "llama.cpp cannot load " + options.model);
  const double load_s = seconds_since(start);
  const std::vector<Request> requests = read_requests(options, Vocabulary(model));
  Output output(options.out);
  Engine engine(options, model, load_s, output);
  for (const Request& request : requests) engine.answer(request);
  const Json effective = {{"contract_version", 1},
                          {"engine", "llama.cpp"},
                          {"version", LLAMA_PACKAGE},
                          {"backend", "cpu"},
                          {"system", llama_print_system_info()},
                          {"kv_type", options.kv_type},
                          {"threads", options.threads},
                          {"injected", ""},
                          {"flags", Json::array()},
                          {"kernels", Json::array()}};
  output.write("effective.json", effective.dump(2) + "\n");
  llama_model_free(model);
  return 0;
}
