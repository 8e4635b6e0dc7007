#pragma once
// The `expect` list: each entry becomes a store::Gate of exactly one form.

#include <string>
#include <vector>

#include "spec/yaml_node.h"
#include "store/gates.h"

namespace greta::runner {

enum class RecordsKnown {
  yes,
  no
};  // are the record kinds greta's own? (else unknown names are no mistakes)

// `axes` are the names of the matrix, which `across` may name. Mistakes: no or several forms, a key
// that the form has no use for, ids given twice, metrics that are not `kind.field`, SQL that is
// none or writes, a field that a record of greta's does not have. Warnings: a kind that greta's
// engine does not write, `all` over what is no boolean; of another engine, fields that greta's
// record lacks.
std::vector<store::Gate> read_expect(const YamlNode& list, const std::vector<std::string>& axes,
                                     RecordsKnown records, Problems& problems,
                                     std::vector<std::string>& warnings);

}  // namespace greta::runner
