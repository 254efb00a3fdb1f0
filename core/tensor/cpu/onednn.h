// oneDNN, found at run time: a process that multiplies no matrices does not load it.
#pragma once

#include <dnnl_types.h>

#include <cstdint>

namespace trainyard {

// The functions of the library that are used here.
class OneDnn {
 public:
  // Loads the library at the first call; nullptr where it is not installed. Thread-safe.
  static const OneDnn* Find();

  // As dnnl_sgemm (row-major), on the calling thread alone. False where the library refuses.
  bool Sgemm(char transpose_a, char transpose_b, int64_t m, int64_t n, int64_t k, float alpha,
             const float* a, int64_t lda, const float* b, int64_t ldb, float beta, float* c,
             int64_t ldc) const;

 private:
  using SgemmFunction = dnnl_status_t (*)(char, char, dnnl_dim_t, dnnl_dim_t, dnnl_dim_t, float,
                                          const float*, dnnl_dim_t, const float*, dnnl_dim_t, float,
                                          float*, dnnl_dim_t);
  using SetThreadsFunction = void (*)(int);

  OneDnn(SgemmFunction sgemm, SetThreadsFunction set_threads)
      : sgemm_(sgemm), set_threads_(set_threads) {}
  static const OneDnn* Load();

  const SgemmFunction sgemm_;
  const SetThreadsFunction set_threads_;
};

}  // namespace trainyard
