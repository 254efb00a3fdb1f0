// The vectors of C-ReLU and the products with one of them.
#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <vector>

#include "core/algorithms/convex_relu/cone_projection.h"
#include "core/algorithms/convex_relu/pattern_bits.h"
#include "core/base/thread_pool.h"

namespace trainyard::convex_relu {

// One vector of C-ReLU, z^o = sum_i D_i X (v^o_i - w^o_i): v_i with sign 1 or w_i with sign -1.
struct ConeBlock {
  int64_t pattern = 0;
  int sign = 1;
  int output = 0;

  friend bool operator==(const ConeBlock&, const ConeBlock&) = default;
  // Outputs ascend, then patterns; v before w.
  friend bool operator<(const ConeBlock& a, const ConeBlock& b) {
    if (a.output != b.output) return a.output < b.output;
    return a.pattern != b.pattern ? a.pattern < b.pattern : a.sign > b.sign;
  }
};

// Blocks with their weights in K: a point of C-ReLU.
struct ConeWeights {
  int stride = 0;
  std::vector<ConeBlock> blocks;   // ascending
  std::vector<double> weights;     // [block][stride], padded with zeros
  std::vector<ActiveRows> active;  // of the projection that gave each block
  std::vector<double> curvature;   // of the loss along each block, as far as known; 0: not

  double* block(size_t index) { return weights.data() + static_cast<int64_t>(index) * stride; }
  const double* block(size_t index) const {
    return weights.data() + static_cast<int64_t>(index) * stride;
  }
  bool IsZero(size_t index) const;
  double Norm(size_t index) const;
  // sum ||v|| + ||w||.
  double SumOfNorms() const;
  int64_t ActiveBlocks() const;
  // Appends blocks of zeros that are not there yet; keeps the order.
  void Add(std::vector<ConeBlock> added);
  void DropZeros();
};

// Products with D X of single patterns, by parts of the rows on the pool's threads; results do not
// depend on their number.
class BlockProducts {
 public:
  BlockProducts(const ConeRows& rows, const PatternBits& patterns, ThreadPool& pool);

  const ConeRows& rows() const { return rows_; }
  const PatternBits& patterns() const { return patterns_; }
  ThreadPool& pool() { return pool_; }

  // predictions = D_pattern X u, zero in rows that are not active.
  void Forward(int64_t pattern, const double* u, double* predictions);
  // gradient = X^T D_pattern slopes.
  void Adjoint(int64_t pattern, const double* slopes, double* gradient);
  // predictions = sum over blocks of sign D X u, [output][row].
  void Predict(const ConeWeights& point, int outputs, double* predictions);

 private:
  void RunParts(const std::function<void(int64_t part, int64_t begin, int64_t end)>& task);

  const ConeRows& rows_;
  const PatternBits& patterns_;
  ThreadPool& pool_;
  int64_t parts_;
  Eigen::MatrixXd partial_;  // stride x parts
  Eigen::VectorXd masked_;
};

}  // namespace trainyard::convex_relu
