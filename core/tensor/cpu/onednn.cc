#include "core/tensor/cpu/onednn.h"

#include <dlfcn.h>

namespace trainyard {

const OneDnn* OneDnn::Find() {
  static const OneDnn* const library = Load();
  return library;
}

const OneDnn* OneDnn::Load() {
  // Never closed: the library keeps generated code and thread-local state.
  void* const handle = dlopen("libdnnl.so.2", RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) return nullptr;
  // The search goes on in the libraries that this one depends on, so that this is the OpenMP
  // runtime which it uses. A build with another runtime than OpenMP has no such function and would
  // start threads of its own.
  void* const set_threads = dlsym(handle, "omp_set_num_threads");
  void* const sgemm = dlsym(handle, "dnnl_sgemm");
  if (set_threads == nullptr || sgemm == nullptr) return nullptr;
  return new OneDnn(reinterpret_cast<SgemmFunction>(sgemm),
                    reinterpret_cast<SetThreadsFunction>(set_threads));
}

bool OneDnn::Sgemm(char transpose_a, char transpose_b, int64_t m, int64_t n, int64_t k, float alpha,
                   const float* a, int64_t lda, const float* b, int64_t ldb, float beta, float* c,
                   int64_t ldc) const {
  // A setting of the calling thread, as cheap as a store.
  set_threads_(1);
  return sgemm_(transpose_a, transpose_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc) ==
         dnnl_success;
}

}  // namespace trainyard
