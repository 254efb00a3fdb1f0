#include "core/trees/boosting/boosting_loss.h"

#include <limits>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/trees/boosting/loss_sums.h"

namespace trainyard {
namespace {

absl::Status NotForTarget(const char* loss, const char* needed) {
  return absl::InvalidArgumentError(absl::StrCat("loss is ", loss, "; it needs ", needed));
}

}  // namespace

double BoostingLoss::max_step() const { return std::numeric_limits<double>::max(); }

void BoostingLoss::Prepare(const ScoredRows&, std::span<const uint32_t>, ThreadPool&) {}

double BoostingLoss::NodeValue(const ScoredRows&, std::span<const uint32_t>) const { return 0; }

absl::StatusOr<std::unique_ptr<BoostingLoss>> MakeBoostingLoss(const v1::BoostingOptions& options,
                                                               const TreeTarget& target) {
  using Options = v1::BoostingOptions;
  Options::Loss loss = options.loss();
  if (loss == Options::LOSS_UNSPECIFIED) {
    loss = !target.classification() ? Options::LOSS_SQUARED_ERROR
           : target.outputs == 2    ? Options::LOSS_LOGISTIC
                                    : Options::LOSS_SOFTMAX;
  }
  const bool of_classes = loss == Options::LOSS_LOGISTIC || loss == Options::LOSS_SOFTMAX;
  const std::string name = Options::Loss_Name(loss);
  if (of_classes != target.classification()) {
    return NotForTarget(name.c_str(), of_classes ? "classes" : "a regression target");
  }
  if (!of_classes && target.outputs != 1) return NotForTarget(name.c_str(), "one target");
  if (loss == Options::LOSS_LOGISTIC && target.outputs != 2) {
    return NotForTarget(name.c_str(), "two classes");
  }
  if (loss == Options::LOSS_SOFTMAX && target.outputs < 2) {
    return NotForTarget(name.c_str(), "at least two classes");
  }
  if (of_classes) return MakeClassLoss(loss, target.outputs);
  return MakeRegressionLoss(loss, options);
}

}  // namespace trainyard
