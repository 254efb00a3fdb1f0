// How far a hierarchical shrinkage job is.
#pragma once

#include <cstdint>

#include "core/training/training_context.h"

namespace trainyard {

// Parts of the whole job by the time they take; the unit is one fit on all training rows.
class JobProgress {
 public:
  // `folds` is 0 without cross-validation; each fold has `fits_per_fold` fits. `fit_unit` and
  // `fit_steps` say how a fit counts its steps (`trees`, 100).
  struct Plan {
    int folds = 0;
    int fits_per_fold = 1;
    const char* fit_unit = "percent";
    int64_t fit_steps = 100;
    // Whether the final fit comes before the folds.
    bool final_fit_first = false;
  };
  JobProgress(TrainingContext& context, const Plan& plan);

  void Preparing() const { Report("preparing features", 0, 0, 0, ""); }
  // `part` of fold `fold` (from 0) is done.
  void Folds(int fold, double part) const;
  void FinalFit(double part) const;
  void Evaluation() const { Report("evaluation", total_ - kEvaluationCost, 0, 0, ""); }
  // `part` of the refits of the stability measurement.
  void Refits(int64_t refit, int64_t refits) const;
  void Done() const { Report("done", total_, 0, 0, ""); }

 private:
  static constexpr double kPreparationCost = 0.2;
  static constexpr double kEvaluationCost = 0.1;

  void Report(const char* phase, double cost, int64_t step, int64_t step_count,
              const char* unit) const;

  TrainingContext& context_;
  const Plan plan_;
  double fold_cost_ = 0;
  double folds_begin_ = 0;
  double final_fit_begin_ = 0;
  double total_ = 1;
};

}  // namespace trainyard
