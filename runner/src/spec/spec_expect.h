#pragma once
// The `expect` list: each entry becomes a store::Gate of exactly one form.

#include <string>
#include <utility>
#include <vector>

#include "spec/yaml_node.h"
#include "store/gates.h"

namespace greta::runner {

enum class RecordsKnown {
  yes,
  no
};  // are the record kinds greta's own? (else unknown names are no mistakes)

// The axes of the matrix with their values, in file order.
using Matrix = std::vector<std::pair<std::string, std::vector<std::string>>>;

// `across` names axes of the matrix, `ratio_to` and `within_floor_of` may choose one of its arms.
// Mistakes: no or several forms, a key that the form has no use for, ids given twice, metrics that
// are not `kind.field`, bounds that are no one comparison and no range, SQL that is none or writes,
// a field that a record of greta's does not have. Warnings: a kind that greta's engine does not
// write, `all` over what is no boolean, a timing compared with a number, a run whose name is nearly
// `baseline`; of another engine, fields that greta's record lacks.
std::vector<store::Gate> read_expect(const YamlNode& list, const Matrix& matrix,
                                     RecordsKnown records, Problems& problems,
                                     std::vector<std::string>& warnings);

}  // namespace greta::runner
