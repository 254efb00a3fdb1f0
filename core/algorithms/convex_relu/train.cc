#include "core/algorithms/convex_relu/train.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/algorithms/convex_relu/comparison.h"
#include "core/algorithms/convex_relu/course.h"
#include "core/algorithms/convex_relu/monitor.h"
#include "core/algorithms/convex_relu/network_files.h"
#include "core/algorithms/convex_relu/network_predictor.h"
#include "core/algorithms/convex_relu/report.h"
#include "core/algorithms/convex_relu/training_problem.h"
#include "core/algorithms/table_learning.h"
#include "core/algorithms/tree_metrics.h"
#include "core/base/byte_stream.h"
#include "core/base/clock.h"
#include "core/base/status.h"
#include "core/data/split.h"

namespace trainyard {
namespace {

using Spec = v1::ConvexReluSpec;
using convex_relu::Course;
using convex_relu::FitResult;
using convex_relu::NetworkModel;
using convex_relu::ProblemSolver;
using convex_relu::ShortNumber;
using convex_relu::TrainingProblem;

class Trainer {
 public:
  Trainer(const Spec& spec, LearningTable data, const Table* gate_table, TrainingContext& context,
          absl::Duration least_interval)
      : spec_(spec),
        data_(std::move(data)),
        gate_table_(gate_table),
        context_(context),
        least_interval_(least_interval),
        monitor_(context),
        pool_(context.threads()) {
    monitor_.ExpectRounds(search_rounds());
  }

  absl::StatusOr<TrainingResult> Run() {
    monitor_.Preparing();
    TY_RETURN_IF_ERROR(LoadCheckpoint());
    if (course_.lambdas.empty()) TY_RETURN_IF_ERROR(PlanCourse());
    TY_RETURN_IF_ERROR(AssignRows());
    for (; course_.leg < legs(); ++course_.leg, course_.next = 0) TY_RETURN_IF_ERROR(RunLeg());
    if (problem_ == nullptr) TY_RETURN_IF_ERROR(Prepare(data_.split.train));
    TY_ASSIGN_OR_RETURN(const int chosen, Choose());
    TY_RETURN_IF_ERROR(SearchPatterns(course_.fits[static_cast<size_t>(chosen)]));
    const FitResult& fit =
        search_rounds() > 0 ? course_.search.fit : course_.fits[static_cast<size_t>(chosen)];
    TY_ASSIGN_OR_RETURN(const NetworkModel model, problem_->ModelOf(fit.blocks));
    TY_RETURN_IF_ERROR(FillReport(fit, model));
    TY_RETURN_IF_ERROR(Compare(fit));
    monitor_.Evaluation();
    TY_RETURN_IF_ERROR(Evaluate(model));
    TY_RETURN_IF_ERROR(WriteModel(model));
    monitor_.Done();
    return std::move(result_);
  }

 private:
  v1::ConvexReluReport& report() { return *result_.report.mutable_convex_relu(); }
  int folds() const { return HasPath() ? spec_.path().folds() : 0; }
  int legs() const { return folds() + 1; }
  bool HasPath() const { return spec_.path().points() > 0 || spec_.path().lambdas_size() > 0; }
  bool last_leg() const { return course_.leg == folds(); }
  int search_rounds() const { return spec_.gate_search().rounds(); }

  std::function<absl::Status()> check() {
    return [this] { return context_.CheckCancelled(); };
  }

  absl::Status Prepare(std::span<const int64_t> rows) {
    KeepWork();
    solver_.reset();
    TY_ASSIGN_OR_RETURN(problem_,
                        TrainingProblem::Build(spec_, data_, rows, gate_table_, pool_, check()));
    MakeSolver();
    return absl::OkStatus();
  }

  void MakeSolver() {
    solver_ = MakeProblemSolver(spec_, *problem_, pool_,
                                [this] { return !context_.CheckCancelled().ok(); });
  }

  void KeepWork() {
    if (solver_ == nullptr) return;
    work_.operations += solver_->work().operations;
    work_.seconds += solver_->work().seconds;
  }

  // The penalties, from all training rows.
  absl::Status PlanCourse() {
    TY_RETURN_IF_ERROR(Prepare(data_.split.train));
    TY_ASSIGN_OR_RETURN(course_.largest_lambda, solver_->fit().LargestLambda(check()));
    const double largest = course_.largest_lambda.value_or(0);
    if (spec_.path().lambdas_size() > 0) {
      course_.lambdas.assign(spec_.path().lambdas().begin(), spec_.path().lambdas().end());
    } else if (spec_.path().points() > 0) {
      course_.lambdas = convex_relu::PenaltySequence(largest, spec_.path().smallest_ratio(),
                                                     spec_.path().points());
    } else {
      course_.lambdas = {spec_.has_lambda_ratio() ? spec_.lambda_ratio() * largest
                                                  : spec_.lambda()};
    }
    if (course_.lambdas.back() <= 0 && spec_.penalty() != Spec::PENALTY_NONE) {
      return absl::InvalidArgumentError(
          "no penalty can be derived: the gradient of the loss is zero for all gates; give lambda");
    }
    context_.Log(v1::LogLine::SEVERITY_INFO,
                 absl::StrCat(problem_->patterns(), " activation patterns of ",
                              problem_->gates_drawn(), " gates on ", problem_->data().rows(),
                              " rows and ", problem_->encoder().width(), " features"));
    return absl::OkStatus();
  }

  absl::Status AssignRows() {
    if (folds() == 0) return absl::OkStatus();
    const std::vector<int64_t>& rows = data_.split.train;
    if (static_cast<int64_t>(rows.size()) < folds()) {
      return absl::InvalidArgumentError(
          absl::StrCat("path.folds is ", folds(), "; there are ", rows.size(), " training rows"));
    }
    TY_ASSIGN_OR_RETURN(
        fold_of_, AssignFolds(rows.size(), data_.ClassesOf(rows), data_.GroupsOf(rows), folds(),
                              static_cast<uint64_t>(spec_.input().split().seed()), check()));
    return absl::OkStatus();
  }

  // Training rows inside or outside the fold of this leg.
  std::vector<int64_t> FoldRows(bool inside) const {
    std::vector<int64_t> rows;
    for (size_t i = 0; i < fold_of_.size(); ++i) {
      if ((fold_of_[i] == course_.leg) == inside) rows.push_back(data_.split.train[i]);
    }
    return rows;
  }

  absl::Status RunLeg() {
    const bool ready = last_leg() && folds() == 0 && problem_ != nullptr;
    if (!ready) {
      TY_RETURN_IF_ERROR(Prepare(last_leg() ? data_.split.train : FoldRows(false)));
    }
    TY_RETURN_IF_ERROR(LoadSolver());
    for (; course_.next < static_cast<int>(course_.lambdas.size()); ++course_.next) {
      TY_ASSIGN_OR_RETURN(FitResult fit, SolveNext());
      course_.iterations += fit.iterations;
      course_.seconds += fit.seconds;
      TY_RETURN_IF_ERROR(last_leg() ? KeepFit(std::move(fit)) : KeepFoldError(fit));
    }
    course_.solver.clear();
    return absl::OkStatus();
  }

  // From a checkpoint, where there is one.
  absl::Status LoadSolver() {
    if (course_.solver.empty()) return absl::OkStatus();
    ByteReader reader(course_.solver);
    solver_->fit().Load(reader);
    if (reader.done()) return absl::OkStatus();
    return absl::DataLossError("checkpoint: its solver state is damaged");
  }

  // Columns of unit norm shrink with the number of rows, and weights grow; so that a penalty is as
  // strong on fewer rows it grows, too.
  double LambdaOfLeg() const {
    const double lambda = course_.lambdas[static_cast<size_t>(course_.next)];
    if (last_leg() || spec_.scaling() == Spec::SCALING_NONE) return lambda;
    const double ratio = static_cast<double>(data_.split.train.size()) /
                         static_cast<double>(problem_->data().rows());
    return lambda * (spec_.penalty() == Spec::PENALTY_SQUARED_L2 ? ratio : std::sqrt(ratio));
  }

  absl::StatusOr<FitResult> SolveNext() {
    const int lambdas = static_cast<int>(course_.lambdas.size());
    const double lambda = LambdaOfLeg();
    monitor_.BeginFit(course_.leg * lambdas + course_.next, legs() * lambdas, lambda,
                      spec_.solver().relative_gap(), course_.iterations);
    return Solve(lambda);
  }

  absl::StatusOr<FitResult> Solve(double lambda) {
    convex_relu::FitHooks hooks;
    hooks.check = check();
    hooks.report = [this](const convex_relu::FitProgress& progress) { monitor_.Fitting(progress); };
    hooks.checkpoint = [this] { return SaveWhenDue(); };
    double left = 0;
    if (spec_.solver().time_seconds() > 0) {
      left = std::max(spec_.solver().time_seconds() - course_.seconds, 1e-9);
    }
    TY_ASSIGN_OR_RETURN(FitResult fit, solver_->fit().Solve(lambda, left, hooks));
    if (fit.end != convex_relu::SolveEnd::kDiverged) return fit;
    return absl::OutOfRangeError(
        absl::StrCat("the solver diverged at lambda ", ShortNumber(lambda),
                     "; scale the targets down, or use another precision or method"));
  }

  absl::Status KeepFit(FitResult fit) {
    if (HasPath()) {
      std::string text =
          absl::StrCat("lambda ", ShortNumber(fit.lambda), ": objective ",
                       ShortNumber(fit.objective), ", ", fit.blocks.size(), " neurons");
      if (fit.relative_gap().has_value()) {
        absl::StrAppend(&text, ", relative gap ", ShortNumber(*fit.relative_gap()));
      }
      context_.Log(v1::LogLine::SEVERITY_INFO, text);
    }
    course_.fits.push_back(std::move(fit));
    return absl::OkStatus();
  }

  absl::Status KeepFoldError(const FitResult& fit) {
    TY_ASSIGN_OR_RETURN(const NetworkModel model, problem_->ModelOf(fit.blocks));
    TY_ASSIGN_OR_RETURN(const Metrics metrics, Measure(model, FoldRows(true)));
    if (course_.next == 0) course_.fold_errors.emplace_back();
    course_.fold_errors.back().push_back(ErrorOf(metrics));
    return absl::OkStatus();
  }

  // Share of wrong classes, or mean squared error.
  double ErrorOf(const Metrics& metrics) const {
    if (data_.classification()) return 1 - metrics.at("accuracy");
    return metrics.at("rmse") * metrics.at("rmse");
  }

  absl::StatusOr<Metrics> Measure(const NetworkModel& model, const std::vector<int64_t>& rows) {
    TY_ASSIGN_OR_RETURN(const DenseColumns columns, model.encoder.Bind(*data_.table));
    return convex_relu::MeasureRows(model, columns, data_, rows, pool_, check());
  }

  // Adds patterns to those of a solution and solves again, round by round.
  absl::Status SearchPatterns(const FitResult& sampled) {
    convex_relu::GateRounds& search = course_.search;
    if (search_rounds() == 0) return absl::OkStatus();
    if (search.rounds == 0) {
      search.fit = sampled;
      search.objective_before = sampled.objective;
    }
    for (bool more = true;;) {
      if (!search.solving) {
        const bool extend = more && search.rounds < search_rounds() && !TimeIsUp();
        TY_ASSIGN_OR_RETURN(more, convex_relu::ExtendPatterns(spec_, *problem_, solver_->patterns(),
                                                              extend, search, pool_, check()));
        monitor_.Searched(search.largest_violation, problem_->patterns());
        if (!more) return absl::OkStatus();
        search.solving = true;
        ++search.rounds;
      }
      TY_RETURN_IF_ERROR(SolveRound(more));
    }
  }

  // The solve of a round; `more` becomes whether it was worth it.
  absl::Status SolveRound(bool& more) {
    convex_relu::GateRounds& search = course_.search;
    problem_->SetAdded(solver_->patterns(), search.added, pool_);
    KeepWork();
    MakeSolver();
    solver_->fit().WarmStart(search.start);
    TY_RETURN_IF_ERROR(LoadSolver());
    monitor_.BeginRound(search.rounds - 1, spec_.solver().relative_gap(), course_.iterations);
    const double before = search.fit.objective;
    TY_ASSIGN_OR_RETURN(search.fit, Solve(search.fit.lambda));
    course_.iterations += search.fit.iterations;
    course_.seconds += search.fit.seconds;
    course_.solver.clear();
    search.solving = false;
    context_.Log(v1::LogLine::SEVERITY_INFO,
                 absl::StrCat("round ", search.rounds, " of the search: objective ",
                              ShortNumber(before), " -> ", ShortNumber(search.fit.objective),
                              " over ", problem_->patterns(), " patterns"));
    more = before - search.fit.objective > spec_.gate_search().min_decrease() * before;
    return absl::OkStatus();
  }

  bool TimeIsUp() const {
    return spec_.solver().time_seconds() > 0 && course_.seconds >= spec_.solver().time_seconds();
  }

  // Number of the fit that the model is made of; fills in the report's path.
  absl::StatusOr<int> Choose() {
    if (!HasPath()) return 0;
    const std::vector<convex_relu::FoldError> fold_errors = convex_relu::FoldErrorsOf(course_);
    std::vector<convex_relu::FoldError> validation_errors;
    for (size_t i = 0; i < course_.fits.size(); ++i) {
      const FitResult& fit = course_.fits[i];
      v1::ConvexReluPathPoint& point = *report().add_path();
      point.set_lambda(fit.lambda);
      point.set_objective(fit.objective);
      if (fit.relative_gap().has_value()) point.set_relative_gap(*fit.relative_gap());
      point.set_iterations(fit.iterations);
      point.set_seconds(fit.seconds);
      point.set_active_neurons(static_cast<int64_t>(fit.blocks.size()));
      if (folds() > 0) {
        point.set_cv_error(fold_errors[i].mean);
        point.set_cv_standard_error(fold_errors[i].standard_error);
      }
      TY_ASSIGN_OR_RETURN(const NetworkModel model, problem_->ModelOf(fit.blocks));
      TY_ASSIGN_OR_RETURN(const Metrics train, Measure(model, data_.split.train));
      point.mutable_train_metrics()->insert(train.begin(), train.end());
      if (data_.split.validation.empty()) continue;
      TY_ASSIGN_OR_RETURN(const Metrics validation, Measure(model, data_.split.validation));
      point.mutable_validation_metrics()->insert(validation.begin(), validation.end());
      validation_errors.push_back({ErrorOf(validation), 0});
    }
    const bool by_folds = folds() > 0;
    if (!by_folds && validation_errors.empty()) return static_cast<int>(course_.fits.size()) - 1;
    return convex_relu::SelectPenalty(spec_.path().selection(),
                                      by_folds ? fold_errors : validation_errors);
  }

  absl::Status FillReport(const FitResult& fit, const NetworkModel& model) {
    v1::ConvexReluReport& own = report();
    convex_relu::DescribeFit(fit, own);
    convex_relu::DescribeProblem(*problem_, fit, own);
    own.set_task(spec_.task());
    own.set_iterations(course_.iterations);
    own.set_solve_seconds(course_.seconds);
    if (course_.largest_lambda.has_value()) own.set_largest_lambda(*course_.largest_lambda);
    if (search_rounds() > 0) {
      convex_relu::DescribeSearch(course_.search, *own.mutable_gate_search());
    }
    KeepWork();
    own.set_gigaflops(work_.seconds > 0 ? work_.operations / work_.seconds * 1e-9 : 0);
    TY_ASSIGN_OR_RETURN(const double objective,
                        problem_->NetworkObjective(model, fit.lambda, pool_, check()));
    own.set_network_objective(objective);
    LogCertificate();
    return absl::OkStatus();
  }

  void LogCertificate() {
    const v1::ConvexReluReport& own = report();
    std::string text =
        absl::StrCat("objective ", ShortNumber(own.objective()), " with ", own.active_neurons(),
                     " neurons at lambda ", ShortNumber(own.lambda()));
    if (own.has_lower_bound()) {
      absl::StrAppend(&text, "; no network over these patterns has less than ",
                      ShortNumber(own.lower_bound()));
    }
    context_.Log(v1::LogLine::SEVERITY_INFO, text);
    if (own.active_neurons() > 0) return;
    context_.Log(v1::LogLine::SEVERITY_WARNING,
                 "the penalty is so large that the network has no neuron; see lambda");
  }

  absl::Status Compare(const FitResult& fit) {
    if (spec_.comparison().seeds() == 0) return absl::OkStatus();
    convex_relu::ComparisonHooks hooks;
    hooks.check = check();
    hooks.report = [this](const convex_relu::NonconvexProgress& progress) {
      monitor_.Comparing(progress);
    };
    TY_ASSIGN_OR_RETURN(
        const std::vector<v1::ConvexReluDescent> descents,
        convex_relu::CompareWithDescent(spec_, *problem_, data_, fit, pool_, hooks));
    report().mutable_comparison()->Add(descents.begin(), descents.end());
    return absl::OkStatus();
  }

  absl::Status Evaluate(const NetworkModel& model) {
    for (const MeasuredRows& set : MeasuredRowsOf(data_.split, result_.report)) {
      TY_ASSIGN_OR_RETURN(const Metrics metrics, Measure(model, *set.rows));
      monitor_.Quality(set.name, metrics);
      set.metrics->insert(metrics.begin(), metrics.end());
    }
    return absl::OkStatus();
  }

  absl::Status WriteModel(const NetworkModel& model) {
    DescribeColumns(data_, result_.manifest);
    TY_ASSIGN_OR_RETURN(const std::string without_onnx,
                        convex_relu::WriteNetworkModel(model, context_.model_folder(), check()));
    if (!without_onnx.empty()) {
      context_.Log(v1::LogLine::SEVERITY_WARNING,
                   absl::StrCat("the model has no ONNX file: ", without_onnx));
    }
    return absl::OkStatus();
  }

  // A checkpoint is of use where everything that the course depends on is the same.
  absl::Status LoadCheckpoint() {
    fingerprint_ = FingerprintOf(absl::StrCat(spec_.SerializeAsString(), "|", data_.rows.size(),
                                              "|", data_.split.train.size()));
    last_save_ = Clock::Real().Monotonic();
    TY_ASSIGN_OR_RETURN(const std::optional<std::string> bytes, context_.LoadCheckpoint());
    if (!bytes.has_value()) return absl::OkStatus();
    std::optional<Course> known = convex_relu::DecodeCourse(*bytes, fingerprint_);
    if (!known.has_value()) {
      context_.Log(v1::LogLine::SEVERITY_WARNING,
                   "the checkpoint does not belong to this job; the solver starts afresh");
      return absl::OkStatus();
    }
    course_ = *std::move(known);
    context_.Log(v1::LogLine::SEVERITY_INFO, "the solver goes on from its checkpoint");
    return absl::OkStatus();
  }

  absl::Status SaveWhenDue() {
    if (Clock::Real().Monotonic() - last_save_ < least_interval_) return absl::OkStatus();
    ByteWriter writer;
    solver_->fit().Save(writer);
    course_.solver = writer.bytes();
    const std::string bytes = EncodeCourse(course_, fingerprint_);
    course_.solver.clear();
    TY_RETURN_IF_ERROR(context_.SaveCheckpoint(++saved_, bytes));
    TY_RETURN_IF_ERROR(EvaluateOnTheWay());
    last_save_ = Clock::Real().Monotonic();
    return absl::OkStatus();
  }

  absl::Status EvaluateOnTheWay() {
    if (course_.leg < folds()) return absl::OkStatus();
    TY_ASSIGN_OR_RETURN(const NetworkModel model,
                        problem_->ModelOf(solver_->fit().CurrentBlocks()));
    for (const auto& [name, rows] : {std::pair("train", &data_.split.train),
                                     std::pair("validation", &data_.split.validation)}) {
      if (rows->empty()) continue;
      TY_ASSIGN_OR_RETURN(const Metrics metrics, Measure(model, *rows));
      monitor_.Quality(name, metrics);
    }
    return absl::OkStatus();
  }

  const Spec& spec_;
  LearningTable data_;
  const Table* const gate_table_;
  TrainingContext& context_;
  const absl::Duration least_interval_;
  convex_relu::Monitor monitor_;
  ThreadPool pool_;
  Course course_;
  std::vector<int32_t> fold_of_;
  std::unique_ptr<TrainingProblem> problem_;
  std::unique_ptr<ProblemSolver> solver_;
  convex_relu::ProductWork work_;  // of solvers that are gone
  uint64_t fingerprint_ = 0;
  absl::Duration last_save_ = absl::ZeroDuration();
  int64_t saved_ = 0;
  TrainingResult result_;
};

}  // namespace

absl::StatusOr<TrainingResult> TrainConvexRelu(const Spec& spec, const TableColumns& columns,
                                               std::shared_ptr<const Table> table,
                                               const Table* gate_table, TrainingContext& context,
                                               absl::Duration least_interval) {
  TY_ASSIGN_OR_RETURN(LearningTable data,
                      PrepareLearningTable(std::move(table), columns, spec.input().split(),
                                           spec.task() == Spec::TASK_CLASSIFICATION, context));
  return Trainer(spec, std::move(data), gate_table, context, least_interval).Run();
}

}  // namespace trainyard
