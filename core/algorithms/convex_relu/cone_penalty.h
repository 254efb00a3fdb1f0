// Squared penalties for leaving cones, for many blocks at once.
#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <functional>
#include <vector>

#include "core/algorithms/convex_relu/cone_blocks.h"

namespace trainyard::convex_relu {

// delta/2 sum over blocks b of ||(c_b - A_b u_b)_+||^2 as a function of the products A_b u_b, where
// A_b = (2 D_i - I) X for the block's pattern. Weights are [block][stride], products and shifts c
// [block][row]. Products are made and used in tiles of blocks by rows on the pool's threads;
// results do not depend on their number. Signs of blocks do not matter here.
class ConePenalty {
 public:
  // All but `blocks` must outlive it.
  ConePenalty(const ConeRows& rows, const PatternBits& patterns, ThreadPool& pool,
              std::vector<ConeBlock> blocks);

  int64_t weights_size() const { return count() * rows_.stride(); }
  int64_t products_size() const { return count() * rows_.rows(); }

  double delta() const { return delta_; }
  // Zero at first, which stands for zeros.
  std::vector<double>& shifts() { return shifts_; }
  void set_delta(double delta) { delta_ = delta; }

  // products_b = A_b u_b.
  void Multiply(const double* weights, double* products) const;
  double Value(const double* products) const;
  // Value(next) - Value(at) - <derivative at `at`, next - at>, of terms that are not negative.
  double Divergence(const double* next, const double* at) const;
  // gradient_b -= delta A_b^T (c_b - products_b)_+.
  void AddGradient(const double* products, double* gradient) const;

 private:
  int64_t count() const { return static_cast<int64_t>(blocks_.size()); }
  void RunTiles(const std::function<void(int64_t begin, int64_t end, int thread)>& task) const;
  double SumOverBlocks(const std::function<double(int64_t begin, int64_t end)>& term) const;
  void ApplySigns(int64_t block, int64_t begin, int64_t end, double* values) const;

  const ConeRows& rows_;
  const PatternBits& patterns_;
  ThreadPool& pool_;
  const std::vector<ConeBlock> blocks_;
  std::vector<double> shifts_;
  double delta_ = 1;
};

}  // namespace trainyard::convex_relu
