// The equations of Newton's step for C-ReLU in the unknowns of faces.
#pragma once

#include <Eigen/Core>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/algorithms/convex_relu/cone_blocks.h"
#include "core/algorithms/convex_relu/face.h"
#include "core/algorithms/convex_relu/loss_curvature.h"

namespace trainyard::convex_relu {

// H step = -gradient for the second derivative H of the objective: M^T phi'' M + the penalties',
// M = [sign D X basis] of all faces side by side. Results do not depend on the number of threads.
class FaceEquations {
 public:
  virtual ~FaceEquations() = default;

  // Takes the equations at the faces' vectors, which have one unknown at least and must stay as
  // they are until the next call. Errors are those of `check`, which may be empty.
  virtual absl::Status Set(const std::function<absl::Status()>& check,
                           const LossCurvature& curvature, std::vector<Face>& faces) = 0;

  // The step with at least that share of H's diagonal added to it, an empty one where the
  // arithmetic finds no descent.
  virtual absl::StatusOr<Eigen::VectorXd> Solve(const std::function<absl::Status()>& check,
                                                const Eigen::VectorXd& gradient, double ridge) = 0;
};

// By the matrix itself and its Cholesky factors: n unknowns^2 + unknowns^3 / 3 operations. Faces
// with the same output must be next to each other.
std::unique_ptr<FaceEquations> MakeDenseFaceEquations(BlockProducts& products, double lambda);

// By conjugate gradients with products that cost 4 n d operations for each face, preconditioned
// with each face's own part of the matrix. Solved to `tolerance` of the gradient in the norm of the
// preconditioner.
std::unique_ptr<FaceEquations> MakeIterativeFaceEquations(BlockProducts& products, double lambda,
                                                          double tolerance);

}  // namespace trainyard::convex_relu
