#include "core/tensor/cpu/mixed_chunk_plan.h"

#include <algorithm>

namespace trainyard::cpu_attention {

ChunkSegments::ChunkSegments(const int32_t* segments, int64_t rows, int64_t chunk)
    : segments_(segments), rows_(rows), chunk_(chunk) {
  infos_.resize(static_cast<size_t>((rows + chunk - 1) / chunk));
  for (int64_t g = 0; g < chunks(); ++g) {
    Info& info = infos_[static_cast<size_t>(g)];
    const RowRange range = Rows(g);
    if (segments == nullptr) {
      info = {.low = 0, .high = 0, .real_rows = range.rows()};
      continue;
    }
    for (int64_t row = range.first; row < range.end; ++row) {
      if (segments[row] < 0) continue;
      info.low = info.real_rows == 0 ? segments[row] : std::min(info.low, segments[row]);
      info.high = info.real_rows == 0 ? segments[row] : std::max(info.high, segments[row]);
      ++info.real_rows;
    }
    info.uniform = info.low == info.high && info.real_rows == range.rows();
  }
}

RowRange ChunkSegments::Rows(int64_t chunk) const {
  return {chunk * chunk_, std::min((chunk + 1) * chunk_, rows_)};
}

bool ChunkSegments::Sees(int64_t chunk, int64_t other, bool causal) const {
  if (causal && other >= chunk) return false;
  const Info& a = infos_[static_cast<size_t>(chunk)];
  const Info& b = infos_[static_cast<size_t>(other)];
  return a.real_rows > 0 && b.real_rows > 0 && a.low <= b.high && b.low <= a.high;
}

void ChunkSegments::AddRealRows(int64_t chunk, std::vector<RowRange>& ranges) const {
  const RowRange rows = Rows(chunk);
  if (!has_padding(chunk)) {
    ranges.push_back(rows);
    return;
  }
  int64_t row = rows.first;
  while (row < rows.end) {
    while (row < rows.end && segments_[row] < 0) ++row;
    const int64_t first = row;
    while (row < rows.end && segments_[row] >= 0) ++row;
    if (first < row) ranges.push_back({first, row});
  }
}

std::vector<double> ChunkSegments::Weights(const MixedChunkArguments& arguments) const {
  std::vector<double> weights(infos_.size(), 0.0);
  int64_t before = 0;
  for (int64_t g = 0; g < chunks(); ++g) {
    int64_t seen = 0;
    if (segments_ == nullptr) {
      seen = arguments.causal ? before : rows_;
      before += Rows(g).rows();
    } else {
      for (int64_t h = 0; h < chunks(); ++h) {
        if (Sees(g, h, arguments.causal)) seen += infos_[static_cast<size_t>(h)].real_rows;
      }
    }
    if (seen == 0) continue;
    weights[static_cast<size_t>(g)] =
        1.0 / static_cast<double>(arguments.mean_over_chunks ? seen : arguments.chunk);
  }
  return weights;
}

// Without segments sums only grow: by the chunk before, or by all at once.
ScanPlan ChunkSegments::PlainPlan(const MixedChunkArguments& arguments, bool backward) const {
  ScanPlan plan;
  plan.steps.resize(infos_.size());
  plan.weights = Weights(arguments);
  for (int64_t visit = 0; visit < chunks(); ++visit) {
    const auto chunk_of = [&](int64_t place) { return backward ? chunks() - 1 - place : place; };
    ScanStep& step = plan.steps[static_cast<size_t>(chunk_of(visit))];
    step.first_range = plan.ranges.size();
    if (arguments.causal) {
      step.empty = visit == 0;
      step.reset = visit <= 1;
      if (visit > 0) plan.ranges.push_back(Rows(chunk_of(visit - 1)));
    } else {
      step.empty = false;
      step.reset = visit == 0;
      for (int64_t i = 0; step.reset && i < chunks(); ++i) plan.ranges.push_back(Rows(chunk_of(i)));
    }
    step.end_range = plan.ranges.size();
  }
  return plan;
}

ScanPlan ChunkSegments::SegmentPlan(const MixedChunkArguments& arguments, bool backward) const {
  ScanPlan plan;
  plan.steps.resize(infos_.size());
  plan.weights = Weights(arguments);
  std::vector<bool> held(infos_.size(), false);
  std::vector<int64_t> wanted;
  int64_t held_count = 0;
  for (int64_t visit = 0; visit < chunks(); ++visit) {
    const auto chunk_of = [&](int64_t place) { return backward ? chunks() - 1 - place : place; };
    const int64_t g = chunk_of(visit);
    ScanStep& step = plan.steps[static_cast<size_t>(g)];
    wanted.clear();
    int64_t kept = 0;
    for (int64_t i = 0; i < chunks(); ++i) {
      const int64_t h = chunk_of(i);
      const bool wants = backward ? Sees(h, g, arguments.causal) : Sees(g, h, arguments.causal);
      if (!wants) continue;
      wanted.push_back(h);
      kept += held[static_cast<size_t>(h)] ? 1 : 0;
    }
    step.reset = kept < held_count || held_count == 0;
    if (step.reset) held.assign(held.size(), false);
    step.first_range = plan.ranges.size();
    for (const int64_t h : wanted) {
      if (!held[static_cast<size_t>(h)]) AddRealRows(h, plan.ranges);
      held[static_cast<size_t>(h)] = true;
    }
    step.end_range = plan.ranges.size();
    held_count = static_cast<int64_t>(wanted.size());
    step.empty = held_count == 0;
  }
  return plan;
}

ScanPlan ChunkSegments::Plan(const MixedChunkArguments& arguments, bool backward) const {
  return segments_ == nullptr ? PlainPlan(arguments, backward) : SegmentPlan(arguments, backward);
}

ScanPlan ChunkSegments::ForwardPlan(const MixedChunkArguments& arguments) const {
  return Plan(arguments, false);
}

ScanPlan ChunkSegments::BackwardPlan(const MixedChunkArguments& arguments) const {
  return Plan(arguments, true);
}

}  // namespace trainyard::cpu_attention
