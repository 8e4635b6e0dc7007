#pragma once
// What is refused while the command line is read: a filter that would filter nothing.

#include <CLI/CLI.hpp>

namespace greta::runner {

// Of one name, and of "a,b": an empty one is what a shell makes of a variable that is not set, and
// would stand for everything.
CLI::Validator not_empty();
CLI::Validator no_empty_part();
// A whole number, 0 or more.
CLI::Validator not_negative();

}  // namespace greta::runner
