#include "core/algorithms/convex_relu/cone_state_bytes.h"

#include <cstdint>
#include <utility>

namespace trainyard::convex_relu {

void PutActive(const std::vector<ActiveRows>& active, ByteWriter& writer) {
  writer.Put(static_cast<uint64_t>(active.size()));
  for (const ActiveRows& rows : active) {
    writer.PutList(rows.rows);
    writer.PutList(rows.multipliers);
  }
}

std::vector<ActiveRows> TakeActive(ByteReader& reader) {
  std::vector<ActiveRows> active;
  for (uint64_t left = reader.Take<uint64_t>(); left > 0 && reader.ok(); --left) {
    ActiveRows rows;
    rows.rows = reader.TakeList<int32_t>();
    rows.multipliers = reader.TakeList<double>();
    active.push_back(std::move(rows));
  }
  return active;
}

void PutPoint(const ConeWeights& point, ByteWriter& writer) {
  writer.Put(static_cast<int32_t>(point.stride));
  writer.Put(static_cast<uint64_t>(point.blocks.size()));
  for (const ConeBlock& block : point.blocks) {
    writer.Put(block.pattern);
    writer.Put(static_cast<int32_t>(block.sign));
    writer.Put(static_cast<int32_t>(block.output));
  }
  writer.PutList(point.weights);
  PutActive(point.active, writer);
  writer.PutList(point.curvature);
}

ConeWeights TakePoint(ByteReader& reader) {
  ConeWeights point;
  point.stride = reader.Take<int32_t>();
  for (uint64_t left = reader.Take<uint64_t>(); left > 0 && reader.ok(); --left) {
    ConeBlock block;
    block.pattern = reader.Take<int64_t>();
    block.sign = reader.Take<int32_t>();
    block.output = reader.Take<int32_t>();
    point.blocks.push_back(block);
  }
  point.weights = reader.TakeList<double>();
  point.active = TakeActive(reader);
  point.curvature = reader.TakeList<double>();
  return point;
}

}  // namespace trainyard::convex_relu
