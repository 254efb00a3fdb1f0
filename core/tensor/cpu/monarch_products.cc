#include "core/tensor/cpu/monarch_products.h"

#include <algorithm>

namespace trainyard {
namespace {

constexpr int64_t kColumnsOfPart = 512;

// Cuts `product` where that leaves every tile whole: between lanes of different registers and
// between runs of units.
void AddParts(const LaneProduct& product, LaneParts& parts) {
  const int64_t width = FastestLaneFunctions().width;
  const int64_t lanes = std::min(product.lanes, width);
  const int64_t units = std::max<int64_t>(kColumnsOfPart / lanes, 1);
  for (int64_t lane = 0; lane < product.lanes; lane += width) {
    const LaneProduct phase = product.lanes <= width
                                  ? product
                                  : product.Lanes(lane, std::min(lane + width, product.lanes));
    for (int64_t unit = 0; unit < phase.units; unit += units) {
      parts.push_back(phase.Units(unit, std::min(unit + units, phase.units)));
    }
  }
}

}  // namespace

MonarchSizes::MonarchSizes(const MonarchArguments& arguments)
    : rows(arguments.x.size(0)),
      in(arguments.x.size(1)),
      out(arguments.y.size(1)),
      first_blocks(arguments.w1.size(0)),
      q(arguments.w1.size(1)),
      p(arguments.w1.size(2)),
      second_blocks(arguments.w2.size(0)),
      s(arguments.w2.size(1)),
      r(arguments.w2.size(2)) {}

int64_t MonarchSizes::InputsOf(int64_t k) const { return std::clamp<int64_t>(in - k * p, 0, p); }

LaneParts FirstStage(const MonarchSizes& sizes, const float* x, const float* w1, float* h) {
  LaneParts parts;
  for (int64_t k = 0; k < sizes.first_blocks; ++k) {
    AddParts({.m = sizes.rows,
              .k = sizes.InputsOf(k),
              .units = sizes.q,
              .a = x + std::min(k * sizes.p, sizes.in),
              .a_row = sizes.in,
              .a_step = 1,
              .b = w1 + k * sizes.q * sizes.p,
              .b_step = 1,
              .b_unit = sizes.p,
              .c = h + k * sizes.q,
              .c_row = sizes.middle(),
              .c_unit = 1},
             parts);
  }
  return parts;
}

LaneParts SecondStage(const MonarchSizes& sizes, const float* h, const float* w2, const float* bias,
                      float* y) {
  LaneParts parts;
  AddParts({.m = sizes.rows,
            .k = sizes.r,
            .units = sizes.used_s(),
            .lanes = sizes.second_blocks,
            .last_lanes = sizes.out - (sizes.used_s() - 1) * sizes.second_blocks,
            .a = h,
            .a_row = sizes.middle(),
            .a_step = sizes.second_blocks,
            .b = w2,
            .b_step = 1,
            .b_unit = sizes.r,
            .b_lane = sizes.s * sizes.r,
            .c = y,
            .c_row = sizes.out,
            .c_unit = sizes.second_blocks,
            .bias = bias},
           parts);
  return parts;
}

LaneParts MiddleGradient(const MonarchSizes& sizes, const float* dy, const float* w2, float* dh) {
  LaneParts parts;
  AddParts({.m = sizes.rows,
            .k = sizes.used_s(),
            .units = sizes.r,
            .lanes = sizes.second_blocks,
            .last_lanes = sizes.second_blocks,
            .a = dy,
            .a_row = sizes.used_s() * sizes.second_blocks,
            .a_step = sizes.second_blocks,
            .b = w2,
            .b_step = sizes.r,
            .b_unit = 1,
            .b_lane = sizes.s * sizes.r,
            .c = dh,
            .c_row = sizes.middle(),
            .c_unit = sizes.second_blocks},
           parts);
  return parts;
}

LaneParts InputGradient(const MonarchSizes& sizes, const float* dh, const float* w1, float* dx,
                        bool accumulate) {
  LaneParts parts;
  for (int64_t k = 0; k < sizes.first_blocks && sizes.InputsOf(k) > 0; ++k) {
    AddParts({.m = sizes.rows,
              .k = sizes.q,
              .units = sizes.InputsOf(k),
              .a = dh + k * sizes.q,
              .a_row = sizes.middle(),
              .a_step = 1,
              .b = w1 + k * sizes.q * sizes.p,
              .b_step = sizes.p,
              .b_unit = 1,
              .c = dx + k * sizes.p,
              .c_row = sizes.in,
              .c_unit = 1,
              .accumulate = accumulate},
             parts);
  }
  return parts;
}

LaneParts FirstWeightGradient(const MonarchSizes& sizes, const float* x, const float* dh,
                              float* dw1) {
  LaneParts parts;
  for (int64_t k = 0; k < sizes.first_blocks && sizes.InputsOf(k) > 0; ++k) {
    AddParts({.m = sizes.q,
              .k = sizes.rows,
              .units = sizes.InputsOf(k),
              .a = dh + k * sizes.q,
              .a_row = 1,
              .a_step = sizes.middle(),
              .b = x + k * sizes.p,
              .b_step = sizes.in,
              .b_unit = 1,
              .c = dw1 + k * sizes.q * sizes.p,
              .c_row = sizes.p,
              .c_unit = 1,
              .accumulate = true},
             parts);
  }
  return parts;
}

LaneParts SecondWeightGradient(const MonarchSizes& sizes, const float* h, const float* dy,
                               float* to) {
  LaneParts parts;
  AddParts({.m = sizes.used_s(),
            .k = sizes.rows,
            .units = sizes.r,
            .lanes = sizes.second_blocks,
            .last_lanes = sizes.second_blocks,
            .a = dy,
            .a_row = sizes.second_blocks,
            .a_step = sizes.used_s() * sizes.second_blocks,
            .b = h,
            .b_step = sizes.middle(),
            .b_unit = sizes.second_blocks,
            .b_lane = 1,
            .c = to,
            .c_row = sizes.middle(),
            .c_unit = sizes.second_blocks},
           parts);
  return parts;
}

}  // namespace trainyard
