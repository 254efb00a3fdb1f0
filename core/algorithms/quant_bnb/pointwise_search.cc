#include "core/algorithms/quant_bnb/pointwise_search.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "core/algorithms/quant_bnb/leaf_bounds.h"
#include "core/algorithms/quant_bnb/pointwise_state.h"
#include "core/algorithms/quant_bnb/search_node.h"
#include "core/algorithms/quant_bnb/state_bytes.h"
#include "core/algorithms/quant_bnb/subtree_solver.h"
#include "core/base/status.h"
#include "core/trees/stop_token.h"

namespace trainyard::quant_bnb {
namespace {

using Spec = v1::QuantBnbSpec;
using Status = v1::QuantBnbReport::Status;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
// Thresholds evaluated against the same incumbent. More keep more threads at work, fewer let a
// better tree be of use earlier.
constexpr int kRound = 8;

SearchRules RulesOf(const Spec& spec) {
  SearchRules rules;
  for (const int rule : spec.disabled_rules()) {
    switch (rule) {
      case Spec::PRUNING_RULE_NEIGHBOURHOOD:
        rules.bounds.neighbourhood = false;
        break;
      case Spec::PRUNING_RULE_INTERVAL:
        rules.bounds.interval = false;
        break;
      case Spec::PRUNING_RULE_FEATURE_SCREENING:
        rules.screening = false;
        break;
      case Spec::PRUNING_RULE_BUDGET:
        rules.budget = false;
        break;
      case Spec::PRUNING_RULE_LEAF_COUNT:
        rules.leaf_count = false;
        break;
      default:
        break;
    }
  }
  return rules;
}

// One search, from a first tree to the best.
class Search {
 public:
  Search(const SearchProblem& problem, const Spec& spec, ThreadPool& pool,
         const SearchObserver& observer, Clock& clock)
      : problem_(problem),
        spec_(spec),
        rules_(RulesOf(spec)),
        pool_(pool),
        course_(spec, problem.tolerance(), observer, clock),
        stop_([this] {
          return course_.Ask() ? absl::CancelledError("the search was stopped") : absl::OkStatus();
        }),
        fingerprint_(FingerprintOf(problem, spec)),
        builder_(rules_, problem.tolerance(), stop_),
        frontier_(rules_.bounds) {
    root_.AssignRoot(problem);
    for (int thread = 0; thread < pool.threads(); ++thread) {
      solvers_.push_back(std::make_unique<SubtreeSolver>(rules_, problem.tolerance(), stop_));
    }
    if (observer.resume.has_value()) {
      resumed_ = DecodePointwiseState(problem, fingerprint_, *observer.resume);
    }
  }

  absl::StatusOr<SearchOutcome> Run(SearchTree start) {
    Begin(std::move(start));
    TY_ASSIGN_OR_RETURN(const Status status, RunLevels());
    return course_.Finish(status);
  }

 private:
  double LossOf(const SearchTree& tree) const {
    return problem_.Loss(tree) + problem_.split_penalty() * tree.splits();
  }

  void Begin(SearchTree start) {
    start_ = {SearchTree::Leaf(), LossOf(SearchTree::Leaf())};
    if (const double loss = LossOf(start); loss < start_.loss) start_ = {std::move(start), loss};
    CourseState course;
    course.tree = start_.tree;
    course.loss = start_.loss;
    int64_t thresholds = 0;
    for (int f = 0; f < problem_.feature_count(); ++f) {
      for (const uint32_t entry : problem_.order(f)) thresholds += entry >> 31;
      --thresholds;
    }
    course.counters.set_thresholds(thresholds);
    earlier_ = course.counters;
    course_.SetAlive(thresholds);
    if (resumed_.has_value()) {
      course = resumed_->course;
      // Two levels are searched again from the start, at no more trees than before.
      if (resumed_->depth > 2) earlier_ = course.counters;
    }
    if (rules_.leaf_count) {
      const double bound = LeafBounds().Bound(root_, 1 << spec_.depth());
      course.lower_bound = std::max(course.lower_bound, bound - problem_.tolerance());
    }
    course_.Begin(std::move(course));
  }

  absl::StatusOr<Status> RunLevels() {
    if (spec_.depth() == 1) return RunStumps();
    std::optional<Status> end;
    int depth = 2;
    if (resumed_.has_value() && resumed_->depth > 2) {
      depth = resumed_->depth;
      whole_ = {resumed_->whole, resumed_->whole_feature, resumed_->whole_place, resumed_->whole};
    } else {
      TY_ASSIGN_OR_RETURN(end, RunPairs());
      depth = 3;
    }
    for (; !end.has_value() && depth <= spec_.depth(); ++depth) {
      TY_ASSIGN_OR_RETURN(end, RunRoots(depth));
    }
    return end.value_or(v1::QuantBnbReport::STATUS_OPTIMAL);
  }

  absl::StatusOr<Status> RunStumps() {
    SubtreeSolver& solver = *solvers_[0];
    const SubtreeSolution solution =
        solver.Solve(root_, 1, course_.incumbent(), {}, nullptr, &pool_);
    TY_RETURN_IF_ERROR(course_.status());
    if (!stop_.stopped()) {
      OfferSolution(1, solution);
      CountWork();
      course_.counters().set_evaluated(course_.counters().thresholds());
      course_.SetAlive(0);
      course_.SetLeastAlive(kInfinity);
    }
    return course_.Limit().value_or(v1::QuantBnbReport::STATUS_OPTIMAL);
  }

  // Two levels. What is not excluded bounds the loss of the whole search only where it has no more.
  absl::StatusOr<std::optional<Status>> RunPairs() {
    depth_ = 2;
    PairSolver& solver = solvers_[0]->pairs();
    const KnownCuts nothing;
    double reported = start_.loss;
    solver.Begin(root_, start_.loss, nothing);
    while (solver.Step(&pool_)) {
      if (solver.solution().loss < reported) {
        reported = solver.solution().loss;
        OfferSolution(2, solver.solution());
      }
      if (spec_.depth() == 2) {
        course_.counters().set_evaluated(solver.counters().thresholds);
        course_.SetAlive(solver.alive());
        course_.SetLeastAlive(solver.LeastBound());
      }
      CountWork();
      TY_ASSIGN_OR_RETURN(const std::optional<Status> end, Pause());
      if (end.has_value()) return end;
    }
    TY_RETURN_IF_ERROR(course_.status());
    if (stop_.stopped()) return course_.Limit().value_or(v1::QuantBnbReport::STATUS_TIME_LIMIT);
    whole_ = solver.solution();
    if (spec_.depth() == 2) return Complete();
    return std::nullopt;
  }

  // Between two steps: reports and saves what is due. The reason to end, if there is one.
  absl::StatusOr<std::optional<Status>> Pause() {
    TY_RETURN_IF_ERROR(course_.status());
    if (const std::optional<Status> end = course_.Limit()) return end;
    course_.ReportIfDue();
    TY_RETURN_IF_ERROR(
        course_.CheckpointIfDue([this](const CourseState& state) { return Encode(state); }));
    return std::nullopt;
  }

  std::optional<Status> Complete() {
    course_.SetAlive(0);
    course_.SetLeastAlive(kInfinity);
    return course_.Limit();
  }

  void OfferSolution(int depth, const SubtreeSolution& solution) {
    if (solution.loss >= course_.incumbent()) return;
    const SearchTree tree = builder_.Build(root_, depth, solution);
    if (!stop_.stopped()) course_.Offer(tree, solution.loss);
  }

  struct Task {
    Evaluation evaluation;
    double loss = 0;
    std::optional<SearchTree> better;
  };

  // Trees of three levels or more.
  absl::StatusOr<std::optional<Status>> RunRoots(int depth) {
    depth_ = depth;
    frontier_.Assign(root_, whole_.bound, {});
    RestoreFrontier();
    std::vector<Candidate> round;
    best_root_ = {kInfinity, -1, 0, 0};
    // The best root of less levels is a good one; below it everything is still to be done.
    if (frontier_.records().empty() && whole_.feature >= 0) {
      round.push_back(frontier_.At(whole_.feature, whole_.place));
    }
    while (true) {
      if (round.empty()) {
        frontier_.Exclude(course_.cutoff());
        if (depth == spec_.depth()) {
          course_.SetAlive(frontier_.alive());
          course_.SetLeastAlive(frontier_.LeastBound());
        }
        TY_ASSIGN_OR_RETURN(const std::optional<Status> end, Pause());
        if (end.has_value()) return end;
        round = frontier_.Choose(kRound);
      }
      if (round.empty()) break;
      std::vector<Task> tasks = Evaluate(round);
      CountWork();
      TY_RETURN_IF_ERROR(course_.status());
      if (stop_.stopped()) return course_.Limit().value_or(v1::QuantBnbReport::STATUS_TIME_LIMIT);
      Absorb(round, tasks);
      round.clear();
    }
    whole_.bound = std::min(root_.leaf_loss(), frontier_.Summarise(nullptr));
    whole_.feature = best_root_.feature;
    whole_.place = best_root_.place;
    return depth == spec_.depth() ? Complete() : std::nullopt;
  }

  std::vector<Task> Evaluate(const std::vector<Candidate>& round) {
    std::vector<Task> tasks(round.size());
    const double incumbent = course_.incumbent();
    pool_.Run(static_cast<int64_t>(round.size()), [&](int64_t i, int thread) {
      if (stop_.Ask()) return;
      Task& task = tasks[static_cast<size_t>(i)];
      const Candidate& candidate = round[static_cast<size_t>(i)];
      SubtreeSolver& solver = *solvers_[static_cast<size_t>(thread)];
      const double limit = spec_.deterministic() ? incumbent : course_.incumbent();
      task.evaluation = solver.Evaluate(root_, frontier_, candidate, depth_, limit);
      task.loss = task.evaluation.loss + problem_.split_penalty();
      if (task.loss >= limit || stop_.stopped()) return;
      SearchTree tree =
          solver.Build(root_, depth_, {task.loss, candidate.feature, candidate.place, 0});
      if (stop_.stopped()) return;
      task.better = std::move(tree);
      if (!spec_.deterministic()) course_.Offer(*task.better, task.loss);
    });
    return tasks;
  }

  void Absorb(const std::vector<Candidate>& round, std::vector<Task>& tasks) {
    for (size_t i = 0; i < round.size(); ++i) {
      if (tasks[i].loss < best_root_.loss) {
        best_root_ = {tasks[i].loss, round[i].feature, round[i].place, 0};
      }
      if (tasks[i].better.has_value()) course_.Offer(*tasks[i].better, tasks[i].loss);
      frontier_.Add(round[i], std::move(tasks[i].evaluation));
    }
    frontier_.ForgetChildren();
    if (depth_ == spec_.depth()) {
      course_.counters().set_evaluated(static_cast<int64_t>(frontier_.records().size()));
    }
  }

  void CountWork() {
    WorkCounters work;
    for (const std::unique_ptr<SubtreeSolver>& solver : solvers_) work += solver->counters();
    v1::SearchCounters& counters = course_.counters();
    counters.set_subproblems(earlier_.subproblems() + work.subproblems);
    counters.set_batches(earlier_.batches() + work.batches);
    counters.set_pruned(earlier_.pruned() + work.pruned);
    counters.set_screened_features(earlier_.screened_features() + work.screened_features);
  }

  void RestoreFrontier() {
    if (!resumed_.has_value() || resumed_->depth != depth_) return;
    for (PointwiseState::Record& record : resumed_->records) {
      frontier_.Add(frontier_.At(record.feature, record.place), std::move(record.evaluation));
    }
    resumed_.reset();
  }

  std::string Encode(const CourseState& course) const {
    PointwiseState state;
    state.course = course;
    state.depth = depth_;
    state.whole = whole_.bound;
    state.whole_feature = whole_.feature;
    state.whole_place = whole_.place;
    for (const ThresholdFrontier::Record& record : frontier_.records()) {
      state.records.push_back(
          {record.candidate.feature, record.candidate.place, record.evaluation});
    }
    return EncodeState(state, fingerprint_);
  }

  struct FirstTree {
    SearchTree tree;
    double loss = 0;
  };

  const SearchProblem& problem_;
  const Spec& spec_;
  const SearchRules rules_;
  ThreadPool& pool_;
  SearchCourse course_;
  StopToken stop_;
  const uint64_t fingerprint_;
  SearchNode root_;
  std::vector<std::unique_ptr<SubtreeSolver>> solvers_;  // by thread
  SubtreeSolver builder_;                                // of trees that others found
  std::optional<PointwiseState> resumed_;
  v1::SearchCounters earlier_;  // work of earlier attempts
  FirstTree start_;
  int depth_ = 0;
  ThresholdFrontier frontier_;
  SubtreeSolution whole_;      // of trees of one level less
  SubtreeSolution best_root_;  // of those evaluated now
};

}  // namespace

absl::StatusOr<SearchOutcome> PointwiseSearch(const SearchProblem& problem, const Spec& spec,
                                              SearchTree start, ThreadPool& pool,
                                              const SearchObserver& observer, Clock& clock) {
  return Search(problem, spec, pool, observer, clock).Run(std::move(start));
}

}  // namespace trainyard::quant_bnb
