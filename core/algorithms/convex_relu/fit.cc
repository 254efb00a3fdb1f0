#include "core/algorithms/convex_relu/fit.h"

#include <algorithm>
#include <utility>

#include "core/algorithms/convex_relu/certificate.h"
#include "core/base/status.h"
#include "core/base/stopwatch.h"

namespace trainyard::convex_relu {
namespace {

void PutOptional(const std::optional<double>& value, ByteWriter& writer) {
  writer.Put(static_cast<uint8_t>(value.has_value()));
  writer.Put(value.value_or(0));
}

std::optional<double> TakeOptional(ByteReader& reader) {
  const bool given = reader.Take<uint8_t>() != 0;
  const double value = reader.Take<double>();
  return given ? std::optional<double>(value) : std::nullopt;
}

// How bad an end is.
int RankOf(SolveEnd end) {
  switch (end) {
    case SolveEnd::kGap:
      return 0;
    case SolveEnd::kSubgradient:
      return 1;
    case SolveEnd::kStalled:
      return 2;
    case SolveEnd::kIterations:
      return 3;
    case SolveEnd::kTime:
      return 4;
    case SolveEnd::kDiverged:
      break;
  }
  return 5;
}

std::optional<double> Greater(const std::optional<double>& a, const std::optional<double>& b) {
  if (!a.has_value() || !b.has_value()) return a.has_value() ? a : b;
  return std::max(*a, *b);
}

}  // namespace

std::optional<double> FitResult::relative_gap() const {
  if (!bound.has_value()) return std::nullopt;
  return RelativeGap(objective, *bound);
}

void PutBlocks(const std::vector<FitBlock>& blocks, ByteWriter& writer) {
  writer.Put(static_cast<uint64_t>(blocks.size()));
  for (const FitBlock& block : blocks) {
    writer.Put(static_cast<int32_t>(block.output));
    writer.Put(block.pattern);
    writer.Put(static_cast<int32_t>(block.sign));
    writer.PutList(block.weights);
  }
}

std::vector<FitBlock> TakeBlocks(ByteReader& reader) {
  std::vector<FitBlock> blocks;
  for (uint64_t left = reader.Take<uint64_t>(); left > 0 && reader.ok(); --left) {
    FitBlock block;
    block.output = reader.Take<int32_t>();
    block.pattern = reader.Take<int64_t>();
    block.sign = reader.Take<int32_t>();
    block.weights = reader.TakeList<double>();
    blocks.push_back(std::move(block));
  }
  return blocks;
}

void PutFit(const FitResult& fit, ByteWriter& writer) {
  writer.Put(fit.lambda);
  writer.Put(static_cast<int32_t>(fit.end));
  writer.Put(fit.objective);
  PutOptional(fit.bound, writer);
  writer.Put(fit.subgradient_norm_squared);
  writer.Put(fit.constraint_violation);
  writer.Put(fit.greatest_violation);
  writer.Put(fit.step);
  writer.Put(fit.iterations);
  writer.Put(fit.backtracks);
  writer.Put(fit.restarts);
  PutOptional(fit.gated_objective, writer);
  PutOptional(fit.norm_ratio, writer);
  writer.Put(fit.seconds);
  PutBlocks(fit.blocks, writer);
}

FitResult TakeFit(ByteReader& reader) {
  FitResult fit;
  fit.lambda = reader.Take<double>();
  fit.end = static_cast<SolveEnd>(reader.Take<int32_t>());
  fit.objective = reader.Take<double>();
  fit.bound = TakeOptional(reader);
  fit.subgradient_norm_squared = reader.Take<double>();
  fit.constraint_violation = reader.Take<double>();
  fit.greatest_violation = reader.Take<double>();
  fit.step = reader.Take<double>();
  fit.iterations = reader.Take<int64_t>();
  fit.backtracks = reader.Take<int64_t>();
  fit.restarts = reader.Take<int64_t>();
  fit.gated_objective = TakeOptional(reader);
  fit.norm_ratio = TakeOptional(reader);
  fit.seconds = reader.Take<double>();
  fit.blocks = TakeBlocks(reader);
  return fit;
}

absl::StatusOr<std::optional<double>> Fit::LargestLambda(
    const std::function<absl::Status()>& check) const {
  std::optional<double> largest;
  for (const Part& part : parts_) {
    TY_ASSIGN_OR_RETURN(const std::optional<double> own, part.solver->LargestLambda(check));
    largest = Greater(largest, own);
  }
  return largest;
}

absl::StatusOr<FitResult> Fit::Solve(double lambda, double time_seconds, const FitHooks& hooks) {
  if (next_part_ == 0) {
    result_ = FitResult();
    result_.lambda = lambda;
    result_.bound = 0;
  }
  const double seconds_before = result_.seconds;
  const Stopwatch watch;
  FitProgress progress;
  progress.parts = static_cast<int>(parts_.size());
  PartHooks own;
  own.check = hooks.check;
  own.report = [&](const PartProgress& current) {
    progress.current = current;
    if (hooks.report) hooks.report(progress);
  };
  own.checkpoint = [&]() -> absl::Status {
    result_.seconds = seconds_before + watch.Seconds();
    return hooks.checkpoint ? hooks.checkpoint() : absl::OkStatus();
  };
  for (; next_part_ < progress.parts; ++next_part_) {
    progress.part = next_part_;
    PartSolver& solver = *parts_[static_cast<size_t>(next_part_)].solver;
    // A part that comes after the time's end still says what it has.
    const double left = time_seconds > 0 ? std::max(time_seconds - watch.Seconds(), 1e-9) : 0;
    TY_ASSIGN_OR_RETURN(const SolveEnd end, solver.Solve(lambda, left, own));
    Add(next_part_, end);
  }
  result_.seconds = seconds_before + watch.Seconds();
  next_part_ = 0;
  result_.blocks = CurrentBlocks();
  for (const Part& part : parts_) part.solver->Restart();
  return std::exchange(result_, FitResult());
}

void Fit::WarmStart(std::span<const FitBlock> blocks) {
  int output = 0;
  for (const Part& part : parts_) {
    std::vector<FitBlock> own;
    for (const FitBlock& block : blocks) {
      if (block.output < output || block.output >= output + part.outputs) continue;
      own.push_back(block);
      own.back().output -= output;
    }
    part.solver->WarmStart(own);
    output += part.outputs;
  }
}

std::vector<FitBlock> Fit::CurrentBlocks() const {
  std::vector<FitBlock> blocks;
  int output = 0;
  for (const Part& part : parts_) {
    part.solver->Collect(output, blocks);
    output += part.outputs;
  }
  return blocks;
}

void Fit::Add(int part, SolveEnd end) {
  const PartProgress& progress = parts_[static_cast<size_t>(part)].solver->progress();
  const GatedProgress& solve = progress.solve;
  if (part == 0 || RankOf(end) > RankOf(result_.end)) result_.end = end;
  result_.objective += solve.objective;
  if (!progress.bounded) {
    result_.bound.reset();
  } else if (result_.bound.has_value()) {
    *result_.bound += solve.bound;
  }
  result_.subgradient_norm_squared += solve.subgradient_norm_squared;
  result_.constraint_violation += progress.constraint_violation;
  result_.greatest_violation = std::max(result_.greatest_violation, progress.greatest_violation);
  result_.step = solve.step;
  result_.iterations += solve.iterations;
  result_.backtracks += solve.backtracks;
  result_.restarts += solve.restarts;
  if (progress.gated_objective.has_value()) {
    result_.gated_objective = result_.gated_objective.value_or(0) + *progress.gated_objective;
  }
  result_.norm_ratio = Greater(result_.norm_ratio, progress.norm_ratio);
}

void Fit::Save(ByteWriter& writer) const {
  writer.Put(static_cast<int32_t>(next_part_));
  PutFit(result_, writer);
  for (const Part& part : parts_) part.solver->Save(writer);
}

void Fit::Load(ByteReader& reader) {
  next_part_ = reader.Take<int32_t>();
  result_ = TakeFit(reader);
  for (const Part& part : parts_) part.solver->Load(reader);
  if (next_part_ < 0 || next_part_ >= static_cast<int>(parts_.size())) reader.Fail();
}

}  // namespace trainyard::convex_relu
