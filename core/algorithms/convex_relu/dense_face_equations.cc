#include <Eigen/Cholesky>
#include <algorithm>
#include <cmath>
#include <utility>

#include "core/algorithms/convex_relu/face_equations.h"
#include "core/algorithms/convex_relu/face_penalty.h"
#include "core/base/status.h"

namespace trainyard::convex_relu {
namespace {

constexpr int64_t kRowsOfStripe = 256;
// Groups of stripes that have a matrix of their own: fewer of large ones.
constexpr int64_t MostGroups(int64_t unknowns) { return unknowns <= 1500 ? 8 : 4; }
// Shares of the diagonal that are added until the matrix is positive definite.
constexpr double kMostRidge = 1e6;
constexpr double kRidgeGrowth = 100;

using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

class DenseFaceEquations final : public FaceEquations {
 public:
  DenseFaceEquations(BlockProducts& products, double lambda)
      : products_(products), lambda_(lambda) {}

  absl::Status Set(const std::function<absl::Status()>& check, const LossCurvature& curvature,
                   std::vector<Face>& faces) override {
    faces_ = &faces;
    curvature_ = &curvature;
    const int64_t unknowns = faces.back().offset + faces.back().basis.cols();
    const int64_t rows = products_.rows().rows();
    const int64_t stripes = (rows + kRowsOfStripe - 1) / kRowsOfStripe;
    const int64_t groups = std::min(stripes, MostGroups(unknowns));
    std::vector<Eigen::MatrixXd> sums(static_cast<size_t>(groups),
                                      Eigen::MatrixXd::Zero(unknowns, unknowns));
    absl::Status status;
    products_.pool().Run(groups, [&](int64_t group, int thread) {
      for (int64_t stripe = group; stripe < stripes; stripe += groups) {
        if (thread == 0 && check && status.ok()) status = check();
        if (thread == 0 && !status.ok()) return;
        AddRows(stripe * kRowsOfStripe, std::min((stripe + 1) * kRowsOfStripe, rows),
                sums[static_cast<size_t>(group)]);
      }
    });
    TY_RETURN_IF_ERROR(status);
    hessian_ = std::move(sums[0]);
    for (size_t group = 1; group < sums.size(); ++group) hessian_ += sums[group];
    AddPenalties();
    return absl::OkStatus();
  }

  absl::StatusOr<Eigen::VectorXd> Solve(const std::function<absl::Status()>& check,
                                        const Eigen::VectorXd& gradient, double least) override {
    const Eigen::ArrayXd diagonal = hessian_.diagonal().array() + lambda_ / LongestNorm(*faces_);
    for (double ridge = least; ridge < kMostRidge; ridge *= kRidgeGrowth) {
      if (check) TY_RETURN_IF_ERROR(check());
      Eigen::MatrixXd matrix = hessian_;
      matrix.diagonal().array() += ridge * diagonal;
      const Eigen::LLT<Eigen::MatrixXd> factors(matrix);
      if (factors.info() != Eigen::Success) continue;
      Eigen::VectorXd step = -factors.solve(gradient);
      if (step.allFinite() && step.dot(gradient) < 0) return step;
    }
    return Eigen::VectorXd();
  }

 private:
  // hessian += M^T phi'' M for some rows of M, lower triangle.
  void AddRows(int64_t begin, int64_t end, Eigen::MatrixXd& hessian) const {
    const ConeRows& rows = products_.rows();
    Eigen::MatrixXd m(end - begin, hessian.rows());
    const Eigen::Map<const RowMajor, Eigen::Aligned64, Eigen::OuterStride<>> x(
        rows.row(begin), end - begin, rows.features(), Eigen::OuterStride<>(rows.stride()));
    Eigen::MatrixXd roots(end - begin, curvature_->loss().outputs());
    for (int o = 0; o < roots.cols(); ++o) {
      for (int64_t j = begin; j < end; ++j)
        roots(j - begin, o) = std::sqrt(curvature_->first(o, j));
    }
    for (const Face& face : *faces_) {
      auto part = m.middleCols(face.offset, face.basis.cols());
      part.noalias() = x * face.basis;
      const uint64_t* bits = products_.patterns().pattern(face.block.pattern);
      for (int64_t j = begin; j < end; ++j) {
        part.row(j - begin) *=
            IsActive(bits, j) ? face.block.sign * roots(j - begin, face.block.output) : 0.0;
      }
    }
    AddOutputs(begin, m, hessian);
  }

  // The same from the rows of M times the roots of f: what each output has with itself, less the
  // products of the rows of M with s.
  void AddOutputs(int64_t begin, Eigen::MatrixXd& m, Eigen::MatrixXd& hessian) const {
    for (auto from = faces_->begin(); from != faces_->end();) {
      const auto to = std::find_if(from, faces_->end(), [&](const Face& face) {
        return face.block.output != from->block.output;
      });
      const int64_t first = from->offset;
      const int64_t size = (to == faces_->end() ? m.cols() : to->offset) - first;
      auto part = m.middleCols(first, size);
      hessian.block(first, first, size, size)
          .selfadjointView<Eigen::Lower>()
          .rankUpdate(part.transpose());
      for (int64_t j = 0; curvature_->coupled() && j < m.rows(); ++j) {
        const double root = std::sqrt(curvature_->first(from->block.output, begin + j));
        part.row(j) *= root > 0 ? curvature_->second(from->block.output, begin + j) / root : 0.0;
      }
      from = to;
    }
    if (curvature_->coupled()) {
      hessian.selfadjointView<Eigen::Lower>().rankUpdate(m.transpose(), -1);
    }
  }

  void AddPenalties() {
    for (const Face& face : *faces_) {
      const int64_t size = face.basis.cols();
      hessian_.block(face.offset, face.offset, size, size) += PenaltyCurvature(face, lambda_);
    }
  }

  BlockProducts& products_;
  const double lambda_;
  const std::vector<Face>* faces_ = nullptr;
  const LossCurvature* curvature_ = nullptr;
  Eigen::MatrixXd hessian_;
};

}  // namespace

std::unique_ptr<FaceEquations> MakeDenseFaceEquations(BlockProducts& products, double lambda) {
  return std::make_unique<DenseFaceEquations>(products, lambda);
}

}  // namespace trainyard::convex_relu
