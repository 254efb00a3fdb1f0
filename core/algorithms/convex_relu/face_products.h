// Products of the data with the vectors of many faces at once.
#pragma once

#include <Eigen/Core>
#include <functional>
#include <vector>

#include "core/algorithms/convex_relu/cone_blocks.h"
#include "core/algorithms/convex_relu/face.h"
#include "core/algorithms/convex_relu/loss_curvature.h"

namespace trainyard::convex_relu {

// Reads the data once for all faces, in stripes of rows on the pool's threads. A vector of d
// numbers for each face is a column of a matrix; predictions and slopes are [output][row]. Results
// do not depend on the number of threads.
class FaceProducts {
 public:
  // Keeps the products, which must outlive it.
  explicit FaceProducts(BlockProducts& products) : products_(products) {}

  // predictions += sum over faces of sign D X vector.
  void AddForward(const std::vector<Face>& faces, const Eigen::MatrixXd& vectors,
                  Eigen::VectorXd& predictions) const;

  // sign X^T D slopes for each face.
  Eigen::MatrixXd Adjoint(const std::vector<Face>& faces, const Eigen::VectorXd& slopes) const;

  // sign X^T D phi'' z for each face, z = sum over faces of sign D X vector.
  Eigen::MatrixXd Curvature(const std::vector<Face>& faces, const LossCurvature& curvature,
                            const Eigen::MatrixXd& vectors) const;

  // How far each face's vector may go along its direction, at most 1, before it leaves its cone,
  // and at which row: `longest` and `blocking`. Rows of norm 1 that move against the direction by
  // less than `parallel` of its norm do not count, nor do active ones.
  void FindLongestSteps(double parallel, std::vector<Face>& faces) const;

 private:
  using StripeTask = std::function<void(int64_t begin, int64_t end)>;
  using SumTask = std::function<void(int64_t begin, int64_t end, Eigen::MatrixXd& sums)>;

  void RunStripes(const StripeTask& task) const;
  // The sum of what the task adds for each stripe, in an order that the shape alone decides.
  Eigen::MatrixXd SumOverStripes(int64_t rows, int64_t columns, const SumTask& task) const;
  // outputs' predictions += the faces' products with rows from `begin` on.
  void Gather(const std::vector<Face>& faces, int64_t begin, const Eigen::MatrixXd& each,
              Eigen::Ref<Eigen::MatrixXd> outputs) const;
  // The outputs' slopes as each face sees them.
  void Spread(const std::vector<Face>& faces, int64_t begin,
              const Eigen::Ref<const Eigen::MatrixXd>& outputs, Eigen::MatrixXd& each) const;

  BlockProducts& products_;
};

}  // namespace trainyard::convex_relu
