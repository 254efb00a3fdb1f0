// Newton's method for C-ReLU on the faces of the cones that the non-zero blocks lie on.
#pragma once

#include <Eigen/Core>
#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/algorithms/convex_relu/cone_blocks.h"
#include "core/algorithms/convex_relu/row_loss.h"

namespace trainyard::convex_relu {

struct FaceNewtonOptions {
  int max_steps = 200;
  // More unknowns (dimensions of all faces together) than this are not tried: a step costs
  // n unknowns^2 operations.
  int64_t max_unknowns = 1500;
};

// Where blocks are not zero and stay on the faces of their cones that their active rows define, the
// problem is smooth. Steps end at the boundary of a cone, which becomes part of the face; near the
// least value on the faces, rows whose multipliers are negative are let go.
class FaceNewton {
 public:
  // `loss` is of one output, squared or logistic.
  FaceNewton(BlockProducts& products, const RowLoss& loss, double lambda,
             const FaceNewtonOptions& options);

  // Lowers the objective from `point`, whose active rows must be those of its blocks;
  // `predictions` follow it. Returns the number of steps. Errors are those of `check`.
  absl::StatusOr<int> Improve(const std::function<absl::Status()>& check, ConeWeights& point,
                              Eigen::VectorXd& predictions);

 private:
  // A non-zero block on its face.
  struct Face {
    size_t index;  // in the point
    ConeBlock block;
    std::vector<int32_t> rows;  // active; independent
    Eigen::MatrixXd basis;      // d x f, orthonormal, of the vectors that are orthogonal to them
    Eigen::VectorXd vector;     // padded, as `direction`
    double norm = 0;
    Eigen::VectorXd gradient;  // of the objective, in all features
    int64_t offset = 0;        // of its unknowns
    Eigen::VectorXd direction;
    double longest = 1;  // share of the direction that stays in the cone, at most 1
    int32_t blocking = -1;
  };

  void BuildFaces(const ConeWeights& point);
  bool BuildBasis(Face& face);
  Eigen::MatrixXd Normals(const Face& face) const;
  int64_t NumberUnknowns();
  absl::Status Accumulate(const std::function<absl::Status()>& check,
                          const Eigen::VectorXd& predictions);
  void AccumulateRows(int64_t begin, int64_t end, Eigen::MatrixXd& hessian) const;
  void AddPenalty();
  bool DropVanished(Eigen::VectorXd& predictions);
  absl::StatusOr<bool> Advance(const std::function<absl::Status()>& check,
                               Eigen::VectorXd& predictions);
  bool Solve(double least);
  void FindLongestSteps();
  bool MoveEachFar(Eigen::VectorXd& predictions);
  bool MoveAllEqually(Eigen::VectorXd& predictions);
  void Apply(const std::vector<Eigen::VectorXd>& moves);
  double Change(const std::vector<Eigen::VectorXd>& moves, double slope,
                const Eigen::VectorXd& predictions, Eigen::VectorXd& shifted);
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
  Eigen::VectorXd curvature_;  // of the loss in each row
  Eigen::MatrixXd hessian_;
  Eigen::VectorXd gradient_;  // in the unknowns
  Eigen::VectorXd step_;
  double ridge_ = 0;     // that the next step tries first
  Eigen::VectorXd one_;  // predictions of one block
};

}  // namespace trainyard::convex_relu
