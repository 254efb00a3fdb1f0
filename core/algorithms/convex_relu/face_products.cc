#include "core/algorithms/convex_relu/face_products.h"

#include <algorithm>
#include <utility>

namespace trainyard::convex_relu {
namespace {

constexpr int64_t kRowsOfStripe = 128;
constexpr int64_t kMaxGroups = 8;  // of stripes that have a sum of their own

using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using StripeRows = Eigen::Map<const RowMajor, Eigen::Aligned64, Eigen::OuterStride<>>;

StripeRows Stripe(const ConeRows& rows, int64_t begin, int64_t end) {
  return {rows.row(begin), end - begin, rows.features(), Eigen::OuterStride<>(rows.stride())};
}

// Where a vector's products with the rows of a stripe end a step first.
struct Block {
  double longest = 1;
  int32_t row = -1;
};

}  // namespace

void FaceProducts::RunStripes(const StripeTask& task) const {
  const int64_t rows = products_.rows().rows();
  products_.pool().Run((rows + kRowsOfStripe - 1) / kRowsOfStripe, [&](int64_t stripe, int) {
    task(stripe * kRowsOfStripe, std::min((stripe + 1) * kRowsOfStripe, rows));
  });
}

Eigen::MatrixXd FaceProducts::SumOverStripes(int64_t rows, int64_t columns,
                                             const SumTask& task) const {
  const int64_t all = products_.rows().rows();
  const int64_t stripes = (all + kRowsOfStripe - 1) / kRowsOfStripe;
  const int64_t groups = std::min(stripes, kMaxGroups);
  std::vector<Eigen::MatrixXd> sums(static_cast<size_t>(groups),
                                    Eigen::MatrixXd::Zero(rows, columns));
  products_.pool().Run(groups, [&](int64_t group, int) {
    for (int64_t stripe = group; stripe < stripes; stripe += groups) {
      task(stripe * kRowsOfStripe, std::min((stripe + 1) * kRowsOfStripe, all),
           sums[static_cast<size_t>(group)]);
    }
  });
  for (size_t group = 1; group < sums.size(); ++group) sums[0] += sums[group];
  return std::move(sums[0]);
}

void FaceProducts::Gather(const std::vector<Face>& faces, int64_t begin,
                          const Eigen::MatrixXd& each, Eigen::Ref<Eigen::MatrixXd> outputs) const {
  for (size_t f = 0; f < faces.size(); ++f) {
    const ConeBlock& block = faces[f].block;
    const uint64_t* bits = products_.patterns().pattern(block.pattern);
    const double* from = each.col(static_cast<int64_t>(f)).data();
    double* to = outputs.col(block.output).data();
    for (int64_t j = 0; j < each.rows(); ++j) {
      to[j] += IsActive(bits, begin + j) ? block.sign * from[j] : 0.0;
    }
  }
}

void FaceProducts::Spread(const std::vector<Face>& faces, int64_t begin,
                          const Eigen::Ref<const Eigen::MatrixXd>& outputs,
                          Eigen::MatrixXd& each) const {
  for (size_t f = 0; f < faces.size(); ++f) {
    const ConeBlock& block = faces[f].block;
    const uint64_t* bits = products_.patterns().pattern(block.pattern);
    const double* from = outputs.col(block.output).data();
    double* to = each.col(static_cast<int64_t>(f)).data();
    for (int64_t j = 0; j < each.rows(); ++j) {
      to[j] = IsActive(bits, begin + j) ? block.sign * from[j] : 0.0;
    }
  }
}

void FaceProducts::AddForward(const std::vector<Face>& faces, const Eigen::MatrixXd& vectors,
                              Eigen::VectorXd& predictions) const {
  const int64_t rows = products_.rows().rows();
  Eigen::Map<Eigen::MatrixXd> outputs(predictions.data(), rows, predictions.size() / rows);
  RunStripes([&](int64_t begin, int64_t end) {
    const Eigen::MatrixXd each = Stripe(products_.rows(), begin, end) * vectors;
    Gather(faces, begin, each, outputs.middleRows(begin, end - begin));
  });
}

Eigen::MatrixXd FaceProducts::Adjoint(const std::vector<Face>& faces,
                                      const Eigen::VectorXd& slopes) const {
  const int64_t rows = products_.rows().rows();
  const Eigen::Map<const Eigen::MatrixXd> outputs(slopes.data(), rows, slopes.size() / rows);
  const int64_t count = static_cast<int64_t>(faces.size());
  return SumOverStripes(products_.rows().features(), count,
                        [&](int64_t begin, int64_t end, Eigen::MatrixXd& sums) {
                          Eigen::MatrixXd each(end - begin, count);
                          Spread(faces, begin, outputs.middleRows(begin, end - begin), each);
                          sums.noalias() += Stripe(products_.rows(), begin, end).transpose() * each;
                        });
}

Eigen::MatrixXd FaceProducts::Curvature(const std::vector<Face>& faces,
                                        const LossCurvature& curvature,
                                        const Eigen::MatrixXd& vectors) const {
  return SumOverStripes(
      vectors.rows(), vectors.cols(), [&](int64_t begin, int64_t end, Eigen::MatrixXd& sums) {
        const StripeRows x = Stripe(products_.rows(), begin, end);
        Eigen::MatrixXd each = x * vectors;
        Eigen::MatrixXd outputs = Eigen::MatrixXd::Zero(end - begin, curvature.loss().outputs());
        Gather(faces, begin, each, outputs);
        curvature.Multiply(begin, outputs);
        Spread(faces, begin, outputs, each);
        sums.noalias() += x.transpose() * each;
      });
}

void FaceProducts::FindLongestSteps(double parallel, std::vector<Face>& faces) const {
  const ConeRows& rows = products_.rows();
  const int64_t count = static_cast<int64_t>(faces.size());
  Eigen::MatrixXd both(rows.features(), 2 * count);
  Eigen::VectorXd least(count);
  for (int64_t f = 0; f < count; ++f) {
    const Face& face = faces[static_cast<size_t>(f)];
    both.col(f) = face.vector.head(rows.features());
    both.col(count + f) = face.direction.head(rows.features());
    least[f] = -parallel * face.direction.norm();
  }
  const int64_t stripes = (rows.rows() + kRowsOfStripe - 1) / kRowsOfStripe;
  std::vector<Block> found(static_cast<size_t>(stripes * count));
  RunStripes([&](int64_t begin, int64_t end) {
    const Eigen::MatrixXd products = Stripe(rows, begin, end) * both;
    for (int64_t f = 0; f < count; ++f) {
      const Face& face = faces[static_cast<size_t>(f)];
      Block& block = found[static_cast<size_t>(begin / kRowsOfStripe * count + f)];
      const uint64_t* bits = products_.patterns().pattern(face.block.pattern);
      for (int64_t j = begin; j < end; ++j) {
        const double scale = (IsActive(bits, j) ? 1 : -1) * rows.inverse_norms()[j];
        const double rate = scale * products(j - begin, count + f);
        if (rate >= least[f]) continue;
        const double slack = std::max(scale * products(j - begin, f), 0.0);
        if (slack >= -rate * block.longest) continue;
        const auto row = static_cast<int32_t>(j);
        if (std::find(face.rows.begin(), face.rows.end(), row) != face.rows.end()) continue;
        block = {slack / -rate, row};
      }
    }
  });
  for (int64_t f = 0; f < count; ++f) {
    Face& face = faces[static_cast<size_t>(f)];
    face.longest = 1;
    face.blocking = -1;
    for (int64_t stripe = 0; stripe < stripes; ++stripe) {
      const Block& block = found[static_cast<size_t>(stripe * count + f)];
      if (block.row < 0 || block.longest >= face.longest) continue;
      face.longest = block.longest;
      face.blocking = block.row;
    }
  }
}

}  // namespace trainyard::convex_relu
