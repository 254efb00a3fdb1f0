// Body of the kernels of path-dependent TreeSHAP; see README.md for the recursion. Included once by
// each file that compiles it for a machine, inside an unnamed namespace, with kVectorBytes defined.

using Vector = double __attribute__((vector_size(kVectorBytes)));
constexpr int kWidth = static_cast<int>(kVectorBytes / sizeof(double));
constexpr int kVectors = kShapLanes / kWidth;

// Whatever lies at multiples of kShapLanes numbers in the scratch.
inline Vector* At(double* base, int64_t index) {
  return reinterpret_cast<Vector*>(base + index * kShapLanes);
}

// Where the pieces of the scratch lie.
struct Scratch {
  double* products;  // P [level][g]
  double* sums;      // S [side][level][output][g]
  double* merged;    // o of the nearest split on the feature, on the side taken: [level]
  double* old;       // the same of the split above on the same feature: [level]
  double* steps;     // s = o_old (o_left - z_left): [level]
};

template <int kPoints>
class Kernel {
 public:
  explicit Kernel(const PathKernelArgs& args) : a_(args) {
    const int64_t levels = a_.levels + 1;
    s_.products = a_.scratch;
    s_.sums = s_.products + levels * points() * kShapLanes;
    s_.merged = s_.sums + 2 * levels * points() * a_.outputs * kShapLanes;
    s_.old = s_.merged + levels * kShapLanes;
    s_.steps = s_.old + levels * kShapLanes;
  }

  void Run() {
    for (int g = 0; g < points(); ++g) {
      for (int u = 0; u < kVectors; ++u) At(s_.products, g)[u] = a_.weights[g] - Vector{};
    }
    for (int64_t i = 0; i < a_.operation_count; ++i) {
      const PathNode& node = a_.nodes[a_.operations[i].node];
      switch (a_.operations[i].step) {
        case PathStep::kEnter:
          Decide(node);
          if (node.left >= 0) Descend(node, true);
          break;
        case PathStep::kTurn:
          Descend(node, false);
          break;
        case PathStep::kLeave:
          Leave(node);
          break;
        case PathStep::kLeafPair:
          Decide(node);
          LeavePair(node);
          break;
      }
    }
  }

 private:
  int points() const { return kPoints > 0 ? kPoints : a_.points; }
  Vector* Product(int level) const { return At(s_.products, int64_t{level} * points()); }
  Vector* Sum(int side, int level, int output) const {
    const int64_t levels = a_.levels + 1;
    return At(s_.sums, ((side * levels + level) * a_.outputs + output) * points());
  }
  Vector* Contribution(const PathNode& node, int output) const {
    return At(a_.contributions + node.column * a_.column_stride, a_.first_output + output);
  }
  const double* LeafValue(int32_t child) const {
    return a_.leaf_values + static_cast<int64_t>(~child) * a_.outputs;
  }

  // 1 for the rows that the split sends left, 0 for the others.
  void GoesLeft(const PathNode& node, Vector* left) const {
    const double* values = a_.rows + static_cast<int64_t>(node.column) * kShapLanes;
    const Vector* x = reinterpret_cast<const Vector*>(values);
    if (node.level_set < 0) {
      const Vector one = 1.0 - Vector{};
      for (int u = 0; u < kVectors; ++u) {
        left[u] = x[u] <= node.threshold ? one : Vector{};
        if (node.missing_left) left[u] = x[u] != x[u] ? one : left[u];
      }
      return;
    }
    const uint64_t* words = a_.level_words + node.level_set;
    for (int lane = 0; lane < kShapLanes; ++lane) {
      const double value = values[lane];
      bool is_left = node.missing_left != 0;
      if (value == value) {
        const uint64_t code = static_cast<uint64_t>(value);
        is_left = code / 64 < words[0] && ((words[1 + code / 64] >> (code % 64)) & 1) != 0;
      }
      reinterpret_cast<double*>(left)[lane] = is_left ? 1.0 : 0.0;
    }
  }

  // Sides of the rows at a node, and what follows from them.
  void Decide(const PathNode& node) {
    Vector left[kVectors];
    GoesLeft(node, left);
    Vector* old = At(s_.old, node.level);
    Vector* merged = At(s_.merged, node.level);
    Vector* step = At(s_.steps, node.level);
    for (int u = 0; u < kVectors; ++u) {
      old[u] = node.previous < 0 ? 1.0 - Vector{} : At(s_.merged, node.previous)[u];
      merged[u] = old[u] * left[u];
      step[u] = old[u] * (left[u] - node.left_share);
    }
  }

  // Products for a child: P rho or P (1 - rho), with rho = z_left + s b.
  void Descend(const PathNode& node, bool to_left) {
    const Vector* __restrict product = Product(node.level);
    const Vector* step = At(s_.steps, node.level);
    const double* __restrict b = a_.factors + node.factors;
    Vector* __restrict next = Product(node.level + 1);
    Vector* merged = At(s_.merged, node.level);
    // To the left: z_left + s b; to the right: (1 - z_left) - s b.
    const double share = to_left ? node.left_share : 1 - node.left_share;
    Vector signed_step[kVectors];
    for (int u = 0; u < kVectors; ++u) {
      signed_step[u] = to_left ? step[u] : -step[u];
      if (!to_left) merged[u] = At(s_.old, node.level)[u] - merged[u];
    }
    for (int g = 0; g < points(); ++g) {
      for (int u = 0; u < kVectors; ++u) {
        next[g * kVectors + u] = product[g * kVectors + u] * (share + signed_step[u] * b[g]);
      }
    }
  }

  // phi += s sum_g r P (S_left - S_right) and S = S_right + rho (S_left - S_right).
  void Leave(const PathNode& node) {
    for (int k = 0; k < a_.outputs; ++k) {
      if (node.left < 0) {
        LeaveWith<true, false>(node, k);
      } else if (node.right < 0) {
        LeaveWith<false, true>(node, k);
      } else {
        LeaveWith<false, false>(node, k);
      }
    }
  }

  template <bool kLeftLeaf, bool kRightLeaf>
  void LeaveWith(const PathNode& node, int k) {
    const Vector* __restrict product = Product(node.level);
    Vector step[kVectors];
    for (int u = 0; u < kVectors; ++u) step[u] = At(s_.steps, node.level)[u];
    const double* __restrict b = a_.factors + node.factors;
    const double* __restrict r = b + points();
    const double share = node.left_share;
    const double left_value = kLeftLeaf ? LeafValue(node.left)[k] : 0;
    const double right_value = kRightLeaf ? LeafValue(node.right)[k] : 0;
    const Vector* __restrict left_sum = Sum(0, node.level + 1, k);
    const Vector* __restrict right_sum = Sum(1, node.level + 1, k);
    Vector* __restrict sum = Sum(node.side, node.level, k);
    Vector total[kVectors] = {};
    for (int g = 0; g < points(); ++g) {
      for (int u = 0; u < kVectors; ++u) {
        const int i = g * kVectors + u;
        const Vector left = kLeftLeaf ? left_value - Vector{} : left_sum[i];
        const Vector right = kRightLeaf ? right_value - Vector{} : right_sum[i];
        const Vector difference = left - right;
        total[u] += product[i] * r[g] * difference;
        sum[i] = right + (share + step[u] * b[g]) * difference;
      }
    }
    Vector* contribution = Contribution(node, k);
    for (int u = 0; u < kVectors; ++u) contribution[u] += step[u] * total[u];
  }

  void LeavePair(const PathNode& node) {
    const Vector* __restrict product = Product(node.level);
    Vector step[kVectors];
    for (int u = 0; u < kVectors; ++u) step[u] = At(s_.steps, node.level)[u];
    const double* __restrict b = a_.factors + node.factors;
    const double* __restrict r = b + points();
    Vector total[kVectors] = {};
    for (int g = 0; g < points(); ++g) {
      for (int u = 0; u < kVectors; ++u) total[u] += product[g * kVectors + u] * r[g];
    }
    for (int u = 0; u < kVectors; ++u) total[u] *= step[u];
    for (int k = 0; k < a_.outputs; ++k) {
      const double right = LeafValue(node.right)[k];
      const double difference = LeafValue(node.left)[k] - right;
      const double middle = right + node.left_share * difference;
      Vector* __restrict sum = Sum(node.side, node.level, k);
      for (int g = 0; g < points(); ++g) {
        for (int u = 0; u < kVectors; ++u) {
          sum[g * kVectors + u] = middle + step[u] * (b[g] * difference);
        }
      }
      Vector* contribution = Contribution(node, k);
      for (int u = 0; u < kVectors; ++u) contribution[u] += total[u] * difference;
    }
  }

  const PathKernelArgs a_;
  Scratch s_;
};

void RunKernel(const PathKernelArgs& args) {
  switch (args.points) {
    case 1:
      return Kernel<1>(args).Run();
    case 2:
      return Kernel<2>(args).Run();
    case 3:
      return Kernel<3>(args).Run();
    case 4:
      return Kernel<4>(args).Run();
    case 5:
      return Kernel<5>(args).Run();
    case 6:
      return Kernel<6>(args).Run();
    default:
      return Kernel<0>(args).Run();
  }
}
