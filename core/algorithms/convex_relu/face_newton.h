// Newton's method for C-ReLU on the faces of the cones that the non-zero blocks lie on.
#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/algorithms/convex_relu/cone_blocks.h"
#include "core/algorithms/convex_relu/face.h"
#include "core/algorithms/convex_relu/face_equations.h"
#include "core/algorithms/convex_relu/face_products.h"
#include "core/algorithms/convex_relu/loss_curvature.h"
#include "core/algorithms/convex_relu/row_loss.h"

namespace trainyard::convex_relu {

struct FaceNewtonOptions {
  int max_steps = 200;
  // Up to so many unknowns (dimensions of all faces together) the equations of a step are solved by
  // their matrix, n unknowns^2 operations. Its factors at the limit take 80 ms, in which nobody is
  // asked whether to go on.
  int64_t max_dense_unknowns = 2200;
  // Whether more of them are solved by conjugate gradients. Otherwise such points are left alone:
  // proximal steps alone were quicker where that was measured.
  bool iterative = false;
  // Blocks whose faces' bases have more numbers than this together are left alone.
  int64_t max_basis_numbers = int64_t{1} << 24;
};

// Where blocks are not zero and stay on the faces of their cones that their active rows define, the
// problem is smooth. Steps end at the boundary of a cone, which becomes part of the face; near the
// least value on the faces, rows whose multipliers are negative are let go.
class FaceNewton {
 public:
  FaceNewton(BlockProducts& products, const RowLoss& loss, double lambda,
             const FaceNewtonOptions& options);

  // Lowers the objective from `point`, whose active rows must be those of its blocks;
  // `predictions`, [output][row], follow it. Returns the number of steps. Errors are those of
  // `check`.
  absl::StatusOr<int> Improve(const std::function<absl::Status()>& check, ConeWeights& point,
                              Eigen::VectorXd& predictions);

 private:
  bool BuildFaces(const ConeWeights& point);
  bool BuildBasis(Face& face);
  Eigen::MatrixXd Normals(const Face& face) const;
  int64_t NumberUnknowns();
  absl::Status Accumulate(const std::function<absl::Status()>& check,
                          const Eigen::VectorXd& predictions);
  bool DropVanished(Eigen::VectorXd& predictions);
  absl::StatusOr<bool> Advance(const std::function<absl::Status()>& check,
                               Eigen::VectorXd& predictions);
  absl::StatusOr<bool> Solve(const std::function<absl::Status()>& check, double ridge);
  bool MoveEachFar(Eigen::VectorXd& predictions);
  bool MoveAllEqually(Eigen::VectorXd& predictions);
  void Apply(const Eigen::MatrixXd& moves);
  double Change(const Eigen::MatrixXd& moves, double slope, const Eigen::VectorXd& predictions,
                Eigen::VectorXd& shifted);
  static void Vanish(Face& face);
  bool ShrinkFaces();
  bool GrowFaces();
  void Store(ConeWeights& point) const;

  BlockProducts& products_;
  const RowLoss& loss_;
  const double lambda_;
  const FaceNewtonOptions options_;
  std::vector<Face> faces_;
  Eigen::VectorXd slopes_;
  LossCurvature curvature_;
  const std::unique_ptr<FaceEquations> dense_;
  const std::unique_ptr<FaceEquations> iterative_;
  const FaceProducts face_products_;
  FaceEquations* equations_ = nullptr;  // the one of them that is in use
  Eigen::VectorXd gradient_;            // in the unknowns
  Eigen::VectorXd step_;
  double ridge_ = 0;          // that the next step tries first
  double solved_ridge_ = -1;  // that `step_` is for; -1: none
};

}  // namespace trainyard::convex_relu
