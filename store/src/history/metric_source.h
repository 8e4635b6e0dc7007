#pragma once
// Which record kinds have a metric.

#include <string_view>
#include <vector>

#include "store/metric.h"

namespace greta::store {

// Kinds without any record are left out where others have some.
Result<std::vector<MetricSource>> metric_sources(Store& store, std::string_view metric);

// Their kinds by name: "landscape, readout"; of very many some, and how many more.
std::string kinds_text(const std::vector<MetricSource>& sources);
bool is_number_type(std::string_view type);  // integer, real, number
const std::string* column_type(const MetricSource& source, std::string_view column);
// Every column that a filter or `by` may name: those that all kinds have, then the fields.
std::vector<std::string> column_names(const MetricSource& source);

}  // namespace greta::store
