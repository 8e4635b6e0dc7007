#include "spec/plan.h"

#include "spec/identity.h"
#include "spec/matrix.h"

namespace greta::runner {

Result<Plan> make_plan(const Spec& spec, const ResolvedInputs& inputs) {
  Plan plan;
  TRY_ASSIGN(plan.variants, expand_variants(spec));
  const auto repeats = static_cast<size_t>(spec.repeat);
  if (spec.prompts.size() > kMostCells / plan.variants.size() / repeats) {
    return tl::unexpected<Error>(
        Error{.message = "the plan has more than " + std::to_string(kMostCells) + " cells",
              .file = spec.file.string()});
  }
  plan.cells.reserve(plan.variants.size() * repeats * spec.prompts.size());
  for (size_t variant = 0; variant < plan.variants.size(); ++variant) {
    const IdentityMaker identity(spec, inputs, plan.variants[variant]);
    for (int64_t repeat = 0; repeat < spec.repeat; ++repeat) {
      for (size_t prompt = 0; prompt < spec.prompts.size(); ++prompt) {
        if (prompt == 0 || spec.isolation == Isolation::request) plan.attempts.emplace_back();
        plan.attempts.back().push_back(plan.cells.size());
        Cell cell;
        cell.variant = variant;
        cell.prompt = prompt;
        cell.repeat = repeat;
        identity.fill(cell);
        plan.cells.push_back(std::move(cell));
      }
    }
  }
  return plan;
}

}  // namespace greta::runner
