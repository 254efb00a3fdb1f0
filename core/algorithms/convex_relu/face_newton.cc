#include "core/algorithms/convex_relu/face_newton.h"

#include <Eigen/Cholesky>
#include <Eigen/QR>
#include <algorithm>
#include <cmath>
#include <limits>

#include "core/base/status.h"

namespace trainyard::convex_relu {
namespace {

constexpr int64_t kRowsOfStripe = 256;
constexpr int64_t kMaxGroups = 8;  // of stripes that have a matrix of their own
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

using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

}  // namespace

FaceNewton::FaceNewton(BlockProducts& products, const RowLoss& loss, double lambda,
                       const FaceNewtonOptions& options)
    : products_(products),
      loss_(loss),
      lambda_(lambda),
      options_(options),
      slopes_(products.rows().rows()),
      curvature_(products.rows().rows()),
      one_(products.rows().rows()) {}

absl::StatusOr<int> FaceNewton::Improve(const std::function<absl::Status()>& check,
                                        ConeWeights& point, Eigen::VectorXd& predictions) {
  BuildFaces(point);
  ridge_ = kLeastRidge;
  int steps = 0;
  double last = std::numeric_limits<double>::infinity();
  for (; steps < options_.max_steps; ++steps) {
    const int64_t unknowns = NumberUnknowns();
    if (unknowns == 0 || unknowns > options_.max_unknowns) break;
    if (DropVanished(predictions)) continue;
    TY_RETURN_IF_ERROR(Accumulate(check, predictions));
    if (!Solve(kLeastRidge)) break;
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

void FaceNewton::BuildFaces(const ConeWeights& point) {
  faces_.clear();
  for (size_t b = 0; b < point.blocks.size(); ++b) {
    if (point.IsZero(b)) continue;
    Face face;
    face.index = b;
    face.block = point.blocks[b];
    face.rows = point.active[b].rows;
    face.vector = Eigen::Map<const Eigen::VectorXd>(point.block(b), point.stride);
    if (BuildBasis(face)) faces_.push_back(std::move(face));
  }
}

// False where nothing but zero is orthogonal to the rows.
bool FaceNewton::BuildBasis(Face& face) {
  const int d = products_.rows().features();
  const int count = static_cast<int>(face.rows.size());
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
  loss_.Curvature(predictions.data(), curvature_.data());
  gradient_.resize(unknowns);
  Eigen::VectorXd full(products_.rows().stride());
  for (Face& face : faces_) {
    if (check) TY_RETURN_IF_ERROR(check());
    products_.Adjoint(face.block.pattern, slopes_.data(), full.data());
    full = face.block.sign * full + (lambda_ / face.norm) * face.vector;
    face.gradient = full.head(products_.rows().features());
    gradient_.segment(face.offset, face.basis.cols()) = face.basis.transpose() * face.gradient;
  }

  const int64_t rows = products_.rows().rows();
  const int64_t stripes = (rows + kRowsOfStripe - 1) / kRowsOfStripe;
  const int64_t groups = std::min(stripes, kMaxGroups);
  std::vector<Eigen::MatrixXd> sums(static_cast<size_t>(groups),
                                    Eigen::MatrixXd::Zero(unknowns, unknowns));
  absl::Status status;
  products_.pool().Run(groups, [&](int64_t group, int thread) {
    for (int64_t stripe = group; stripe < stripes; stripe += groups) {
      if (thread == 0 && check && status.ok()) status = check();
      if (thread == 0 && !status.ok()) return;
      AccumulateRows(stripe * kRowsOfStripe, std::min((stripe + 1) * kRowsOfStripe, rows),
                     sums[static_cast<size_t>(group)]);
    }
  });
  TY_RETURN_IF_ERROR(status);
  hessian_ = sums[0];
  for (size_t group = 1; group < sums.size(); ++group) hessian_ += sums[group];
  AddPenalty();
  return absl::OkStatus();
}

// hessian += M^T diag(curvature) M for some rows of M = [sign D X basis], lower triangle.
void FaceNewton::AccumulateRows(int64_t begin, int64_t end, Eigen::MatrixXd& hessian) const {
  const ConeRows& rows = products_.rows();
  Eigen::MatrixXd m(end - begin, hessian.rows());
  const Eigen::Map<const RowMajor, Eigen::Aligned64, Eigen::OuterStride<>> x(
      rows.row(begin), end - begin, rows.features(), Eigen::OuterStride<>(rows.stride()));
  const Eigen::ArrayXd roots = curvature_.segment(begin, end - begin).array().sqrt();
  for (const Face& face : faces_) {
    auto part = m.middleCols(face.offset, face.basis.cols());
    part.noalias() = x * face.basis;
    const uint64_t* bits = products_.patterns().pattern(face.block.pattern);
    for (int64_t j = begin; j < end; ++j) {
      part.row(j - begin) *= IsActive(bits, j) ? face.block.sign * roots[j - begin] : 0.0;
    }
  }
  hessian.selfadjointView<Eigen::Lower>().rankUpdate(m.transpose());
}

void FaceNewton::AddPenalty() {
  for (const Face& face : faces_) {
    const int64_t size = face.basis.cols();
    const Eigen::VectorXd unit =
        face.basis.transpose() * face.vector.head(products_.rows().features()) / face.norm;
    hessian_.block(face.offset, face.offset, size, size) +=
        (lambda_ / face.norm) * (Eigen::MatrixXd::Identity(size, size) - unit * unit.transpose());
  }
}

// Moves by the least damped step that gets lower with every block going as far as its cone allows;
// damping makes blocks independent of each other, so that there is one. False at the end of the
// arithmetic's precision.
absl::StatusOr<bool> FaceNewton::Advance(const std::function<absl::Status()>& check,
                                         Eigen::VectorXd& predictions) {
  for (double ridge = ridge_; ridge < kMostRidge; ridge = std::max(30 * ridge, kFirstRidge)) {
    if (check) TY_RETURN_IF_ERROR(check());
    if (!Solve(ridge)) continue;
    FindLongestSteps();
    if (!MoveEachFar(predictions)) continue;
    ridge_ = ridge > kFirstRidge ? ridge / 30 : kLeastRidge;
    return true;
  }
  ridge_ = kLeastRidge;
  if (!Solve(ridge_)) return false;
  FindLongestSteps();
  return MoveAllEqually(predictions);
}

// Newton's step with at least that share of the diagonal added to it; false where it is no descent.
bool FaceNewton::Solve(double least) {
  // Relative to each unknown: those of short blocks are far stiffer than the others.
  double longest = 0;
  for (const Face& face : faces_) longest = std::max(longest, face.norm);
  const Eigen::ArrayXd diagonal = hessian_.diagonal().array() + lambda_ / longest;
  step_.resize(0);
  for (double ridge = least; ridge < kMostRidge; ridge *= 100) {
    Eigen::MatrixXd matrix = hessian_;
    matrix.diagonal().array() += ridge * diagonal;
    const Eigen::LLT<Eigen::MatrixXd> factors(matrix);
    if (factors.info() != Eigen::Success) continue;
    step_ = -factors.solve(gradient_);
    if (step_.allFinite() && step_.dot(gradient_) < 0) break;
    step_.resize(0);
  }
  if (step_.size() != gradient_.size()) return false;
  const int d = products_.rows().features();
  for (Face& face : faces_) {
    face.direction.setZero(products_.rows().stride());
    face.direction.head(d) = face.basis * step_.segment(face.offset, face.basis.cols());
  }
  return true;
}

// How far each block may go before it leaves its cone, and at which row.
void FaceNewton::FindLongestSteps() {
  const ConeRows& rows = products_.rows();
  Eigen::VectorXd rates(rows.rows());
  for (Face& face : faces_) {
    rows.Multiply(face.vector.data(), one_.data());
    rows.Multiply(face.direction.data(), rates.data());
    const uint64_t* bits = products_.patterns().pattern(face.block.pattern);
    const double least = -kIndependent * face.direction.norm();
    face.longest = 1;
    face.blocking = -1;
    for (int32_t j = 0; j < static_cast<int32_t>(rows.rows()); ++j) {
      const double scale = (IsActive(bits, j) ? 1 : -1) * rows.inverse_norms()[j];
      const double rate = scale * rates[j];
      if (rate >= least) continue;
      const double slack = std::max(scale * one_[j], 0.0);
      if (slack >= -rate * face.longest) continue;
      if (std::find(face.rows.begin(), face.rows.end(), j) != face.rows.end()) continue;
      face.longest = slack / -rate;
      face.blocking = j;
    }
  }
}

// Each block goes along its step as far as its cone allows, or to zero where it would pass it, if
// that is lower.
bool FaceNewton::MoveEachFar(Eigen::VectorXd& predictions) {
  std::vector<Eigen::VectorXd> moves(faces_.size());
  double slope = 0;
  for (size_t f = 0; f < faces_.size(); ++f) {
    const Face& face = faces_[f];
    moves[f] = face.longest * face.direction;
    const double along = moves[f].dot(face.vector) / face.norm;
    if (along <= -face.norm) moves[f] = -face.vector;
    slope += face.gradient.dot(moves[f].head(face.gradient.size()));
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
  std::vector<Eigen::VectorXd> moves(faces_.size());
  Eigen::VectorXd shifted;
  bool lower = share == 0;
  for (int trial = 0; share > 0 && !lower && trial < kMaxHalvings; ++trial) {
    for (size_t f = 0; f < faces_.size(); ++f) moves[f] = share * faces_[f].direction;
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

void FaceNewton::Apply(const std::vector<Eigen::VectorXd>& moves) {
  for (size_t f = 0; f < faces_.size(); ++f) {
    faces_[f].vector += moves[f];
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
    products_.Forward(face.block.pattern, face.vector.data(), one_.data());
    predictions -= face.block.sign * one_;
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
double FaceNewton::Change(const std::vector<Eigen::VectorXd>& moves, double slope,
                          const Eigen::VectorXd& predictions, Eigen::VectorXd& shifted) {
  shifted = predictions;
  double excess = 0;
  for (size_t f = 0; f < faces_.size(); ++f) {
    const Face& face = faces_[f];
    products_.Forward(face.block.pattern, moves[f].data(), one_.data());
    shifted += face.block.sign * one_;
    // ||v + m|| - ||v|| - m.v/||v||
    const double along = moves[f].dot(face.vector) / face.norm;
    const double next = (face.vector + moves[f]).norm();
    const double across = std::max(moves[f].squaredNorm() - along * along, 0.0);
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
