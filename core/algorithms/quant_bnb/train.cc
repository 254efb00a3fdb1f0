#include "core/algorithms/quant_bnb/train.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/algorithms/quant_bnb/checkpoint.h"
#include "core/algorithms/quant_bnb/cost_matrix.h"
#include "core/algorithms/quant_bnb/lookahead.h"
#include "core/algorithms/quant_bnb/loss.h"
#include "core/algorithms/quant_bnb/optimal_tree.h"
#include "core/algorithms/quant_bnb/progress.h"
#include "core/algorithms/quant_bnb/warm_start.h"
#include "core/algorithms/table_learning.h"
#include "core/algorithms/tree_metrics.h"
#include "core/algorithms/tree_texts.h"
#include "core/base/byte_stream.h"
#include "core/base/clock.h"
#include "core/base/status.h"
#include "core/trees/cart.h"
#include "core/trees/presort.h"
#include "core/trees/tree_model_files.h"
#include "core/trees/tree_proto.h"
#include "proto/schema/field_rules.h"

namespace trainyard {
namespace {

using Spec = v1::QuantBnbSpec;
using Report = v1::QuantBnbReport;

constexpr size_t kTreeTextBytes = 64 * 1024;

// What a search, of whichever kind, found.
struct Found {
  Report::Status status = Report::STATUS_UNSPECIFIED;
  Tree tree;
  double claimed_loss = 0;
  std::optional<double> lower_bound;
  double tolerance = 0;
  double seconds = 0;
  v1::SearchCounters counters;
  int64_t distinct_rows = 0;
};

// One training, from the split table to the model.
class Trainer {
 public:
  Trainer(const Spec& spec, LearningTable data, TrainingContext& context,
          absl::Duration least_interval)
      : spec_(spec),
        least_interval_(least_interval),
        data_(std::move(data)),
        context_(context),
        monitor_(context),
        pool_(context.threads()) {}

  absl::StatusOr<TrainingResult> Run() {
    monitor_.Preparing();
    TY_RETURN_IF_ERROR(RefuseMissing());
    TY_RETURN_IF_ERROR(PrepareInput());
    TY_ASSIGN_OR_RETURN(const Tree cart, GrowGreedily());
    model_ = Describe();
    TY_ASSIGN_OR_RETURN(SearchCheckpoint known, LoadCheckpoint());
    TY_ASSIGN_OR_RETURN(Found found, spec_.lookahead().max_depth() > 0
                                         ? LookAhead(cart, std::move(known))
                                         : SearchWhole(cart, std::move(known)));
    found.tree = FitLeaves(input_, std::move(found.tree));
    TY_RETURN_IF_ERROR(FillReport(found, cart));
    monitor_.Evaluation();
    TY_RETURN_IF_ERROR(Evaluate(found.tree, cart));
    TY_RETURN_IF_ERROR(WriteModel(std::move(found.tree)));
    monitor_.Done();
    return std::move(result_);
  }

 private:
  Report& report() { return *result_.report.mutable_quant_bnb(); }

  std::function<absl::Status()> check() {
    return [this] { return context_.CheckCancelled(); };
  }

  int MaxDepth() const {
    return spec_.lookahead().max_depth() > 0 ? spec_.lookahead().max_depth() : spec_.depth();
  }

  // Names the first missing value of the rows that are used.
  absl::Status RefuseMissing() {
    if (spec_.missing_values() != Spec::MISSING_VALUES_REJECT) return absl::OkStatus();
    for (size_t f = 0; f < data_.features.size(); ++f) {
      TY_RETURN_IF_ERROR(context_.CheckCancelled());
      const FeatureColumn& column = data_.features[f];
      for (const int64_t row : data_.rows) {
        const size_t r = static_cast<size_t>(row);
        const bool missing =
            column.categorical ? column.codes[r] < 0 : std::isnan(column.numbers[r]);
        if (!missing) continue;
        return absl::InvalidArgumentError(absl::StrCat(
            "column \"", data_.table->column(data_.columns.features[f]).name(), "\", row ", row + 1,
            ": the value is missing; missing_values is MISSING_VALUES_REJECT"));
      }
    }
    return absl::OkStatus();
  }

  absl::Status PrepareInput() {
    const std::vector<int64_t>& rows = data_.split.train;
    values_ = data_.ValuesOf(rows);
    classes_ = data_.ClassesOf(rows);
    weights_ = data_.WeightsOf(rows);
    if (data_.classification()) {
      TY_ASSIGN_OR_RETURN(costs_, MakeCostMatrix(spec_.costs(), data_.class_labels));
    }
    input_.features = data_.features;
    input_.rows = rows;
    input_.classes = classes_;
    input_.values = values_;
    input_.outputs = data_.outputs();
    input_.weights = weights_;
    input_.costs = costs_;
    if (!std::isfinite(LeafLoss(input_, UsedRows(input_)))) {
      return absl::InvalidArgumentError(
          "the loss of the training rows is infinite; scale the targets, weights or costs down");
    }
    return absl::OkStatus();
  }

  // The tree that CART grows, with the splits that are worth their penalty.
  absl::StatusOr<Tree> GrowGreedily() {
    TY_ASSIGN_OR_RETURN(
        const PresortedFeatures features,
        PresortedFeatures::Build(data_.features, data_.split.train, pool_, check()));
    v1::CartOptions options;
    FillDefaults(options);
    options.set_max_depth(MaxDepth());
    options.set_min_samples_leaf(static_cast<int32_t>(
        std::min<int64_t>(spec_.min_samples_leaf(), std::numeric_limits<int32_t>::max())));
    const TreeTarget target = data_.classification()
                                  ? TreeTarget::Classification(classes_, data_.outputs())
                                  : TreeTarget::Regression(values_, data_.outputs());
    std::vector<uint32_t> rows(data_.split.train.size());
    std::iota(rows.begin(), rows.end(), uint32_t{0});
    TY_ASSIGN_OR_RETURN(Tree tree, GrowCart(features, target, weights_, rows,
                                            ResolveCart(options, target), pool_, {check(), {}}));
    if (spec_.split_penalty() > 0) tree = PruneToLeastLoss(input_, spec_, tree);
    return FitLeaves(input_, std::move(tree));
  }

  // The better of the greedy tree and the one that was given.
  absl::StatusOr<Tree> StartingTree(const Tree& cart) {
    if (spec_.warm_start().empty()) return cart;
    TY_ASSIGN_OR_RETURN(const Tree loaded, LoadWarmStart(spec_, data_, context_));
    Tree given = FitLeaves(input_, PruneToLeastLoss(input_, spec_, loaded));
    const double loss = TreeLoss(input_, spec_, given);
    const double cart_loss = TreeLoss(input_, spec_, cart);
    context_.Log(v1::LogLine::SEVERITY_INFO,
                 absl::StrCat("the tree of ", spec_.warm_start(), " has loss ", ShortNumber(loss),
                              " on the training rows, the greedy tree ", ShortNumber(cart_loss)));
    return loss < cart_loss ? std::move(given) : cart;
  }

  absl::StatusOr<Found> SearchWhole(const Tree& cart, SearchCheckpoint known) {
    TY_ASSIGN_OR_RETURN(const Tree start, StartingTree(cart));
    SearchHooks hooks;
    hooks.check = check();
    hooks.report = [this](const SearchProgress& progress, const Tree* better) {
      monitor_.Search(progress, better);
    };
    hooks.checkpoint = [this](std::string state) {
      return SaveCheckpoint({0, {}, std::move(state)});
    };
    hooks.resume = std::move(known.search);
    TY_ASSIGN_OR_RETURN(OptimalTree optimal, FindOptimalTree(input_, spec_, &start, pool_, hooks));
    const SearchProgress& progress = optimal.progress;
    return Found{optimal.status,       std::move(optimal.tree), progress.incumbent,
                 progress.lower_bound, optimal.tolerance,       progress.seconds,
                 progress.counters,    optimal.distinct_rows};
  }

  absl::StatusOr<Found> LookAhead(const Tree& cart, SearchCheckpoint known) {
    LookaheadHooks hooks;
    hooks.check = check();
    hooks.report = [this](const LookaheadProgress& progress) { monitor_.Lookahead(progress); };
    hooks.checkpoint = [this](const SearchCheckpoint& checkpoint) {
      return SaveWhenDue(checkpoint);
    };
    hooks.resume = std::move(known);
    TY_ASSIGN_OR_RETURN(LookaheadTree tree,
                        FindLookaheadTree(input_, spec_, pool_, std::move(hooks)));
    Found found{tree.status,
                std::move(tree.tree),
                tree.progress.loss,
                std::nullopt,
                tree.tolerance,
                tree.progress.seconds,
                std::move(tree.progress.counters),
                tree.distinct_rows};
    if (found.status == Report::STATUS_LOOKAHEAD) return found;
    const double cart_loss = TreeLoss(input_, spec_, cart);
    if (cart_loss < found.claimed_loss) {
      context_.Log(v1::LogLine::SEVERITY_WARNING,
                   "the limit ended the lookahead before it was better than the greedy tree, which "
                   "is taken in its place");
      found.tree = cart;
      found.claimed_loss = cart_loss;
    }
    return found;
  }

  // A checkpoint is of use where everything that the search depends on is the same.
  absl::StatusOr<SearchCheckpoint> LoadCheckpoint() {
    fingerprint_ = FingerprintOf(absl::StrCat(spec_.SerializeAsString(), "|", data_.rows.size(),
                                              "|", data_.split.train.size()));
    last_save_ = Clock::Real().Monotonic();
    TY_ASSIGN_OR_RETURN(const std::optional<std::string> bytes, context_.LoadCheckpoint());
    if (!bytes.has_value()) return SearchCheckpoint();
    std::optional<SearchCheckpoint> known = DecodeSearchCheckpoint(*bytes, fingerprint_, model_);
    if (!known.has_value()) {
      context_.Log(v1::LogLine::SEVERITY_WARNING,
                   "the checkpoint does not belong to this job; the search starts afresh");
      return SearchCheckpoint();
    }
    context_.Log(v1::LogLine::SEVERITY_INFO, "the search goes on from its checkpoint");
    return *std::move(known);
  }

  absl::Status SaveCheckpoint(const SearchCheckpoint& checkpoint) {
    TY_RETURN_IF_ERROR(
        context_.SaveCheckpoint(++saved_, EncodeSearchCheckpoint(checkpoint, fingerprint_)));
    last_save_ = Clock::Real().Monotonic();
    return absl::OkStatus();
  }

  // A lookahead may have thousands of steps a second.
  absl::Status SaveWhenDue(const SearchCheckpoint& checkpoint) {
    if (Clock::Real().Monotonic() - last_save_ < least_interval_) return absl::OkStatus();
    return SaveCheckpoint(checkpoint);
  }

  absl::Status FillReport(const Found& found, const Tree& cart) {
    const double loss = TreeLoss(input_, spec_, found.tree);
    const double slack = found.tolerance + 1e-9 * std::max(std::abs(loss), 1.0);
    if (std::abs(loss - found.claimed_loss) > slack) {
      return absl::InternalError(
          absl::StrCat("the search claims the loss ", found.claimed_loss, "; its tree has ", loss));
    }
    Report& own = report();
    own.set_status(found.status);
    own.set_loss(loss);
    if (found.lower_bound.has_value()) {
      own.set_lower_bound(std::min(*found.lower_bound, loss));
      own.set_gap(loss - own.lower_bound());
    }
    own.set_tolerance(found.tolerance);
    own.set_search_seconds(found.seconds);
    own.set_cart_loss(TreeLoss(input_, spec_, cart));
    own.set_task(spec_.task());
    own.set_leaf_count(found.tree.leaf_count());
    own.set_depth(found.tree.depth());
    *own.mutable_counters() = found.counters;
    own.set_distinct_rows(found.distinct_rows);
    LogCertificate();
    return absl::OkStatus();
  }

  void LogCertificate() {
    const Report& own = report();
    std::string text = absl::StrCat("loss ", ShortNumber(own.loss()), " with ", own.leaf_count(),
                                    " leaves; a greedy tree has ", ShortNumber(own.cart_loss()));
    if (own.has_lower_bound()) {
      absl::StrAppend(&text, "; no tree of depth ", spec_.depth(), " has less than ",
                      ShortNumber(own.lower_bound()));
    }
    context_.Log(v1::LogLine::SEVERITY_INFO, text);
    if (own.leaf_count() > 1) return;
    context_.Log(v1::LogLine::SEVERITY_WARNING,
                 "no split is worth it: the tree is a single leaf (see split_penalty and "
                 "min_samples_leaf)");
  }

  absl::Status Evaluate(const Tree& tree, const Tree& cart) {
    const TreePredictor optimal(EnsembleOf(tree));
    const TreePredictor greedy(EnsembleOf(cart));
    for (const MeasuredRows& set : MeasuredRowsOf(data_.split, result_.report)) {
      TY_ASSIGN_OR_RETURN(const Metrics own, Measure(optimal, *set.rows));
      TY_ASSIGN_OR_RETURN(const Metrics other, Measure(greedy, *set.rows));
      ReportMeasured(set, own, context_);
      (*report().mutable_cart_metrics())[set.name].mutable_values()->insert(other.begin(),
                                                                            other.end());
    }
    return absl::OkStatus();
  }

  absl::StatusOr<Metrics> Measure(const TreePredictor& predictor,
                                  const std::vector<int64_t>& rows) {
    return MeasureRows(predictor, data_.features, data_, rows, costs_, pool_, check());
  }

  v1::TreeModel Describe() const {
    v1::TreeModel model = DescribeModel(data_);
    model.mutable_costs()->Add(costs_.begin(), costs_.end());
    TreeEnsemble shape;
    shape.outputs = data_.outputs();
    DescribeEnsemble(shape, model);
    return model;
  }

  // Node weights are scaled to mean 1 of the rows: what shrinkage expects.
  void ScaleWeights(Tree& tree) const {
    if (weights_.empty()) return;
    const double mean = tree.weight[0] / static_cast<double>(tree.row_count[0]);
    for (double& weight : tree.weight) weight /= mean;
  }

  absl::Status WriteModel(Tree tree) {
    TY_RETURN_IF_ERROR(context_.CheckCancelled());
    ScaleWeights(tree);
    const TreeEnsemble ensemble = EnsembleOf(std::move(tree));
    TY_RETURN_IF_ERROR(WriteTreeTexts(model_, ensemble, context_.model_folder()));
    report().set_tree(FirstTreeText(model_, ensemble, kTreeTextBytes));
    DescribeColumns(data_, result_.manifest);
    return WriteTreeModel(model_, ensemble, context_.model_folder(), check());
  }

  const Spec& spec_;
  const absl::Duration least_interval_;
  LearningTable data_;
  TrainingContext& context_;
  SearchMonitor monitor_;
  ThreadPool pool_;
  std::vector<double> values_;
  std::vector<int32_t> classes_;
  std::vector<double> weights_;
  std::vector<double> costs_;
  OptimalTreeInput input_;
  v1::TreeModel model_;  // without its tree
  uint64_t fingerprint_ = 0;
  absl::Duration last_save_ = absl::ZeroDuration();
  int64_t saved_ = 0;
  TrainingResult result_;
};

}  // namespace

absl::StatusOr<TrainingResult> TrainQuantBnb(const Spec& spec, const TableColumns& columns,
                                             std::shared_ptr<const Table> table,
                                             TrainingContext& context,
                                             absl::Duration least_interval) {
  TY_ASSIGN_OR_RETURN(LearningTable data,
                      PrepareLearningTable(std::move(table), columns, spec.input().split(),
                                           spec.task() == Spec::TASK_CLASSIFICATION, context));
  return Trainer(spec, std::move(data), context, least_interval).Run();
}

}  // namespace trainyard
