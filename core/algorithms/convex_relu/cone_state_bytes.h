// Points of ReLU networks as bytes.
#pragma once

#include <vector>

#include "core/algorithms/convex_relu/cone_blocks.h"
#include "core/base/byte_stream.h"

namespace trainyard::convex_relu {

void PutActive(const std::vector<ActiveRows>& active, ByteWriter& writer);
std::vector<ActiveRows> TakeActive(ByteReader& reader);

void PutPoint(const ConeWeights& point, ByteWriter& writer);
ConeWeights TakePoint(ByteReader& reader);

}  // namespace trainyard::convex_relu
