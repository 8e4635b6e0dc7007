// "B3.21", "B3.21@recorded", "B3.21@RUN", a run's name: which run is meant. 'B3.2*', 'B3.21@*',
// commit:abc123: which runs are.

#include <algorithm>
#include <map>
#include <set>

#include "contract/text.h"
#include "tables/store_impl.h"
#include "tables/views.h"

namespace greta::store {
namespace {

struct Candidate {
  int64_t id = 0;
  std::string name, milestone, provenance, status;
  bool accepted = false;
};

template <class... Texts>
Result<std::vector<Candidate>> candidates(Database& db, std::string_view where, Texts... values) {
  TRY_ASSIGN(Statement rows,
             db.prepare("SELECT id, name, milestone, provenance, " + std::string(kRunStatusSql) +
                        ", accepted FROM run r WHERE " + std::string(where) +
                        " ORDER BY started_at DESC, id DESC"));
  rows.bind_all(values...);
  std::vector<Candidate> out;
  while (true) {
    TRY_ASSIGN(const bool row, rows.step());
    if (!row) return out;
    out.push_back({.id = rows.integer(0),
                   .name = rows.string(1),
                   .milestone = rows.string(2),
                   .provenance = rows.string(3),
                   .status = rows.string(4),
                   .accepted = rows.integer(5) != 0});
  }
}

Selection selection(const Candidate& c, Selection::Why why) {
  return {.run = c.id,
          .name = c.name,
          .milestone = c.milestone,
          .provenance = c.provenance,
          .why = why};
}

// What there is instead, for the message: "it has 1 recorded (B3.21@recorded), 2 failed".
std::string inventory(const std::string& milestone, const std::vector<Candidate>& runs) {
  std::vector<std::pair<std::string, int>> counts;
  for (const Candidate& run : runs) {
    std::string what = run.status;
    if (run.provenance == "recorded") what = "recorded (" + milestone + "@recorded)";
    if (run.provenance == "reenacted") what = "reenacted";
    const auto it = std::find_if(counts.begin(), counts.end(),
                                 [&](const auto& count) { return count.first == what; });
    if (it == counts.end()) {
      counts.emplace_back(what, 1);
    } else {
      ++it->second;
    }
  }
  std::string out;
  for (const auto& [what, count] : counts)
    out += (out.empty() ? "" : ", ") + std::to_string(count) + " " + what;
  return out;
}

Result<std::vector<std::string>> known_names(Database& db) {
  TRY_ASSIGN(Statement rows, db.prepare("SELECT milestone FROM run UNION SELECT name FROM run"));
  std::vector<std::string> out;
  while (true) {
    TRY_ASSIGN(const bool row, rows.step());
    if (!row) return out;
    out.push_back(rows.string(0));
  }
}

Result<Selection> select_milestone(const std::string& milestone,
                                   const std::vector<Candidate>& runs) {
  for (const Candidate& run : runs)
    if (run.accepted) return selection(run, Selection::Why::accepted);
  // A fault injected on purpose never stands for a milestone that really ran.
  for (const std::string_view provenance : {"executed", "reenacted"}) {
    for (const Candidate& run : runs)
      if (run.provenance == provenance && run.status == "complete")
        return selection(run, Selection::Why::latest);
  }
  std::string latest;
  for (const Candidate& run : runs) {
    if (run.provenance == "recorded") continue;
    latest = "; the latest is " + run.name;
    break;
  }
  return fail(Exit::usage, "milestone `" + printable(milestone) +
                               "` has no complete executed run; " + "it has " +
                               inventory(milestone, runs) + latest);
}

Result<Selection> select_prefix(Database& db, const std::string& prefix,
                                const std::string& milestone, std::string_view selector) {
  TRY_ASSIGN(const auto all, candidates(db, "substr(name, 1, length(?1)) = ?1", prefix));
  std::vector<Candidate> matches;
  for (const Candidate& run : all) {
    if (!milestone.empty() && run.milestone != milestone) continue;
    if (run.name == prefix) return selection(run, Selection::Why::exact);
    matches.push_back(run);
  }
  if (matches.size() == 1) return selection(matches[0], Selection::Why::exact);
  if (matches.empty()) {
    TRY_ASSIGN(const auto names, known_names(db));
    const std::string near = did_you_mean(selector, names);
    return fail(Exit::usage, "no run or milestone `" + printable(selector) + "`" +
                                 (names.empty() ? "; the store holds no runs" : near));
  }
  std::string list;
  for (const Candidate& run : matches) list += (list.empty() ? "" : ", ") + run.name;
  return fail(Exit::usage, "`" + printable(selector) + "` may be " + printable(list, 400));
}

constexpr std::string_view kCommit = "commit:", kRecorded = "recorded";

bool is_glob(std::string_view text) { return text.find_first_of("*?[") != std::string_view::npos; }

std::vector<Selection> complete_ones(const std::vector<Candidate>& runs) {
  std::vector<Selection> out;
  for (const Candidate& run : runs)
    if (run.status == "complete") out.push_back(selection(run, Selection::Why::exact));
  return out;
}

// The run that stands for each milestone; those that have none are left out.
Result<std::vector<Selection>> standing_runs(Database& db, std::string_view milestones) {
  TRY_ASSIGN(const auto runs, candidates(db, "purpose = 'run' AND milestone GLOB ?", milestones));
  std::map<std::string, std::vector<Candidate>> by_milestone;
  for (const Candidate& run : runs) by_milestone[run.milestone].push_back(run);
  std::vector<Selection> out;
  for (const auto& [milestone, its] : by_milestone)
    if (const auto chosen = select_milestone(milestone, its)) out.push_back(*chosen);
  return out;
}

Result<std::vector<Selection>> runs_of_commit(Store& store, const std::string& commit) {
  TRY_ASSIGN(const auto runs,
             store.list({.status = "complete", .provenance = "executed", .commit = commit}));
  std::vector<Selection> out;
  for (const RunSummary& run : runs) {
    if (run.purpose != "run") continue;
    out.push_back(
        {.run = run.id, .name = run.run, .milestone = run.milestone, .provenance = run.provenance});
  }
  return out;
}

// The newest recorded figures of each milestone.
Result<std::vector<Selection>> recorded_runs(Database& db, std::string_view milestones) {
  TRY_ASSIGN(const auto runs,
             candidates(db, "provenance = 'recorded' AND milestone GLOB ?", milestones));
  std::vector<Selection> out;
  std::set<std::string> known;
  for (const Candidate& run : runs)
    if (known.insert(run.milestone).second) out.push_back(selection(run, Selection::Why::exact));
  return out;
}

Result<std::vector<Selection>> matching_runs(Store& store, Database& db,
                                             const std::string& selector) {
  if (selector.starts_with(kCommit)) {
    const std::string commit = selector.substr(kCommit.size());
    if (commit.empty())
      return fail(Exit::usage, "`commit:`: the first digits of a commit after it");
    return runs_of_commit(store, commit);
  }
  const size_t at = selector.find('@');
  if (at == std::string::npos) return standing_runs(db, selector);
  const std::string milestones = selector.substr(0, at), names = selector.substr(at + 1);
  if (names == kRecorded) return recorded_runs(db, milestones);
  TRY_ASSIGN(const auto runs,
             candidates(db,
                        "purpose = 'run' AND provenance = 'executed' AND milestone GLOB ?"
                        " AND name GLOB ?",
                        milestones, names));
  return complete_ones(runs);
}

Result<std::vector<Selection>> select_part(Store& store, Database& db,
                                           const std::string& selector) {
  if (!is_glob(selector) && !selector.starts_with(kCommit)) {
    TRY_ASSIGN(const Selection one, store.select(selector));
    return std::vector{one};
  }
  TRY_ASSIGN(auto out, matching_runs(store, db, selector));
  if (!out.empty()) return out;
  TRY_ASSIGN(const auto names, known_names(db));
  return fail(Exit::usage,
              "no complete run matches `" + printable(selector) + "`" +
                  (names.empty() ? "; the store holds no runs" : did_you_mean(selector, names)));
}

}  // namespace

Result<std::vector<Selection>> Store::select_all(std::string_view selectors) {
  std::vector<Selection> out;
  std::set<int64_t> known;
  while (true) {
    const size_t comma = selectors.find(',');
    TRY_ASSIGN(const auto part,
               select_part(*this, impl_->db, std::string(selectors.substr(0, comma))));
    for (const Selection& one : part)
      if (known.insert(one.run).second) out.push_back(one);
    if (comma == std::string_view::npos) return out;
    selectors.remove_prefix(comma + 1);
  }
}

Result<Selection> Store::select(std::string_view selector) {
  Database& db = impl_->db;
  if (selector.empty()) return fail(Exit::usage, "an empty name selects no run");
  TRY_ASSIGN(const auto runs, candidates(db, "purpose = 'run' AND milestone = ?", selector));
  if (!runs.empty()) return select_milestone(std::string(selector), runs);

  const size_t at = selector.find('@');
  if (at == std::string_view::npos) return select_prefix(db, std::string(selector), "", selector);
  const std::string milestone(selector.substr(0, at));
  const std::string rest(selector.substr(at + 1));
  if (rest.empty()) return fail(Exit::usage, "`" + printable(selector) + "`: a run after the @");
  if (rest != "recorded") return select_prefix(db, rest, milestone, selector);
  TRY_ASSIGN(const auto recorded,
             candidates(db, "provenance = 'recorded' AND milestone = ?", milestone));
  if (!recorded.empty()) {
    return selection(recorded[0], recorded.size() == 1 ? Selection::Why::exact
                                                       : Selection::Why::latest_recorded);
  }
  TRY_ASSIGN(const auto others, candidates(db, "milestone = ?", milestone));
  return fail(Exit::usage, "no recorded figures of milestone `" + printable(milestone) +
                               "` in the store" +
                               (others.empty() ? "" : "; it has " + inventory(milestone, others)));
}

Result<int64_t> Store::resolve(std::string_view selector) {
  TRY_ASSIGN(const Selection selection, select(selector));
  return selection.run;
}

Result<> Store::accept(std::string_view selector) {
  TRY(impl_->must_write());
  Database& db = impl_->db;
  TRY_ASSIGN(Transaction transaction, Transaction::begin(db));
  TRY_ASSIGN(const Selection chosen, select(selector));
  TRY_ASSIGN(const auto run, candidates(db, "name = ?", chosen.name));
  if (run[0].provenance != "executed" || run[0].status != "complete") {
    return fail(Exit::usage, "run " + chosen.name + " is " + run[0].provenance + " and " +
                                 run[0].status + "; only a complete executed run can be accepted");
  }
  TRY_ASSIGN(Statement clear, db.prepare("UPDATE run SET accepted = 0 WHERE milestone = ?"));
  TRY(clear.bind_all(chosen.milestone).run());
  TRY_ASSIGN(Statement set, db.prepare("UPDATE run SET accepted = 1 WHERE id = ?"));
  TRY(set.bind_all(chosen.run).run());
  return transaction.commit();
}

}  // namespace greta::store
