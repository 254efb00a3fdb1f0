#include "core/nn/training/training_state.h"

#include <utility>

#include "core/base/status.h"
#include "core/nn/state/weights.h"

namespace trainyard::nn {
namespace {

constexpr std::string_view kFormat = "trainyard training 1";

}  // namespace

std::string TrainingState::Encode(uint64_t fingerprint, std::string_view good_state) const {
  ByteWriter writer;
  writer.PutText(kFormat);
  writer.Put(fingerprint);
  course.Save(writer);
  order.Save(writer);
  model.Save(writer);
  PutWeights(writer, model.parameters());
  optimizer.Save(writer);
  if (average != nullptr) average->Save(writer);
  best.Save(writer);
  writer.PutText(good_state);
  return std::move(writer).Seal();
}

absl::StatusOr<bool> TrainingState::Decode(std::string_view bytes, uint64_t fingerprint,
                                           std::string& good_state) const {
  ByteReader reader = ByteReader::Unseal(bytes);
  if (!reader.ok()) return absl::DataLossError("checkpoint: it is damaged");
  if (reader.TakeText() != kFormat || reader.Take<uint64_t>() != fingerprint) return false;
  course.Load(reader);
  order.Load(reader);
  model.Load(reader);
  if (!reader.ok()) return absl::DataLossError("checkpoint: it does not fit the training");
  TY_RETURN_IF_ERROR(TakeWeights(reader, model.parameters()));
  TY_RETURN_IF_ERROR(optimizer.Load(reader));
  if (average != nullptr) TY_RETURN_IF_ERROR(average->Load(reader));
  best.Load(reader);
  good_state = std::string(reader.TakeText());
  if (!reader.done()) return absl::DataLossError("checkpoint: it does not fit the training");
  return true;
}

}  // namespace trainyard::nn
