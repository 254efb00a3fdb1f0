// The kinds of explanations of a tree model, each as a sequence of messages.
#pragma once

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "core/algorithms/tree_model_explainer.h"
#include "core/base/thread_pool.h"
#include "core/trees/stop_token.h"

namespace trainyard {

// Room for numbers in one message of at most 1 MiB.
inline constexpr size_t kMaxMessageNumbers = 128 * 1024 - 1024;

// One explanation at work: what all kinds have in common.
struct TreeExplanationJob {
  const TreeModelExplainer::Model& model;
  ExplanationRequest request;
  BoundColumns table;
  std::vector<int> outputs;  // the raw scores that are asked for, by number
  int64_t rows = 0;          // of the table, from the first
  ThreadPool pool;
  StopToken stop;

  TreeExplanationJob(const TreeModelExplainer::Model& own_model, ExplanationRequest own_request);

  // ExplanationInfo in messages of bounded size.
  std::vector<v1::ExplainResponse> Info(std::span<const double> base_values) const;
};

// INVALID_ARGUMENT with violations when the request does not fit. Costly work is left to
// Explanation::Next.
absl::StatusOr<std::unique_ptr<Explanation>> MakeShapExplanation(
    std::unique_ptr<TreeExplanationJob> job, const TreeModelExplainer::Bind& bind);
absl::StatusOr<std::unique_ptr<Explanation>> MakeImportanceExplanation(
    std::unique_ptr<TreeExplanationJob> job);
absl::StatusOr<std::unique_ptr<Explanation>> MakeDependenceExplanation(
    std::unique_ptr<TreeExplanationJob> job);

// The ensemble of some of the raw scores alone, in that order.
TreeEnsemble SelectOutputs(const TreeEnsemble& ensemble, const std::vector<int>& outputs);

}  // namespace trainyard
