#include "core/algorithms/convex_relu/face_newton.h"

#include <Eigen/QR>
#include <algorithm>
#include <cmath>
#include <limits>

#include "core/base/status.h"

namespace trainyard::convex_relu {
namespace {

// Of the gradient, where steps are found by conjugate gradients.
constexpr double kIterativeTolerance = 1e-2;
// Share of the objective that a further step can win, where steps end.
constexpr double kLeastDecrement = 1e-24;
// The same, where rows are let go.
constexpr double kReleaseDecrement = 1e-9;
constexpr double kArmijo = 1e-4;
constexpr int kMaxHalvings = 30;
// Damping, relative to the diagonal of the second derivative.
constexpr double kLeastRidge = 1e-14;
constexpr double kFirstRidge = 1e-6;
constexpr double kMostRidge = 1e6;
// Blocks are zero below this share of the longest.
constexpr double kVanished = 1e-13;
// Rows are parallel to a face where the sine is below this.
constexpr double kIndependent = 1e-9;
// Multipliers of rows of norm 1 below this share of lambda are negative.
constexpr double kNegative = 1e-9;

}  // namespace

FaceNewton::FaceNewton(BlockProducts& products, const RowLoss& loss, double lambda,
                       const FaceNewtonOptions& options)
    : products_(products),
      loss_(loss),
      lambda_(lambda),
      options_(options),
      slopes_(loss.size()),
      curvature_(loss),
      dense_(MakeDenseFaceEquations(products, lambda)),
      iterative_(MakeIterativeFaceEquations(products, lambda, kIterativeTolerance)),
      face_products_(products) {}

absl::StatusOr<int> FaceNewton::Improve(const std::function<absl::Status()>& check,
                                        ConeWeights& point, Eigen::VectorXd& predictions) {
  if (!BuildFaces(point)) return 0;
  ridge_ = kLeastRidge;
  int steps = 0;
  double last = std::numeric_limits<double>::infinity();
  for (; steps < options_.max_steps; ++steps) {
    const int64_t unknowns = NumberUnknowns();
    if (unknowns == 0) break;
    if (unknowns > options_.max_dense_unknowns && !options_.iterative) break;
    if (DropVanished(predictions)) continue;
    TY_RETURN_IF_ERROR(Accumulate(check, predictions));
    TY_ASSIGN_OR_RETURN(const bool solved, Solve(check, kLeastRidge));
    if (!solved) break;
    const double decrement = -gradient_.dot(step_);
    const double objective = loss_.Value(predictions.data());
    if (decrement <= kReleaseDecrement * objective && GrowFaces()) continue;
    if (!(decrement > kLeastDecrement * objective)) break;
    TY_ASSIGN_OR_RETURN(const bool moved, Advance(check, predictions));
    if (!moved) break;
    const bool shrunk = ShrinkFaces();
    // At the end of the arithmetic's precision Newton's steps no longer shorten.
    if (!shrunk && decrement < 1e-16 * objective && decrement > 0.25 * last) break;
    last = shrunk ? std::numeric_limits<double>::infinity() : decrement;
  }
  Store(point);
  return steps;
}

// False where the faces need too much memory.
bool FaceNewton::BuildFaces(const ConeWeights& point) {
  faces_.clear();
  int64_t numbers = 0;
  for (size_t b = 0; b < point.blocks.size(); ++b) {
    if (point.IsZero(b)) continue;
    Face face;
    face.index = b;
    face.block = point.blocks[b];
    face.rows = point.active[b].rows;
    face.vector = Eigen::Map<const Eigen::VectorXd>(point.block(b), point.stride);
    if (!BuildBasis(face)) continue;
    numbers += face.basis.size();
    if (numbers > options_.max_basis_numbers) return false;
    faces_.push_back(std::move(face));
  }
  return true;
}

// False where nothing but zero is orthogonal to the rows.
bool FaceNewton::BuildBasis(Face& face) {
  const int d = products_.rows().features();
  const int count = static_cast<int>(face.rows.size());
  face.own_curvature.resize(0, 0);
  if (count >= d) return false;
  if (count == 0) {
    face.basis = Eigen::MatrixXd::Identity(d, d);
  } else {
    const Eigen::HouseholderQR<Eigen::MatrixXd> qr(Normals(face));
    Eigen::MatrixXd tail = Eigen::MatrixXd::Zero(d, d - count);
    tail.bottomRows(d - count).setIdentity();
    face.basis = qr.householderQ() * tail;
  }
  face.vector.head(d) = face.basis * (face.basis.transpose() * face.vector.head(d)).eval();
  face.norm = face.vector.norm();
  return face.norm > 0;
}

// The active rows s_j x_j / ||x_j|| as columns.
Eigen::MatrixXd FaceNewton::Normals(const Face& face) const {
  const ConeRows& rows = products_.rows();
  const uint64_t* bits = products_.patterns().pattern(face.block.pattern);
  Eigen::MatrixXd normals(rows.features(), static_cast<int64_t>(face.rows.size()));
  for (int64_t k = 0; k < normals.cols(); ++k) {
    const int32_t row = face.rows[static_cast<size_t>(k)];
    normals.col(k) = Eigen::Map<const Eigen::VectorXd>(rows.row(row), rows.features()) *
                     ((IsActive(bits, row) ? 1 : -1) * rows.inverse_norms()[row]);
  }
  return normals;
}

int64_t FaceNewton::NumberUnknowns() {
  int64_t unknowns = 0;
  for (Face& face : faces_) {
    face.offset = unknowns;
    unknowns += face.basis.cols();
  }
  return unknowns;
}

// Gradient and second derivative in the unknowns.
absl::Status FaceNewton::Accumulate(const std::function<absl::Status()>& check,
                                    const Eigen::VectorXd& predictions) {
  const int64_t unknowns = faces_.back().offset + faces_.back().basis.cols();
  loss_.Gradient(predictions.data(), slopes_.data());
  curvature_.Set(predictions.data());
  gradient_.resize(unknowns);
  if (check) TY_RETURN_IF_ERROR(check());
  const Eigen::MatrixXd adjoint = face_products_.Adjoint(faces_, slopes_);
  for (size_t f = 0; f < faces_.size(); ++f) {
    Face& face = faces_[f];
    face.gradient = adjoint.col(static_cast<int64_t>(f)) +
                    (lambda_ / face.norm) * face.vector.head(adjoint.rows());
    gradient_.segment(face.offset, face.basis.cols()) = face.basis.transpose() * face.gradient;
  }

  equations_ = unknowns <= options_.max_dense_unknowns ? dense_.get() : iterative_.get();
  solved_ridge_ = -1;
  return equations_->Set(check, curvature_, faces_);
}

// Moves by the least damped step that gets lower with every block going as far as its cone allows;
// damping makes blocks independent of each other, so that there is one. False at the end of the
// arithmetic's precision.
absl::StatusOr<bool> FaceNewton::Advance(const std::function<absl::Status()>& check,
                                         Eigen::VectorXd& predictions) {
  for (double ridge = ridge_; ridge < kMostRidge; ridge = std::max(30 * ridge, kFirstRidge)) {
    if (check) TY_RETURN_IF_ERROR(check());
    TY_ASSIGN_OR_RETURN(const bool solved, Solve(check, ridge));
    if (!solved) continue;
    face_products_.FindLongestSteps(kIndependent, faces_);
    if (!MoveEachFar(predictions)) continue;
    ridge_ = ridge > kFirstRidge ? ridge / 30 : kLeastRidge;
    return true;
  }
  ridge_ = kLeastRidge;
  TY_ASSIGN_OR_RETURN(const bool solved, Solve(check, ridge_));
  if (!solved) return false;
  face_products_.FindLongestSteps(kIndependent, faces_);
  return MoveAllEqually(predictions);
}

// Newton's step with at least that share of the diagonal added to it; false where it is no descent.
absl::StatusOr<bool> FaceNewton::Solve(const std::function<absl::Status()>& check, double ridge) {
  if (solved_ridge_ == ridge) return true;
  solved_ridge_ = -1;
  TY_ASSIGN_OR_RETURN(step_, equations_->Solve(check, gradient_, ridge));
  if (step_.size() != gradient_.size()) return false;
  const int d = products_.rows().features();
  for (Face& face : faces_) {
    face.direction.setZero(products_.rows().stride());
    face.direction.head(d) = face.basis * step_.segment(face.offset, face.basis.cols());
  }
  solved_ridge_ = ridge;
  return true;
}

// Each block goes along its step as far as its cone allows, or to zero where it would pass it, if
// that is lower.
bool FaceNewton::MoveEachFar(Eigen::VectorXd& predictions) {
  const int d = products_.rows().features();
  Eigen::MatrixXd moves(d, static_cast<int64_t>(faces_.size()));
  double slope = 0;
  for (size_t f = 0; f < faces_.size(); ++f) {
    const Face& face = faces_[f];
    auto move = moves.col(static_cast<int64_t>(f));
    move = face.longest * face.direction.head(d);
    const double along = move.dot(face.vector.head(d)) / face.norm;
    if (along <= -face.norm) move = -face.vector.head(d);
    slope += face.gradient.dot(move);
  }
  Eigen::VectorXd shifted;
  if (!(slope < 0) || !(Change(moves, slope, predictions, shifted) <= kArmijo * slope)) {
    return false;
  }
  Apply(moves);
  predictions = shifted;
  return true;
}

// All blocks go equally far along their steps, until the first leaves its cone. False where nothing
// lower is found.
bool FaceNewton::MoveAllEqually(Eigen::VectorXd& predictions) {
  double share = 1;
  for (const Face& face : faces_) share = std::min(share, face.longest);
  const double slope = gradient_.dot(step_);
  const int d = products_.rows().features();
  Eigen::MatrixXd moves(d, static_cast<int64_t>(faces_.size()));
  Eigen::VectorXd shifted;
  bool lower = share == 0;
  for (int trial = 0; share > 0 && !lower && trial < kMaxHalvings; ++trial) {
    for (size_t f = 0; f < faces_.size(); ++f) {
      moves.col(static_cast<int64_t>(f)) = share * faces_[f].direction.head(d);
    }
    lower = Change(moves, share * slope, predictions, shifted) <= kArmijo * share * slope;
    if (!lower) share *= 0.5;
  }
  if (!lower) return false;
  for (Face& face : faces_) {
    if (share < face.longest) face.blocking = -1;
  }
  // Rows that are in the way at once only become part of the faces.
  if (share == 0) return true;
  Apply(moves);
  predictions = shifted;
  return true;
}

void FaceNewton::Apply(const Eigen::MatrixXd& moves) {
  for (size_t f = 0; f < faces_.size(); ++f) {
    faces_[f].vector.head(moves.rows()) += moves.col(static_cast<int64_t>(f));
    faces_[f].norm = faces_[f].vector.norm();
    if (faces_[f].norm == 0) Vanish(faces_[f]);
  }
}

// Makes blocks zero that are so to rounding.
bool FaceNewton::DropVanished(Eigen::VectorXd& predictions) {
  double longest = 0;
  for (const Face& face : faces_) {
    if (!face.vector.isZero(0)) longest = std::max(longest, face.norm);
  }
  bool dropped = false;
  for (Face& face : faces_) {
    if (face.norm > kVanished * longest || face.vector.isZero(0)) continue;
    Eigen::VectorXd one(loss_.rows());
    products_.Forward(face.block.pattern, face.vector.data(), one.data());
    predictions.segment(face.block.output * loss_.rows(), loss_.rows()) -= face.block.sign * one;
    face.vector.setZero();
    Vanish(face);
    dropped = true;
  }
  return dropped;
}

// A block that has become zero stays so here.
void FaceNewton::Vanish(Face& face) {
  face.rows.clear();
  face.blocking = -1;
  face.basis.resize(face.basis.rows(), 0);
  face.norm = 1;  // a divisor
}

// Change of the objective, summed so that it is exact to its own size, for moves along which the
// objective begins with `slope`.
double FaceNewton::Change(const Eigen::MatrixXd& moves, double slope,
                          const Eigen::VectorXd& predictions, Eigen::VectorXd& shifted) {
  shifted = predictions;
  face_products_.AddForward(faces_, moves, shifted);
  double excess = 0;
  for (size_t f = 0; f < faces_.size(); ++f) {
    const Face& face = faces_[f];
    const auto move = moves.col(static_cast<int64_t>(f));
    const auto vector = face.vector.head(moves.rows());
    // ||v + m|| - ||v|| - m.v/||v||
    const double along = move.dot(vector) / face.norm;
    const double next = (vector + move).norm();
    const double across = std::max(move.squaredNorm() - along * along, 0.0);
    excess +=
        along > -0.5 * face.norm ? across / (next + face.norm + along) : next - face.norm - along;
  }
  return slope + loss_.Divergence(shifted.data(), predictions.data()) + lambda_ * excess;
}

// Adds the rows that ended steps to the faces. A block whose face would be nothing but zero has no
// unknowns any more.
bool FaceNewton::ShrinkFaces() {
  bool shrunk = false;
  for (Face& face : faces_) {
    if (face.blocking < 0) continue;
    shrunk = true;
    face.rows.push_back(face.blocking);
    const Eigen::VectorXd kept = face.vector;
    if (BuildBasis(face)) continue;
    face.vector = kept;
    face.norm = kept.norm();
    face.rows.pop_back();
    face.basis.resize(products_.rows().features(), 0);
  }
  return shrunk;
}

// Lets go of the row with the most negative multiplier of each face.
bool FaceNewton::GrowFaces() {
  bool grown = false;
  for (Face& face : faces_) {
    if (face.rows.empty()) continue;
    const Eigen::VectorXd multipliers = Normals(face).householderQr().solve(face.gradient);
    Eigen::Index least = 0;
    if (!(multipliers.minCoeff(&least) < -kNegative * lambda_)) continue;
    face.rows.erase(face.rows.begin() + least);
    BuildBasis(face);
    grown = true;
  }
  return grown;
}

void FaceNewton::Store(ConeWeights& point) const {
  for (const Face& face : faces_) {
    std::copy_n(face.vector.data(), point.stride, point.block(face.index));
    ActiveRows& active = point.active[face.index];
    active.multipliers.resize(face.rows.size(), 0.0);
    active.rows = face.rows;
  }
}

}  // namespace trainyard::convex_relu
