#include "diff/diff_one_sided.h"

#include <algorithm>
#include <cstdlib>
#include <set>

#include "compare/judge.h"
#include "contract/text.h"

namespace greta::store {

namespace {

// "layer 8–31": the values of the key that tells the lonely records apart, in few words.
std::string describe(const std::vector<const DiffRecord*>& records) {
  std::map<std::string, std::set<std::string>> values;
  std::set<std::string> prompts;
  for (const DiffRecord* record : records) {
    if (!record->prompt.empty()) prompts.insert(record->prompt);
    for (const auto& [column, value] : record->parts) {
      if (column != "step" || !record->parts.contains("phase")) values[column].insert(value);
    }
  }
  std::vector<std::string> parts;
  if (!prompts.empty()) parts.push_back("prompt " + joined({prompts.begin(), prompts.end()}, ", "));
  for (const auto& [column, all] : values) {
    std::vector<std::string> list(all.begin(), all.end());
    std::sort(list.begin(), list.end(), [](const std::string& x, const std::string& y) {
      return std::pair(std::atof(x.c_str()), x) < std::pair(std::atof(y.c_str()), y);
    });
    std::string text = joined(list, ", ");
    if (list.size() > 6) text = list.front() + " … " + list.back();
    parts.push_back(column + " " + text);
  }
  return parts.empty() ? "records" : joined(parts, "; ");
}

}  // namespace

void OneSidedNotes::say(OneSided what) {
  const bool known = std::any_of(said_.begin(), said_.end(), [&](const OneSided& other) {
    return other.kind == what.kind && other.side == what.side && other.what == what.what;
  });
  if (!known) said_.push_back(std::move(what));
}

void OneSidedNotes::arm(char side, const std::string& variant, int64_t records) {
  (side == 'a' ? records_a_ : records_b_) += records;
  arms_[{side, variant}] += records;
}

void OneSidedNotes::records(const KindInfo& kind, char side,
                            const std::vector<const DiffRecord*>& records) {
  if (records.empty()) return;
  const auto count = static_cast<int64_t>(records.size());
  (side == 'a' ? records_a_ : records_b_) += count;
  const std::string what = describe(records);
  for (OneSided& other : said_) {
    if (other.kind == kind.name && other.side == side && other.what == what) {
      other.records += count;  // the same in another arm
      return;
    }
  }
  said_.push_back(OneSided{kind.name, side, what, count});
}

OneSidedNotes::Kind& OneSidedNotes::of(const KindInfo& kind) {
  if (kinds_.empty() || kinds_.back().kind.name != kind.name) kinds_.push_back({kind, 0, {}});
  return kinds_.back();
}

void OneSidedNotes::matched(const KindInfo& kind) { ++of(kind).matched; }

void OneSidedNotes::field(const KindInfo& kind, size_t field, char side, const std::string& key) {
  Field& one = of(kind).fields[{side, field}];
  if (one.records++ == 0) one.first = key;
}

// Fields that a side never writes are listed together. One that was described with another type
// there has another column.
void OneSidedNotes::say_fields(const Kind& kind, Diff& diff) {
  const auto& fields = kind.kind.fields;
  std::map<char, std::vector<std::string>> whole;
  for (const auto& [at, one] : kind.fields) {
    const auto [side, index] = at;
    const FieldInfo& field = fields[index];
    if (is_result(field.role))
      (side == 'a' ? diff.figures_only_a : diff.figures_only_b) += one.records;
    const char other = side == 'a' ? 'b' : 'a';
    const auto twin = std::find_if(
        kind.fields.begin(), kind.fields.end(), [&, &index = index](const auto& another) {
          return another.first.first == other && another.first.second != index &&
                 fields[another.first.second].name == field.name;
        });
    if (twin != kind.fields.end()) {
      say({kind.kind.name, side,
           field.name + " as " + field.type + " (in " + (other == 'a' ? "A" : "B") + " it is " +
               fields[twin->first.second].type + "), so it is not compared",
           one.records == kind.matched ? 0 : one.records});
    } else if (one.records == kind.matched) {
      whole[side].push_back(field.column);
    } else if (is_result(field.role)) {
      say({kind.kind.name, side,
           field.column + (one.first.empty() ? "" : ", first at " + one.first), one.records});
    }
  }
  for (const auto& [side, names] : whole)
    say({kind.kind.name, side, "fields " + joined(names, ", "), 0});
}

void OneSidedNotes::finish(Diff& diff) {
  for (const Kind& kind : kinds_) say_fields(kind, diff);
  for (const auto& [arm, count] : arms_)
    said_.push_back(OneSided{"all kinds", arm.first, "variant " + arm.second, count});
  diff.only_a = records_a_;
  diff.only_b = records_b_;
  diff.one_sided = std::move(said_);
}

}  // namespace greta::store
