#include "core/algorithms/hierarchical_shrinkage/progress.h"

#include <algorithm>

namespace trainyard {

JobProgress::JobProgress(TrainingContext& context, const Plan& plan)
    : context_(context), plan_(plan) {
  const double folds = plan.folds;
  fold_cost_ = folds > 0 ? (folds - 1) / folds * plan.fits_per_fold : 0;
  folds_begin_ = kPreparationCost + (plan.final_fit_first ? 1 : 0);
  final_fit_begin_ = kPreparationCost + (plan.final_fit_first ? 0 : folds * fold_cost_);
  total_ = kPreparationCost + folds * fold_cost_ + 1 + kEvaluationCost;
}

void JobProgress::Folds(int fold, double part) const {
  Report("cross-validation", folds_begin_ + (fold + part) * fold_cost_, fold, plan_.folds, "folds");
}

void JobProgress::FinalFit(double part) const {
  Report("final fit", final_fit_begin_ + part,
         static_cast<int64_t>(part * static_cast<double>(plan_.fit_steps) + 1e-9), plan_.fit_steps,
         plan_.fit_unit);
}

void JobProgress::Refits(int64_t refit, int64_t refits) const {
  Report("stability", total_ - kEvaluationCost / 2, refit, refits, "fits");
}

void JobProgress::Report(const char* phase, double cost, int64_t step, int64_t step_count,
                         const char* unit) const {
  v1::Progress progress;
  progress.set_phase(phase);
  progress.set_fraction(std::min(cost / total_, 1.0));
  progress.set_step(step);
  progress.set_step_count(step_count);
  progress.set_unit(unit);
  context_.ReportProgress(progress);
}

}  // namespace trainyard
