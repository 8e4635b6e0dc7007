#include "conform/conform.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "conform/trial.h"
#include "contract/text.h"

namespace greta::runner {
namespace {

std::vector<Check> all_checks() {
  std::vector<Check> out;
  for (const auto* group : {&describe_checks(), &run_checks(), &refusal_checks(), &repeat_checks(),
                            &process_checks()}) {
    out.insert(out.end(), group->begin(), group->end());
  }
  return out;
}

Result<> check_names(const std::vector<std::string>& only) {
  const auto known = conform_check_ids();
  for (const std::string& id : only) {
    if (std::find(known.begin(), known.end(), id) != known.end()) continue;
    return fail(Exit::usage, "--check: no check `" + printable(id) + "`" + did_you_mean(id, known));
  }
  return {};
}

const char* word(CheckState state) {
  switch (state) {
    case CheckState::pass:
      return "pass";
    case CheckState::fail:
      return "FAIL";
    case CheckState::skipped:
      break;
  }
  return "skipped";
}

}  // namespace

bool ConformReport::ok() const {
  return std::none_of(checks.begin(), checks.end(),
                      [](const CheckResult& one) { return one.state == CheckState::fail; });
}

std::vector<std::string> conform_check_ids() {
  std::vector<std::string> out;
  for (const Check& check : all_checks()) out.emplace_back(check.id);
  return out;
}

Result<ConformReport> conform(const ConformOptions& options, Progress& progress,
                              const Cancel& cancel,
                              const std::function<void(const CheckResult&)>& done) {
  TRY(check_names(options.only));
  TRY_ASSIGN(Subject subject, Subject::open(options, progress, cancel));
  Trial trial(subject);
  ConformReport report;
  report.engine = subject.name();
  report.where = subject.executor().version();
  for (const Check& check : all_checks()) {
    const auto& only = options.only;
    if (!only.empty() && std::find(only.begin(), only.end(), check.id) == only.end()) continue;
    if (check.contract && subject.adapted()) {
      ++report.not_asked;
      continue;
    }
    const auto step = progress.begin(check.id);
    TRY_ASSIGN(Outcome outcome, check.run(trial));
    report.checks.push_back({.id = check.id,
                             .what = check.what,
                             .section = check.section,
                             .state = outcome.state,
                             .reason = std::move(outcome.reason),
                             .expected = std::move(outcome.expected),
                             .got = std::move(outcome.got)});
    if (done) done(report.checks.back());
  }
  return report;
}

std::string conform_line(const CheckResult& check) {
  std::string out = std::string("  ") + word(check.state);
  out.resize(11, ' ');
  out += check.id;
  out.resize(31, ' ');
  out += check.what;
  if (check.state == CheckState::skipped) out += " (" + check.reason + ")";
  out += "\n";
  if (check.state != CheckState::fail) return out;
  const auto detail = [&out](const char* label, const std::string& text) {
    out += std::string(11, ' ') + label + text + "\n";
  };
  detail("expected  ", check.expected);
  detail("came      ", printable(check.got, 400));
  detail("see       ", "engine/ENGINE.md, \"" + check.section + "\"");
  return out;
}

std::string conform_summary(const ConformReport& report) {
  const auto count = [&](CheckState state) {
    return std::to_string(std::count_if(report.checks.begin(), report.checks.end(),
                                        [&](const auto& one) { return one.state == state; }));
  };
  return report.engine + " (" + report.where + "): " + count(CheckState::pass) + " passed, " +
         count(CheckState::fail) + " failed, " + count(CheckState::skipped) + " skipped" +
         (report.not_asked > 0
              ? ", " + std::to_string(report.not_asked) + " not asked behind an adapter"
              : "") +
         "\n";
}

std::string conform_json(const ConformReport& report) {
  nlohmann::ordered_json out = {{"engine", report.engine},
                                {"where", report.where},
                                {"ok", report.ok()},
                                {"not_asked", report.not_asked},
                                {"checks", nlohmann::ordered_json::array()}};
  for (const CheckResult& check : report.checks) {
    nlohmann::ordered_json one = {
        {"id", check.id},
        {"what", check.what},
        {"section", check.section},
        {"state", check.state == CheckState::fail ? "fail" : word(check.state)}};
    if (check.state == CheckState::skipped) one["reason"] = check.reason;
    if (check.state == CheckState::fail) {
      one["expected"] = check.expected;
      one["got"] = check.got;
    }
    out["checks"].push_back(std::move(one));
  }
  return out.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace greta::runner
