#include "core/tensor/cuda/runtime/cublas_blas.h"

#include <bit>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "core/tensor/cuda/runtime/cuda_errors.h"
#include "core/tensor/tensor_error.h"

namespace trainyard::cuda {
namespace {

constexpr size_t kWorkspaceBytes = size_t{32} << 20;
constexpr size_t kMostPlans = 4096;
// Alignments beyond this one do not matter to the choice of an algorithm.
constexpr unsigned kBestAlignment = 16;

void Check(const CublasLtLibrary& library, cublasStatus_t status, const char* what) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  const std::string text = absl::StrCat(what, ": ", library.GetStatusString(status));
  throw TensorError(status == CUBLAS_STATUS_ALLOC_FAILED ? absl::ResourceExhaustedError(text)
                                                         : absl::InternalError(text));
}

cudaDataType_t DataType(DType type) { return type == DType::kFloat32 ? CUDA_R_32F : CUDA_R_64F; }

cublasComputeType_t ComputeType(DType type, ComputeMode mode) {
  if (type == DType::kFloat64) return CUBLAS_COMPUTE_64F;
  switch (mode) {
    case ComputeMode::kFloat32:
      return CUBLAS_COMPUTE_32F;
    case ComputeMode::kTf32:
      return CUBLAS_COMPUTE_32F_FAST_TF32;
    case ComputeMode::kBfloat16:
      return CUBLAS_COMPUTE_32F_FAST_16BF;
  }
  return CUBLAS_COMPUTE_32F;
}

cublasLtEpilogue_t EpilogueOf(const GemmRequest& request) {
  const bool relu = request.epilogue == Epilogue::kRelu;
  if (request.bias != nullptr) {
    return relu ? CUBLASLT_EPILOGUE_RELU_BIAS : CUBLASLT_EPILOGUE_BIAS;
  }
  return relu ? CUBLASLT_EPILOGUE_RELU : CUBLASLT_EPILOGUE_DEFAULT;
}

// The largest power of two, up to kBestAlignment, that divides an address and its strides.
unsigned Alignment(const void* data, int64_t stride, int64_t batch_stride, DType type) {
  const uint64_t bits = reinterpret_cast<uintptr_t>(data) |
                        static_cast<uint64_t>(stride) * SizeOf(type) |
                        static_cast<uint64_t>(batch_stride) * SizeOf(type) | kBestAlignment;
  return 1U << std::countr_zero(bits);
}

unsigned AlignmentOf(const GemmOperand& operand, DType type) {
  return Alignment(operand.data, operand.stride, operand.batch_stride, type);
}

unsigned AlignmentOfC(const GemmRequest& request) {
  return Alignment(request.c, request.c_stride, request.c_batch_stride, request.type);
}

}  // namespace

// The library's matrices are column-major, so it is asked for c' = op(b)' op(a)': a row-major
// matrix is its transpose to it, and a row of biases is the column that its epilogue adds.
class CublasBlas::Plan {
 public:
  // Delegates, so that what is made before an error is freed.
  Plan(const CublasBlas& owner, const GemmRequest& request) : Plan(owner.library_) {
    const bool is_double = request.type == DType::kFloat64;
    Check(library_,
          library_.MatmulDescCreate(&operation_, ComputeType(request.type, owner.mode_),
                                    DataType(request.type)),
          "cublasLtMatmulDescCreate");
    SetOperation(CUBLASLT_MATMUL_DESC_TRANSA, Operation(request.b));
    SetOperation(CUBLASLT_MATMUL_DESC_TRANSB, Operation(request.a));
    SetOperation(CUBLASLT_MATMUL_DESC_EPILOGUE, EpilogueOf(request));
    if (request.bias != nullptr) {
      SetOperation(CUBLASLT_MATMUL_DESC_BIAS_POINTER, request.bias);
      SetOperation(CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE,
                   static_cast<int32_t>(is_double ? CUDA_R_64F : CUDA_R_32F));
    }
    Layout(&b_, request, request.b, request.k, request.n);
    Layout(&a_, request, request.a, request.m, request.k);
    Layout(&c_, request, {request.c, request.c_stride, request.c_batch_stride, false}, request.m,
           request.n);
    ChooseAlgorithm(owner, request);
  }

  ~Plan() {
    if (a_ != nullptr) library_.MatrixLayoutDestroy(a_);
    if (b_ != nullptr) library_.MatrixLayoutDestroy(b_);
    if (c_ != nullptr) library_.MatrixLayoutDestroy(c_);
    if (operation_ != nullptr) library_.MatmulDescDestroy(operation_);
  }

  void Run(const CublasBlas& owner, const GemmRequest& request) {
    if (request.bias != nullptr) SetOperation(CUBLASLT_MATMUL_DESC_BIAS_POINTER, request.bias);
    const float alpha = static_cast<float>(request.alpha);
    const float beta = static_cast<float>(request.beta);
    const bool is_double = request.type == DType::kFloat64;
    Check(library_,
          library_.Matmul(owner.handle_, operation_,
                          is_double ? static_cast<const void*>(&request.alpha) : &alpha,
                          request.b.data, b_, request.a.data, a_,
                          is_double ? static_cast<const void*>(&request.beta) : &beta, request.c,
                          c_, request.c, c_, &algorithm_, owner.workspace_, kWorkspaceBytes,
                          owner.stream_),
          "cublasLtMatmul");
  }

 private:
  explicit Plan(const CublasLtLibrary& library) : library_(library) {}

  static int32_t Operation(const GemmOperand& operand) {
    return operand.transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
  }

  template <typename T>
  void SetOperation(cublasLtMatmulDescAttributes_t attribute, const T& value) {
    Check(library_, library_.MatmulDescSetAttribute(operation_, attribute, &value, sizeof(value)),
          "cublasLtMatmulDescSetAttribute");
  }

  void Layout(cublasLtMatrixLayout_t* layout, const GemmRequest& request,
              const GemmOperand& operand, int64_t rows, int64_t columns) {
    const auto stored_rows = static_cast<uint64_t>(operand.transposed ? columns : rows);
    const auto stored_columns = static_cast<uint64_t>(operand.transposed ? rows : columns);
    Check(library_,
          library_.MatrixLayoutCreate(layout, DataType(request.type), stored_columns, stored_rows,
                                      operand.stride),
          "cublasLtMatrixLayoutCreate");
    const auto batch = static_cast<int32_t>(request.batch);
    Check(library_,
          library_.MatrixLayoutSetAttribute(*layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &batch,
                                            sizeof(batch)),
          "cublasLtMatrixLayoutSetAttribute");
    Check(library_,
          library_.MatrixLayoutSetAttribute(*layout, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET,
                                            &operand.batch_stride, sizeof(operand.batch_stride)),
          "cublasLtMatrixLayoutSetAttribute");
  }

  template <typename T>
  void Prefer(cublasLtMatmulPreference_t preference, cublasLtMatmulPreferenceAttributes_t attribute,
              const T& value) {
    Check(library_,
          library_.MatmulPreferenceSetAttribute(preference, attribute, &value, sizeof(value)),
          "cublasLtMatmulPreferenceSetAttribute");
  }

  void ChooseAlgorithm(const CublasBlas& owner, const GemmRequest& request) {
    cublasLtMatmulPreference_t raw = nullptr;
    Check(library_, library_.MatmulPreferenceCreate(&raw), "cublasLtMatmulPreferenceCreate");
    const auto destroy = [this](cublasLtMatmulPreference_t preference) {
      library_.MatmulPreferenceDestroy(preference);
    };
    const std::unique_ptr<cublasLtMatmulPreferenceOpaque_t, decltype(destroy)> preference(raw,
                                                                                          destroy);
    Prefer(raw, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, uint64_t{kWorkspaceBytes});
    Prefer(raw, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
           static_cast<uint32_t>(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
    Prefer(raw, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, AlignmentOf(request.b, request.type));
    Prefer(raw, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, AlignmentOf(request.a, request.type));
    Prefer(raw, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, AlignmentOfC(request));
    Prefer(raw, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, AlignmentOfC(request));
    cublasLtMatmulHeuristicResult_t result{};
    int found = 0;
    Check(library_,
          library_.MatmulAlgoGetHeuristic(owner.handle_, operation_, b_, a_, c_, c_, raw, 1,
                                          &result, &found),
          "cublasLtMatmulAlgoGetHeuristic");
    if (found == 0) {
      throw TensorError(absl::InternalError(absl::StrCat(
          "cuBLASLt has no algorithm for ", request.m, " x ", request.n, " x ", request.k)));
    }
    algorithm_ = result.algo;
  }

  const CublasLtLibrary& library_;
  cublasLtMatmulDesc_t operation_ = nullptr;
  cublasLtMatrixLayout_t a_ = nullptr;
  cublasLtMatrixLayout_t b_ = nullptr;
  cublasLtMatrixLayout_t c_ = nullptr;
  cublasLtMatmulAlgo_t algorithm_{};
};

CublasBlas::CublasBlas(cudaStream_t stream) : library_(LoadCublasLt()), stream_(stream) {
  Check(library_, library_.Create(&handle_), "cublasLtCreate");
  const cudaError_t error = cudaMalloc(&workspace_, kWorkspaceBytes);
  if (error != cudaSuccess) {
    library_.Destroy(handle_);
    CheckCuda(error, "cudaMalloc of cuBLASLt's workspace");
  }
}

CublasBlas::~CublasBlas() {
  plans_.clear();
  cudaFree(workspace_);
  library_.Destroy(handle_);
}

CublasBlas::Key CublasBlas::KeyOf(const GemmRequest& request) const {
  const int flags = (request.a.transposed ? 1 : 0) | (request.b.transposed ? 2 : 0) |
                    (request.bias != nullptr ? 4 : 0) | static_cast<int>(request.epilogue) << 3;
  const unsigned alignments = AlignmentOf(request.a, request.type) |
                              AlignmentOf(request.b, request.type) << 8 |
                              AlignmentOfC(request) << 16;
  return {static_cast<int>(request.type),
          flags,
          request.m,
          request.n,
          request.k,
          request.batch,
          request.a.stride,
          request.a.batch_stride,
          request.b.stride,
          request.b.batch_stride,
          request.c_stride,
          request.c_batch_stride,
          request.beta != 0 ? 1 : 0,
          static_cast<int>(mode_),
          alignments};
}

CublasBlas::Plan& CublasBlas::PlanFor(const GemmRequest& request) {
  if (plans_.size() >= kMostPlans) plans_.clear();
  std::unique_ptr<Plan>& plan = plans_[KeyOf(request)];
  if (plan == nullptr) plan = std::make_unique<Plan>(*this, request);
  return *plan;
}

void CublasBlas::Gemm(const GemmRequest& request) { PlanFor(request).Run(*this, request); }

}  // namespace trainyard::cuda
