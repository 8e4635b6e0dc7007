// A gate before anything ran: against a store that knows the built-in record kinds and holds
// nothing. Queries are prepared, never stepped.

#include <algorithm>
#include <set>

#include "contract/text.h"
#include "db/sqlite.h"
#include "gates/gates_across.h"
#include "gates/gates_bounds.h"
#include "gates/gates_ratio.h"
#include "store/gates.h"
#include "tables/store_impl.h"
#include "tables/views.h"

namespace greta::store {

namespace {

constexpr int64_t kRun = 0;  // a run in scope, so that what gates must not say is refused: `main.`

class Checker {
 public:
  Checker(Store& store, const std::vector<KindInfo>& kinds) : input_{store, kRun, kinds} {}

  std::vector<GateMistake> check(size_t number, const Gate& gate) {
    found_.clear();
    number_ = number;
    if (gate.form == Gate::Form::sql) {
      check_sql(gate);
    } else {
      check_record_gate(gate);
    }
    drop_stand_ins();
    return std::move(found_);
  }

 private:
  using What = GateMistake::What;

  void add(const std::string& key, std::string message, What what) {
    found_.push_back(GateMistake{number_, key, std::move(message), what});
  }

  // A kind that nobody knows yet: what a foreign engine may bring.
  bool stand_in(const std::string& name, const std::vector<std::string>& columns) {
    std::set<std::string> taken;
    std::string list;
    const auto add_column = [&](std::string_view column) {
      std::string lower(column);
      for (char& c : lower)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
      if (taken.insert(lower).second) list += (list.empty() ? "" : ", ") + quoted_name(column);
    };
    for (const std::string_view column : kContextColumns) add_column(column);
    for (const std::string& column : columns) add_column(column);
    const std::string sql = "CREATE TEMP TABLE " + quoted_name(name) + " (" + list + ")";
    if (!input_.store.impl().reader->execute(sql)) return false;
    stand_ins_.push_back(name);
    return true;
  }
  void drop_stand_ins() {
    for (const std::string& name : stand_ins_)
      (void)input_.store.impl().reader->execute("DROP TABLE temp." + quoted_name(name));
    stand_ins_.clear();
  }

  // Runs `prepare` until it finds no more unknown tables; then its error, if one remains.
  template <class Prepare>
  void judge(const std::string& key, const Prepare& prepare) {
    constexpr std::string_view kNoTable = "no such table: ";
    constexpr std::string_view kNoColumn = "no such column: ";
    constexpr int kMostTables = 50;
    for (int tries = 0; tries < kMostTables; ++tries) {
      const Result<> prepared = prepare();
      if (prepared) return;
      const Error& error = prepared.error();
      std::string message = error.message;
      if (const std::string prefix = "`" + key + "`: "; message.starts_with(prefix))
        message.erase(0, prefix.size());
      if (message.starts_with(kNoTable)) {
        std::string name = message.substr(kNoTable.size());
        name = name.substr(0, name.find(" (did you mean"));
        if (name.find('.') == std::string::npos && stand_in(name, {})) {
          add(key, "no record kind or view `" + printable(name) + "`" + hint_of(message),
              What::unknown_kind);
          continue;
        }
      }
      // A column may be one of the kinds that nobody knows.
      const bool unknown = message.starts_with(kNoColumn);
      if (unknown && !stand_ins_.empty()) return;
      if (error.line > 0) {
        message += ", at " + (error.line == 1 ? "" : "line " + std::to_string(error.line) + ", ") +
                   "column " + std::to_string(error.column) + " of the SQL";
      }
      return add(key, message, unknown ? What::unknown_name : What::wrong);
    }
  }
  static std::string hint_of(const std::string& message) {
    const size_t at = message.find(" (did you mean");
    return at == std::string::npos ? "" : message.substr(at);
  }

  void check_sql(const Gate& gate) {
    const RowSink nothing{.columns = [](const std::vector<std::string>&) { return false; },
                          .row = [](const std::vector<Value>&) { return false; }};
    judge("sql", [&] { return input_.store.query(gate.sql, input_.run, nothing); });
  }

  void check_record_gate(const Gate& gate) {
    std::string kind_name = gate.kind;
    std::vector<std::string> fields;
    for (const std::string& path : gate.fields) {
      const size_t dot = path.find('.');
      kind_name = path.substr(0, dot);
      fields.push_back(dot == std::string::npos ? "" : path.substr(dot + 1));
    }
    if (fields.empty()) fields.push_back(gate.field);

    const auto known = std::find_if(
        input_.kinds.begin(), input_.kinds.end(),
        [&](const KindInfo& kind) { return kind.name == kind_name || kind.view == kind_name; });
    KindInfo unknown{kind_name, kind_name, {}};
    const bool is_known = known != input_.kinds.end();
    if (!is_known) {
      std::vector<std::string> columns = fields;
      columns.insert(columns.end(), gate.per.begin(), gate.per.end());
      for (const Bound& bound : gate.bounds)
        if (!bound.limit_field.empty()) columns.push_back(bound.limit_field);
      for (const std::string& column : columns) unknown.fields.push_back({column, "number"});
      if (!stand_in(kind_name, columns)) return;
    }
    const KindInfo& kind = is_known ? *known : unknown;

    Gate bare = gate;
    bare.where.clear();
    bare.per.clear();
    if (const auto scope = KindScope::make(input_, kind, bare)) {
      const std::string key = gate.form == Gate::Form::distinct ? "distinct" : "metric";
      for (const std::string& field : fields) check_field(*scope, key, field);
      for (const Bound& bound : gate.bounds)
        if (!bound.limit_field.empty()) check_field(*scope, bound.compare, bound.limit_field);
      check_partner(*scope);
    }
    Gate grouped = bare;
    grouped.per = gate.per;
    const auto add_per = [&](std::string message, What what) {
      if (message.starts_with("`per`: ")) message.erase(0, 7);
      add("per", std::move(message), what);
    };
    if (const auto scope = KindScope::make(input_, kind, grouped); !scope) {
      add_per(scope.error().message, What::unknown_name);
    } else if (const auto keys = check_pair_keys(*scope); is_known && !keys) {
      add_per(keys.error().message, What::wrong);
    }
    Gate conditional = bare;
    conditional.where = gate.where;
    judge("where", [&]() -> Result<> {
      TRY(KindScope::make(input_, kind, conditional));
      return {};
    });
  }

  void check_field(const KindScope& scope, const std::string& key, const std::string& field) {
    if (const auto known = scope.check_field(field); !known)
      add(key, known.error().message, What::unknown_name);
  }

  void check_partner(const KindScope& scope) {
    const Gate& gate = scope.gate;
    if (gate.partner.what == Partner::What::none) return;
    Result<> checked;
    if (gate.form == Gate::Form::floor) {
      checked = check_floor(scope);
    } else if (const auto bounds = GateBounds::of(gate)) {
      checked = check_ratio(scope, *bounds);
    }
    if (!checked) add("metric", checked.error().message, What::wrong);
  }

  GateInput input_;
  size_t number_ = 0;
  std::vector<GateMistake> found_;
  std::vector<std::string> stand_ins_;
};

}  // namespace

Result<std::vector<GateMistake>> check_gates(const std::vector<Gate>& gates) {
  std::vector<GateMistake> out;
  if (gates.empty()) return out;
  TRY_ASSIGN(Store store, Store::in_memory());
  TRY_ASSIGN(auto kinds, load_kinds(store));
  kinds.push_back(cells_kind());
  TRY(store.query("SELECT 1 FROM cells", kRun));  // makes the views of the run
  Checker checker(store, kinds);
  for (size_t i = 0; i < gates.size(); ++i)
    for (GateMistake& mistake : checker.check(i, gates[i])) out.push_back(std::move(mistake));
  return out;
}

}  // namespace greta::store
