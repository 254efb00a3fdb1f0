// Which gates are open on which rows, eight to a byte.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/algorithms/convex_relu/padded_matrix.h"
#include "core/base/thread_pool.h"

namespace trainyard::convex_relu {

// Called between pieces of work of a few milliseconds; an error ends the work and is returned.
using WorkCheck = std::function<absl::Status()>;

// 1[x_j^T g_k > 0] for rows x_j and gates g_k, products in double. Immutable.
class GateMask {
 public:
  // `gates`: m x d, in the space of `features` (n x d). `check` is called by several threads at
  // once.
  static absl::StatusOr<GateMask> Make(const PaddedMatrix<float>& features,
                                       const PaddedMatrix<float>& gates, const WorkCheck& check,
                                       ThreadPool& pool);

  int64_t rows() const { return rows_; }
  int64_t gates() const { return gates_; }
  // Whether gate k is open is bit k % 8 of byte k / 8; bits past the last gate are 0.
  const uint8_t* row(int64_t index) const { return bytes_.data() + index * row_bytes_; }

 private:
  GateMask(int64_t rows, int64_t gates);
  absl::Status FillRows(const PaddedMatrix<float>& features, const PaddedMatrix<float>& gates,
                        int64_t first_row, int64_t count, const WorkCheck& check);

  int64_t rows_;
  int64_t gates_;
  int64_t row_bytes_;
  std::vector<uint8_t> bytes_;
};

}  // namespace trainyard::convex_relu
