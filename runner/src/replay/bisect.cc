#include "replay/bisect.h"

#include <algorithm>
#include <set>

#include "build/git.h"
#include "build/source.h"
#include "contract/text.h"
#include "replay/earlier_run.h"
#include "spec/spec_matrix.h"

namespace greta::runner {
namespace {

constexpr size_t kShortCommit = 12;

// One side: a run, and the variant of it that was chosen (none: all of them).
struct End {
  EarlierRun run;
  store::Side side;
  std::vector<Variant> variants;
};

Result<End> read_end(store::Store& store, const std::string& selector) {
  TRY_ASSIGN(const store::SideName name, store::parse_side(selector));
  End end;
  TRY_ASSIGN(end.run, earlier_run(store, name.run));
  end.side = {{end.run.id}, name.arms};
  TRY_ASSIGN(const auto variants, expand_variants(end.run.spec));
  for (const Variant& variant : variants) {
    const bool chosen = std::all_of(name.arms.begin(), name.arms.end(), [&](const auto& arm) {
      const auto axis = variant.axes.find(arm.first);
      return axis != variant.axes.end() && axis->second == arm.second;
    });
    if (chosen) end.variants.push_back(variant);
  }
  if (end.variants.empty()) {
    return fail(Exit::usage, "`" + printable(selector) + "` chooses no variant of " + end.run.name);
  }
  return end;
}

// What of a variant can be set, by name.
std::map<std::string, std::string> settings_of(const Variant& variant) {
  std::map<std::string, std::string> out = variant.flags;
  out["decode.backend"] = variant.decode.backend;
  out["decode.numerics"] = variant.decode.numerics;
  out["decode.kv_type"] = variant.decode.kv_type;
  out["decode.threads"] = std::to_string(variant.decode.threads);
  out["decode.max_tokens"] = std::to_string(variant.decode.max_tokens);
  return out;
}

void apply(const Setting& setting, const std::string& value, Spec& spec) {
  DecodeSettings& decode = spec.decode;
  if (setting.name == "decode.backend") {
    decode.backend = value;
  } else if (setting.name == "decode.numerics") {
    decode.numerics = value;
  } else if (setting.name == "decode.kv_type") {
    decode.kv_type = value;
  } else if (setting.name == "decode.threads") {
    decode.threads = std::stoll(value);
  } else if (setting.name == "decode.max_tokens") {
    decode.max_tokens = std::stoll(value);
  } else if (value.empty()) {
    spec.flags.erase(setting.name);
  } else {
    spec.flags[setting.name] = value;
  }
}

std::vector<Setting> differing_settings(const Variant& good, const Variant& bad) {
  const auto a = settings_of(good), b = settings_of(bad);
  std::vector<Setting> out;
  std::set<std::string> names;
  for (const auto& [name, value] : a) names.insert(name);
  for (const auto& [name, value] : b) names.insert(name);
  for (const auto& name : names) {
    const auto then = a.find(name), now = b.find(name);
    Setting setting{.name = name,
                    .good = then == a.end() ? "" : then->second,
                    .bad = now == b.end() ? "" : now->second};
    if (setting.good != setting.bad) out.push_back(std::move(setting));
  }
  return out;
}

// The same variants with the same settings, whatever the commits.
bool same_settings(const End& good, const End& bad) {
  if (good.variants.size() != bad.variants.size()) return false;
  for (size_t i = 0; i < good.variants.size(); ++i) {
    if (good.variants[i].name != bad.variants[i].name ||
        !differing_settings(good.variants[i], bad.variants[i]).empty()) {
      return false;
    }
  }
  return true;
}

std::string commit_of(const End& end, size_t engine) {
  return pin_of(end.run.lock.engines.at(engine)).commit;
}

bool is_dirty(const End& end, size_t engine) {
  const auto dirty = end.run.lock.engines.at(engine).facts.find("dirty");
  return dirty != end.run.lock.engines.at(engine).facts.end() && dirty->second == "true";
}

class Bisection {
 public:
  Bisection(const Context& context, const BisectOptions& options, store::Store& store, End good,
            End bad, Judge judge, Progress& progress, const Cancel& cancel)
      : context_(context),
        options_(options),
        store_(store),
        good_(std::move(good)),
        bad_(std::move(bad)),
        judge_(std::move(judge)),
        progress_(progress),
        cancel_(cancel) {}

  Result<Bisected> run() {
    out_.how = judge_.how();
    TRY_ASSIGN(const auto moved, moved_engine());
    const bool settings = !same_settings(good_, bad_);
    if (!moved && !settings) {
      return fail(Exit::not_comparable,
                  "the two runs have the same commit and the same settings: what differs is of the "
                  "machine or the image (greta diff " +
                      good_.run.name + " " + bad_.run.name + ")");
    }
    if (!moved) {
      TRY(search_settings());
      return std::move(out_);
    }
    if (settings) {
      // First whether the bad run's settings are bad at the good commit already.
      TRY_ASSIGN(const Judged early, probe_commit(*moved, commit_of(good_, *moved)));
      if (early.judgement == Judgement::bad) {
        TRY(search_settings());
        return std::move(out_);
      }
      if (early.judgement == Judgement::unknown) {
        return fail(Exit::not_comparable,
                    "commit and settings differ, and the bad run's settings cannot be judged at "
                    "the good commit: " +
                        early.why);
      }
    }
    TRY(search_commits(*moved));
    return std::move(out_);
  }

 private:
  // The engine whose commit differs. Nothing: none does.
  Result<std::optional<size_t>> moved_engine() const {
    const auto& a = good_.run.lock.engines;
    const auto& b = bad_.run.lock.engines;
    if (a.size() != b.size()) {
      return fail(Exit::not_comparable,
                  "the two runs have other engines: name one of each, as in "
                  "RUN#engine=NAME");
    }
    std::optional<size_t> moved;
    for (size_t i = 0; i < a.size(); ++i) {
      if (commit_of(good_, i) == commit_of(bad_, i) && pin_of(a[i]).tree == pin_of(b[i]).tree) {
        continue;
      }
      for (const End* end : {&good_, &bad_}) {
        if (!is_dirty(*end, i)) continue;
        return fail(Exit::not_comparable,
                    end->run.name +
                        " ran a changed working tree, which is no commit to walk from: "
                        "commit it and run it again");
      }
      if (moved) return fail(Exit::not_comparable, "the commits of two engines differ");
      moved = i;
    }
    return moved;
  }

  Result<Judged> probe(RunTask task, const std::string& what) {
    task.purpose = "probe";
    RunOptions run;
    run.executor = options_.executor.empty() ? bad_.run.lock.executor : options_.executor;
    run.jobs = options_.jobs;
    auto step = progress_.begin("probing " + what);
    Probe probe{.what = what, .run = {}, .judged = {}};
    const auto done = run_task(context_, run, std::move(task), progress_, cancel_);
    if (cancel_.requested()) return fail(Exit::interrupted, "interrupted");
    if (done) {
      probe.run = done->run;
      TRY_ASSIGN(const int64_t id, store_.resolve(done->run));
      TRY_ASSIGN(probe.judged, judge_.judge(store_, id));
    } else {
      const std::string why = done.error().message;
      probe.judged.why = why.substr(0, why.find('\n'));
    }
    step.done(what + ": " + to_string(probe.judged.judgement) + " (" + probe.judged.why + ")");
    out_.probes.push_back(probe);
    return probe.judged;
  }

  // The bad run's cells with its engine at another commit.
  Result<Judged> probe_commit(size_t engine, const std::string& commit) {
    RunTask task;
    task.spec = bad_.run.spec;
    task.spec.engines.at(engine).commit = commit;
    for (size_t i = 0; i < task.spec.engines.size(); ++i) {
      if (i != engine && !commit_of(bad_, i).empty()) {
        task.spec.engines[i].commit = commit_of(bad_, i);
      }
    }
    for (const auto& cell : bad_.run.cells) {
      if (has_variant(std::get<0>(cell))) task.cells.insert(cell);
    }
    TRY_ASSIGN(const std::string subject, subject_of(engine, commit));
    return probe(std::move(task), "commit " + commit.substr(0, kShortCommit) + " " + subject);
  }

  bool has_variant(const std::string& name) const {
    return std::any_of(bad_.variants.begin(), bad_.variants.end(),
                       [&](const Variant& variant) { return variant.name == name; });
  }

  Result<std::filesystem::path> repository(size_t engine) {
    if (top_.empty()) {
      TRY_ASSIGN(const Layout layout, make_layout(context_.find_store()));
      EngineSpec at = bad_.run.spec.engines.at(engine);
      at.commit = commit_of(bad_, engine);
      const auto source = resolve_source(at, bad_.run.spec.root, layout, cancel_);
      if (!source) return tl::unexpected(as_not_replayable(source.error(), bad_.run.name));
      top_ = source->top;
    }
    return top_;
  }

  Result<std::string> subject_of(size_t engine, const std::string& commit) {
    TRY_ASSIGN(const auto top, repository(engine));
    TRY_ASSIGN(const std::string text, git(top, {"log", "-1", "--format=%s", commit}, cancel_));
    return printable(without_newline(text), 60);
  }

  // Commits that may be the first bad one, the best to ask first; the bad one is the last.
  Result<std::vector<std::string>> candidates(size_t engine, const std::string& bad,
                                              const std::set<std::string>& good) {
    TRY_ASSIGN(const auto top, repository(engine));
    std::vector<std::string> words = {"rev-list", "--bisect-all", bad, "--not"};
    words.insert(words.end(), good.begin(), good.end());
    TRY_ASSIGN(const std::string text, git(top, words, cancel_));
    std::vector<std::string> out;
    for (const auto& line : split(text, '\n')) out.push_back(line.substr(0, line.find(' ')));
    return out;
  }

  Result<> search_commits(size_t engine) {
    TRY_ASSIGN(const auto top, repository(engine));
    std::set<std::string> good = {commit_of(good_, engine)}, unknown;
    std::string bad = commit_of(bad_, engine);
    if (!git(top, {"merge-base", "--is-ancestor", *good.begin(), bad}, cancel_)) {
      return fail(Exit::usage, "the good commit " + good.begin()->substr(0, kShortCommit) +
                                   " is no ancestor of the bad one, " +
                                   bad.substr(0, kShortCommit));
    }
    while (true) {
      TRY_ASSIGN(const auto left, candidates(engine, bad, good));
      const auto next = std::find_if(left.begin(), left.end(), [&](const std::string& commit) {
        return commit != bad && !unknown.contains(commit);
      });
      if (next == left.end()) {
        if (left.size() > 1) {
          out_.left = left;  // some of them could not be judged
        } else {
          out_.found = Bisected::Found::commit;
          out_.commit = bad;
          TRY_ASSIGN(out_.subject, subject_of(engine, bad));
        }
        return {};
      }
      const std::string commit = *next;
      TRY_ASSIGN(const Judged judged, probe_commit(engine, commit));
      if (judged.judgement == Judgement::bad) bad = commit;
      if (judged.judgement == Judgement::good) good.insert(commit);
      if (judged.judgement == Judgement::unknown) unknown.insert(commit);
    }
  }

  Result<> search_settings() {
    if (good_.variants.size() != 1 || bad_.variants.size() != 1) {
      return fail(
          Exit::usage,
          "settings are searched between two variants: name one of each run, as in "
          "RUN#" +
              (bad_.variants[0].axes.empty() ? std::string("AXIS=VALUE") : bad_.variants[0].name));
    }
    const Variant &from = good_.variants[0], &to = bad_.variants[0];
    if (!same_program(from.engine, to.engine)) {
      return fail(Exit::not_comparable, "the two variants run on other engines");
    }
    const auto deltas = differing_settings(from, to);
    TRY_ASSIGN(const auto smallest,
               smallest_bad_set(deltas.size(), [&](const std::vector<size_t>& set) {
                 return is_bad(deltas, set);
               }));
    out_.found = Bisected::Found::settings;
    for (const size_t i : smallest) out_.settings.push_back(deltas[i]);
    return {};
  }

  // Two engines of the spec may be one program with other flags.
  bool same_program(size_t good, size_t bad) const {
    const EngineSpec &a = good_.run.spec.engines.at(good), &b = bad_.run.spec.engines.at(bad);
    const EnginePin then = pin_of(good_.run.lock.engines.at(good));
    const EnginePin now = pin_of(bad_.run.lock.engines.at(bad));
    return a.adapter.sha256 == b.adapter.sha256 && a.program == b.program &&
           then.tree == now.tree && then.binary_sha256 == now.binary_sha256;
  }

  // The good variant with these of the settings as the bad one has them.
  Result<bool> is_bad(const std::vector<Setting>& deltas, const std::vector<size_t>& set) {
    if (set.size() == deltas.size()) return true;
    const Variant& from = good_.variants[0];
    RunTask task;
    task.spec = good_.run.spec;
    task.spec.engines = {task.spec.engines.at(from.engine)};
    task.spec.engines[0].name.clear();
    task.pins = {pin_of(good_.run.lock.engines.at(from.engine))};
    task.spec.matrix.clear();
    task.spec.include.clear();
    task.spec.exclude.clear();
    task.spec.flags = from.flags;
    task.spec.decode = from.decode;
    const auto decides = [&](const store::Gate& gate) {
      const auto& gates = judge_.gates();
      return std::find(gates.begin(), gates.end(), gate.id) != gates.end();
    };
    std::erase_if(task.spec.expect, [&](const auto& gate) { return !decides(gate); });
    std::string what;
    for (const size_t i : set) {
      apply(deltas[i], deltas[i].bad, task.spec);
      what += (what.empty() ? "" : ", ") + deltas[i].name + "=" + deltas[i].bad;
    }
    TRY_ASSIGN(const Judged judged, probe(std::move(task), what));
    return judged.judgement == Judgement::bad;
  }

  const Context& context_;
  const BisectOptions& options_;
  store::Store& store_;
  End good_, bad_;
  Judge judge_;
  Progress& progress_;
  const Cancel& cancel_;
  std::filesystem::path top_;  // of the repository, once asked
  Bisected out_;
};

}  // namespace

Result<Bisected> bisect(const Context& context, const BisectOptions& options, Progress& progress,
                        const Cancel& cancel) {
  TRY_ASSIGN(store::Store store, context.open_store(store::Access::read_write));
  TRY_ASSIGN(End good, read_end(store, options.good));
  TRY_ASSIGN(End bad, read_end(store, options.bad));
  TRY_ASSIGN(Judge judge, Judge::between(store, good.side, bad.side, options.gate));
  return Bisection(context, options, store, std::move(good), std::move(bad), std::move(judge),
                   progress, cancel)
      .run();
}

}  // namespace greta::runner
