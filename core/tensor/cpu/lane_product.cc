#include "core/tensor/cpu/lane_product.h"

#include <algorithm>
#include <bit>

#include "core/tensor/cpu/lane_pack.h"
#include "core/tensor/cpu/lane_tile.h"

namespace trainyard {

LaneProduct LaneProduct::Units(int64_t begin, int64_t end) const {
  LaneProduct part = *this;
  part.units = end - begin;
  part.last_lanes = end == units ? last_lanes : lanes;
  part.b += begin * b_unit;
  part.c += begin * c_unit;
  if (bias != nullptr) part.bias += begin * c_unit;
  return part;
}

LaneProduct LaneProduct::Rows(int64_t begin, int64_t end) const {
  LaneProduct part = *this;
  part.m = end - begin;
  part.a += begin * a_row;
  part.c += begin * c_row;
  return part;
}

LaneProduct LaneProduct::Lanes(int64_t begin, int64_t end) const {
  LaneProduct part = *this;
  part.lanes = end - begin;
  part.last_lanes = std::min(last_lanes, end) - begin;
  if (part.last_lanes <= 0) {
    --part.units;
    part.last_lanes = part.lanes;
  }
  part.a += begin;
  part.b += begin * b_lane;
  part.c += begin;
  if (bias != nullptr) part.bias += begin;
  return part;
}

namespace {

// So many floats of a and of b are packed at once that both stay in the second-level cache.
constexpr int64_t kPackedB = 64 * 1024;
constexpr int64_t kPackedA = kLaneScratch - kPackedB;

// Lanes of a product that are computed together: all of them, or a register's number of many.
struct LanePhase {
  LanePhase(const LaneProduct& product, const LaneFunctions& functions, int64_t index);

  int lanes = 1;       // of an element of a
  int a_width = 1;     // that it takes when packed
  bool packs = false;  // whether a is packed
  LaneLoad load = LaneLoad::kOne;
  int64_t first_lane = 0;  // of the product
  int64_t vectors = 0;
  int64_t c_vector = 0;  // between vectors
  int units = 1;         // of a vector
  int valid = 1;         // lanes that exist of a vector
  int last_valid = 1;    // and of the last
  int64_t group = 1;     // vectors of a tile
  int height = 1;        // rows of a tile
  int64_t steps = 1;     // of k at once
};

// How elements of `lanes` lanes are loaded: as they are, or repeated beforehand to fill a register.
LaneLoad LoadOf(int lanes, int width) {
  const int loaded = std::has_single_bit(static_cast<unsigned>(lanes)) ? lanes : width;
  return static_cast<LaneLoad>(std::countr_zero(static_cast<unsigned>(loaded)));
}

int64_t PhaseCount(const LaneProduct& product, int width) {
  return (product.lanes + width - 1) / width;
}

LanePhase::LanePhase(const LaneProduct& product, const LaneFunctions& functions, int64_t index) {
  const int width = functions.width;
  first_lane = index * width;
  lanes = static_cast<int>(std::min<int64_t>(width, product.lanes - first_lane));
  load = LoadOf(lanes, width);
  a_width = 1 << static_cast<int>(load);
  // Where elements are far apart, or are loaded in another form than they have.
  packs = product.a_step > product.a_row || product.a_step >= 8 || a_width != lanes;
  // Of a vector: several where they lie side by side and there is room for them.
  units = product.c_unit == lanes ? width / lanes : 1;
  c_vector = units * product.c_unit;
  valid = units * lanes;
  const int64_t last = std::clamp<int64_t>(product.last_lanes - first_lane, 0, lanes);
  const int64_t columns = (product.units - 1) * lanes + last;
  vectors = (columns + valid - 1) / valid;
  last_valid = static_cast<int>(columns - (vectors - 1) * valid);
  // Equal groups rather than a narrow one at the end.
  const int64_t groups = (vectors + functions.most_vectors - 1) / functions.most_vectors;
  group = groups == 0 ? 1 : (vectors + groups - 1) / groups;
  height = functions.rows[group - 1];
  // The part of a that a tile uses stays in the first-level cache.
  constexpr int64_t kTileOfA = 3 * 1024;
  steps = std::clamp<int64_t>(kTileOfA / (height * a_width), 64, 256);
}

template <typename Visit>
void ForEachGroup(const LanePhase& phase, int64_t begin, int64_t end, Visit visit) {
  for (int64_t first = begin; first < end; first += phase.group) {
    visit(first, std::min(phase.group, end - first));
  }
}

// Where the lanes of b are, for packing.
LaneVectors VectorsOf(const LaneProduct& product, const LanePhase& phase, int width) {
  LaneVectors b{product.b + phase.first_lane * product.b_lane, product.b_step,
                phase.units * product.b_unit};
  for (int unit = 0, i = 0; unit < phase.units; ++unit) {
    for (int lane = 0; lane < phase.lanes; ++lane, ++i) {
      b.lane[i] = unit * product.b_unit + lane * product.b_lane;
    }
  }
  b.lanes = phase.lanes;
  b.unit_stride = product.b_unit;
  b.lane_stride = product.b_lane;
  b.width = width;
  b.valid = phase.valid;
  b.last_valid = phase.last_valid;
  return b;
}

void PackBlock(const LanePhase& phase, const LaneVectors& b, int64_t step, int64_t steps,
               int64_t first, int64_t vectors, float* to) {
  ForEachGroup(phase, first, first + vectors, [&](int64_t begin, int64_t count) {
    PackVectors(b, step, steps, begin, count, begin + count == phase.vectors, to);
    to += steps * count * b.width;
  });
}

// A run of steps over a run of vectors.
struct LaneBlock {
  int64_t step;
  int64_t steps;
  int64_t first;
  int64_t vectors;
  const float* b;  // packed
};

class PhaseMultiplier {
 public:
  PhaseMultiplier(const LaneProduct& product, const LaneFunctions& functions,
                  const LanePhase& phase, float* scratch)
      : product_(product), functions_(functions), phase_(phase), scratch_(scratch) {}

  // Returns what follows in `packed`, unless that is null.
  const float* Multiply(const float* packed) {
    for (int64_t step = 0; step == 0 || step < product_.k; step += phase_.steps) {
      const int64_t steps = std::min(phase_.steps, product_.k - step);
      const int64_t width = steps * functions_.width;  // of a packed vector
      const int64_t most =
          std::max<int64_t>(kPackedB / std::max<int64_t>(width, 1) / phase_.group, 1) *
          phase_.group;
      for (int64_t first = 0; first < phase_.vectors; first += most) {
        LaneBlock block{step, steps, first, std::min(most, phase_.vectors - first), packed};
        if (packed == nullptr) {
          PackBlock(phase_, VectorsOf(product_, phase_, functions_.width), step, steps, first,
                    block.vectors, scratch_);
          block.b = scratch_;
        } else {
          packed += block.vectors * width;
        }
        MultiplyBlock(block);
      }
    }
    return packed;
  }

 private:
  // Rows of c in panels of a tile's height; the last may be a part of one, for which a is packed
  // in any case.
  void MultiplyBlock(const LaneBlock& block) {
    const int64_t height = phase_.height;
    const int64_t panel = height * block.steps * phase_.a_width;
    const int64_t strip = std::max<int64_t>(kPackedA / std::max<int64_t>(panel, 1), 1) * height;
    const int64_t whole = phase_.packs ? 0 : product_.m / height * height;
    for (int64_t row = 0; row < whole; row += height) {
      MultiplyPanel(block, row, height, nullptr);
    }
    for (int64_t row = whole; row < product_.m; row += strip) {
      const int64_t end = std::min(product_.m, row + strip);
      const float* a = PackStrip(block, row, end);
      for (int64_t i = row; i < end; i += height) {
        MultiplyPanel(block, i, std::min(height, end - i), a);
        a += panel;
      }
    }
  }

  const float* ElementsOf(int64_t row, int64_t step) const {
    return product_.a + phase_.first_lane + row * product_.a_row + step * product_.a_step;
  }

  const float* PackStrip(const LaneBlock& block, int64_t begin, int64_t end) const {
    float* const to = scratch_ + kPackedB;
    PackRows({ElementsOf(begin, block.step), product_.a_row, product_.a_step, phase_.lanes,
              phase_.a_width, phase_.height},
             end - begin, block.steps, to);
    return to;
  }

  void MultiplyPanel(const LaneBlock& block, int64_t row, int64_t rows, const float* packed_a) {
    LaneTile tile;
    tile.k = block.steps;
    tile.a = packed_a != nullptr ? packed_a : ElementsOf(row, block.step);
    tile.a_row = packed_a != nullptr ? phase_.a_width : product_.a_row;
    tile.a_step = packed_a != nullptr ? phase_.height * phase_.a_width : product_.a_step;
    if (packed_a == nullptr) {
      // After the last row the product is often followed by one of the next columns.
      const bool last = row + rows >= product_.m;
      tile.next_a =
          last ? ElementsOf(0, block.step + block.steps) : ElementsOf(row + rows, block.step);
    }
    tile.c_row = product_.c_row;
    tile.c_vector = phase_.c_vector;
    tile.rows = static_cast<int>(rows);
    tile.valid = phase_.valid;
    tile.accumulate = product_.accumulate || block.step > 0;
    const float* b = block.b;
    const int64_t end_vector = block.first + block.vectors;
    ForEachGroup(phase_, block.first, end_vector, [&](int64_t first, int64_t count) {
      const int64_t column = phase_.first_lane + first * phase_.c_vector;
      tile.b = b;
      tile.c = product_.c + row * product_.c_row + column;
      tile.bias = product_.bias != nullptr && block.step == 0 ? product_.bias + column : nullptr;
      tile.last_valid = first + count == phase_.vectors ? phase_.last_valid : phase_.valid;
      functions_.tile[static_cast<int>(phase_.load)][phase_.group - 1][count - 1](tile);
      tile.next_a = nullptr;
      b += block.steps * count * functions_.width;
    });
  }

  const LaneProduct& product_;
  const LaneFunctions& functions_;
  const LanePhase& phase_;
  float* const scratch_;
};

void Multiply(const LaneProduct& product, const float* packed, float* scratch,
              const LaneFunctions& functions) {
  if (product.m == 0 || product.units == 0) return;
  for (int64_t i = 0; i < PhaseCount(product, functions.width); ++i) {
    const LanePhase phase(product, functions, i);
    packed = PhaseMultiplier(product, functions, phase, scratch).Multiply(packed);
  }
}

}  // namespace

const LaneFunctions& FastestLaneFunctions() {
  static const LaneFunctions functions =
      __builtin_cpu_supports("avx512f") ? Avx512LaneFunctions() : Avx2LaneFunctions();
  return functions;
}

void MultiplyLanes(const LaneProduct& product, float* scratch, const LaneFunctions& functions) {
  Multiply(product, nullptr, scratch, functions);
}

void MultiplyPackedLanes(const LaneProduct& product, const float* packed, float* scratch,
                         const LaneFunctions& functions) {
  Multiply(product, packed, scratch, functions);
}

int64_t PackedSize(const LaneProduct& product, const LaneFunctions& functions) {
  int64_t size = 0;
  for (int64_t i = 0; product.units > 0 && i < PhaseCount(product, functions.width); ++i) {
    size += LanePhase(product, functions, i).vectors * product.k * functions.width;
  }
  return size;
}

void PackLanes(const LaneProduct& product, float* packed, const LaneFunctions& functions) {
  for (int64_t i = 0; product.units > 0 && i < PhaseCount(product, functions.width); ++i) {
    const LanePhase phase(product, functions, i);
    const LaneVectors b = VectorsOf(product, phase, functions.width);
    for (int64_t step = 0; step < product.k; step += phase.steps) {
      const int64_t steps = std::min(phase.steps, product.k - step);
      PackBlock(phase, b, step, steps, 0, phase.vectors, packed);
      packed += steps * phase.vectors * functions.width;
    }
  }
}

}  // namespace trainyard
