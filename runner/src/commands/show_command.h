#pragma once

#include "system/context.h"

namespace greta::runner {

// greta show RUN; registered together with `list`.
void register_show(CLI::App& app, Context& context);

}  // namespace greta::runner
