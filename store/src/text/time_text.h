#pragma once
// Times of the store: UTC, ISO 8601, milliseconds.

#include <string>

namespace greta::store {

std::string utc_now();        // "2026-02-03T10:00:00.123Z"
std::string utc_now_basic();  // "20260203T100000Z", for names

}  // namespace greta::store
