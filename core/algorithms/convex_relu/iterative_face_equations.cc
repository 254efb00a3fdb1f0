#include <Eigen/Cholesky>
#include <algorithm>
#include <cmath>
#include <utility>

#include "core/algorithms/convex_relu/face_equations.h"
#include "core/algorithms/convex_relu/face_penalty.h"
#include "core/algorithms/convex_relu/face_products.h"
#include "core/base/status.h"

namespace trainyard::convex_relu {
namespace {

constexpr int64_t kRowsOfStripe = 256;
constexpr int kMaxIterations = 1000;

using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using StripeRows = Eigen::Map<const RowMajor, Eigen::Aligned64, Eigen::OuterStride<>>;

class IterativeFaceEquations final : public FaceEquations {
 public:
  IterativeFaceEquations(BlockProducts& products, double lambda, double tolerance)
      : products_(products), face_products_(products), lambda_(lambda), tolerance_(tolerance) {}

  absl::Status Set(const std::function<absl::Status()>& check, const LossCurvature& curvature,
                   std::vector<Face>& faces) override {
    faces_ = &faces;
    curvature_ = &curvature;
    absl::Status status;
    products_.pool().Run(static_cast<int64_t>(faces.size()), [&](int64_t index, int thread) {
      if (thread == 0 && check && status.ok()) status = check();
      if (thread == 0 && !status.ok()) return;
      Face& face = faces[static_cast<size_t>(index)];
      // That of a quadratic loss changes with the face alone.
      const bool known = curvature.loss().quadratic() &&
                         face.own_curvature.cols() == face.basis.cols() &&
                         face.own_curvature.size() > 0;
      if (!known) face.own_curvature = OwnCurvature(face);
    });
    return status;
  }

  absl::StatusOr<Eigen::VectorXd> Solve(const std::function<absl::Status()>& check,
                                        const Eigen::VectorXd& gradient, double ridge) override {
    Factorise(ridge);
    Eigen::VectorXd step = Eigen::VectorXd::Zero(gradient.size());
    Eigen::VectorXd rest = -gradient;
    Eigen::VectorXd scaled = Precondition(rest);
    Eigen::VectorXd direction = scaled;
    double size = rest.dot(scaled);
    const double enough = tolerance_ * tolerance_ * size;
    for (int iteration = 0; iteration < kMaxIterations && size > enough; ++iteration) {
      if (check) TY_RETURN_IF_ERROR(check());
      const Eigen::VectorXd product = Multiply(direction);
      const double curvature = direction.dot(product);
      if (!(curvature > 0)) break;  // the arithmetic's end
      const double length = size / curvature;
      step += length * direction;
      rest -= length * product;
      scaled = Precondition(rest);
      const double next = rest.dot(scaled);
      direction = scaled + next / size * direction;
      size = next;
    }
    if (!step.allFinite() || !(step.dot(gradient) < 0)) return Eigen::VectorXd();
    return step;
  }

 private:
  StripeRows Stripe(int64_t begin, int64_t end) const {
    const ConeRows& rows = products_.rows();
    return {rows.row(begin), end - begin, rows.features(), Eigen::OuterStride<>(rows.stride())};
  }

  // basis^T X^T D f X basis with f the loss's second derivative for the face's output.
  Eigen::MatrixXd OwnCurvature(const Face& face) const {
    const int64_t rows = products_.rows().rows();
    const uint64_t* bits = products_.patterns().pattern(face.block.pattern);
    Eigen::MatrixXd sum = Eigen::MatrixXd::Zero(face.basis.cols(), face.basis.cols());
    for (int64_t begin = 0; begin < rows && face.basis.cols() > 0; begin += kRowsOfStripe) {
      const int64_t end = std::min(begin + kRowsOfStripe, rows);
      Eigen::MatrixXd part = Stripe(begin, end) * face.basis;
      for (int64_t j = begin; j < end; ++j) {
        part.row(j - begin) *=
            IsActive(bits, j) ? std::sqrt(curvature_->Diagonal(face.block.output, j)) : 0.0;
      }
      sum.selfadjointView<Eigen::Lower>().rankUpdate(part.transpose());
    }
    return sum;
  }

  // The preconditioner, and what is added to the diagonal.
  void Factorise(double ridge) {
    const double least = lambda_ / LongestNorm(*faces_);
    factors_.resize(faces_->size());
    added_.resize(faces_->size());
    products_.pool().Run(static_cast<int64_t>(faces_->size()), [&](int64_t index, int) {
      const size_t f = static_cast<size_t>(index);
      const Face& face = (*faces_)[f];
      if (face.basis.cols() == 0) return;
      Eigen::MatrixXd own = face.own_curvature + PenaltyCurvature(face, lambda_);
      added_[f] = ridge * (own.diagonal().array() + least);
      own.diagonal().array() += added_[f];
      factors_[f].compute(own);
    });
  }

  Eigen::VectorXd Precondition(const Eigen::VectorXd& rest) const {
    Eigen::VectorXd scaled(rest.size());
    for (size_t f = 0; f < faces_->size(); ++f) {
      const Face& face = (*faces_)[f];
      const auto own = rest.segment(face.offset, face.basis.cols());
      auto to = scaled.segment(face.offset, face.basis.cols());
      if (own.size() == 0) continue;
      if (factors_[f].info() == Eigen::Success) {
        to = factors_[f].solve(own);
      } else {
        to = own;
      }
    }
    return scaled;
  }

  // (M^T phi'' M + penalties + what is added) x.
  Eigen::VectorXd Multiply(const Eigen::VectorXd& x) const {
    const int64_t d = products_.rows().features();
    Eigen::MatrixXd vectors(d, static_cast<int64_t>(faces_->size()));
    for (size_t f = 0; f < faces_->size(); ++f) {
      const Face& face = (*faces_)[f];
      vectors.col(static_cast<int64_t>(f)) = face.basis * x.segment(face.offset, face.basis.cols());
    }
    const Eigen::MatrixXd sums = face_products_.Curvature(*faces_, *curvature_, vectors);
    Eigen::VectorXd product(x.size());
    for (size_t f = 0; f < faces_->size(); ++f) {
      const Face& face = (*faces_)[f];
      const auto own = x.segment(face.offset, face.basis.cols());
      if (own.size() == 0) continue;
      const Eigen::VectorXd unit = UnitOf(face);
      product.segment(face.offset, own.size()) =
          face.basis.transpose() * sums.col(static_cast<int64_t>(f)) +
          lambda_ / face.norm * (own - unit.dot(own) * unit) + (added_[f] * own.array()).matrix();
    }
    return product;
  }

  BlockProducts& products_;
  const FaceProducts face_products_;
  const double lambda_;
  const double tolerance_;
  const std::vector<Face>* faces_ = nullptr;
  const LossCurvature* curvature_ = nullptr;
  std::vector<Eigen::LLT<Eigen::MatrixXd>> factors_;  // by face
  std::vector<Eigen::ArrayXd> added_;                 // by face, to the diagonal
};

}  // namespace

std::unique_ptr<FaceEquations> MakeIterativeFaceEquations(BlockProducts& products, double lambda,
                                                          double tolerance) {
  return std::make_unique<IterativeFaceEquations>(products, lambda, tolerance);
}

}  // namespace trainyard::convex_relu
