// How tensors, their kernels and the networks on them report errors.
//
// Operations are values in formulas, so they cannot return a status: they throw TensorError. The
// exception stays inside core/tensor, core/nn and the models; whoever offers a function to other
// parts wraps it in CatchTensorErrors.
#pragma once

#include <exception>
#include <new>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

namespace trainyard {

// INVALID_ARGUMENT: shapes or types that do not fit, with the operation's name and the shapes.
// RESOURCE_EXHAUSTED: no memory. UNIMPLEMENTED: an operation that a device does not have.
// INTERNAL: a device failed.
class TensorError : public std::exception {
 public:
  explicit TensorError(absl::Status status)
      : status_(std::move(status)), text_(status_.message()) {}
  const absl::Status& status() const { return status_; }
  const char* what() const noexcept override { return text_.c_str(); }

 private:
  absl::Status status_;
  std::string text_;
};

template <typename... Parts>
[[noreturn]] void ThrowInvalidTensor(const Parts&... parts) {
  throw TensorError(absl::InvalidArgumentError(absl::StrCat(parts...)));
}

// Calls `function`, which returns an absl::Status or an absl::StatusOr, and returns what it
// returns; a TensorError becomes its status, std::bad_alloc RESOURCE_EXHAUSTED.
template <typename Function>
auto CatchTensorErrors(Function&& function) -> decltype(function()) {
  try {
    return function();
  } catch (const TensorError& error) {
    return error.status();
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("memory ran out");
  }
}

}  // namespace trainyard
