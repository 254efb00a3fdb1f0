#include "core/model_io/dense_encoding_onnx.h"

#include <numeric>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/model_io/json_scanner.h"

namespace trainyard {
namespace {

using Column = v1::DenseEncoding::Column;

bool IsCategorical(const Column& column) { return column.type() == v1::COLUMN_TYPE_CATEGORICAL; }

std::string JsonList(const std::vector<std::string>& texts) {
  return absl::StrCat("[",
                      absl::StrJoin(texts, ", ",
                                    [](std::string* out, const std::string& text) {
                                      out->append(JsonString(text));
                                    }),
                      "]");
}

// What the nodes make before it is put into the encoder's order.
struct Parts {
  std::vector<OnnxValue> values;  // matrices, side by side
  std::vector<int64_t> place;     // of each number of the encoding in them
  std::vector<double> center;     // what was subtracted from the number
};

// Numbers, booleans and dates: [values, whether missing].
void AddNumbers(const v1::DenseEncoding& encoding, OnnxModel& model, Parts& parts) {
  std::vector<std::string> names;
  std::vector<double> center;
  std::vector<double> fill;
  for (const Column& column : encoding.columns()) {
    if (IsCategorical(column)) continue;
    names.push_back(column.name());
    center.push_back(static_cast<float>(column.mean()));
    fill.push_back(column.mean() - center.back());
  }
  if (names.empty()) return;
  const auto count = static_cast<int64_t>(names.size());
  const OnnxValue input = model.AddInput(kOnnxFeatures, OnnxType::kFloat, count,
                                         absl::StrCat("columns: ", absl::StrJoin(names, ", ")));
  model.AddMetadata("feature_columns", JsonList(names));
  const OnnxValue missing = model.AddNode("IsNaN", {input});
  const OnnxValue centred = model.AddNode("Sub", {input, model.AddFloats(center, {1, count})});
  parts.values.push_back(
      model.AddNode("Where", {missing, model.AddFloats(fill, {1, count}), centred}));
  parts.values.push_back(
      model.AddNode("Cast", {missing}, {{"to", int64_t{1}}}));  // TensorProto.FLOAT
}

// One float column per level of one column.
void AddLevels(const Column& column, OnnxModel& model, Parts& parts) {
  const int64_t count = column.levels_size();
  const OnnxValue input =
      model.AddInput(column.name(), OnnxType::kString, 1, absl::StrCat("column: ", column.name()));
  std::vector<int64_t> places(static_cast<size_t>(count));
  std::iota(places.begin(), places.end(), int64_t{0});
  const OnnxValue place = model.AddNode(
      "LabelEncoder", {input},
      {{"keys_strings", std::vector<std::string>(column.levels().begin(), column.levels().end())},
       {"values_int64s", places},
       {"default_int64", int64_t{-1}}},
      kOnnxMlDomain);
  const OnnxValue same = model.AddNode("Equal", {place, model.AddInt64s(places, {1, count})});
  parts.values.push_back(model.AddNode("Cast", {same}, {{"to", int64_t{1}}}));
}

// Where each number of the encoding is, and what was subtracted from it.
void FindPlaces(const v1::DenseEncoding& encoding, Parts& parts) {
  int64_t numeric = 0;
  for (const Column& column : encoding.columns()) numeric += IsCategorical(column) ? 0 : 1;
  int64_t next_number = 0;
  int64_t next_level = 2 * numeric;
  for (const Column& column : encoding.columns()) {
    if (IsCategorical(column)) {
      for (int level = 0; level < column.levels_size(); ++level) {
        parts.place.push_back(next_level++);
        parts.center.push_back(0);
      }
      continue;
    }
    if (column.value()) {
      parts.place.push_back(next_number);
      parts.center.push_back(static_cast<float>(column.mean()));
    }
    if (column.missing_indicator()) {
      parts.place.push_back(numeric + next_number);
      parts.center.push_back(0);
    }
    ++next_number;
  }
}

}  // namespace

OnnxRows AddDenseEncoding(const DenseEncoder& encoder, OnnxModel& model) {
  const v1::DenseEncoding& encoding = encoder.encoding();
  Parts parts;
  AddNumbers(encoding, model, parts);
  std::vector<std::string> texts;
  for (const Column& column : encoding.columns()) {
    if (!IsCategorical(column)) continue;
    AddLevels(column, model, parts);
    texts.push_back(column.name());
  }
  if (!texts.empty()) model.AddMetadata("text_columns", JsonList(texts));
  FindPlaces(encoding, parts);
  const int64_t width = encoder.width();
  OnnxRows rows;
  rows.value = parts.values.size() == 1
                   ? parts.values.front()
                   : model.AddNode("Concat", parts.values, {{"axis", int64_t{1}}});
  rows.value = model.AddNode("Gather", {rows.value, model.AddInt64s(parts.place, {width})},
                             {{"axis", int64_t{1}}});
  rows.shift = parts.center;
  if (encoding.scale().empty()) return rows;
  std::vector<double> factor;
  for (int j = 0; j < encoding.scale_size(); ++j) {
    double& shift = rows.shift[static_cast<size_t>(j)];
    shift = (shift - encoding.offset(j)) / encoding.scale(j);
    factor.push_back(1 / encoding.scale(j));
  }
  rows.value = model.AddNode("Mul", {rows.value, model.AddFloats(factor, {1, width})});
  return rows;
}

}  // namespace trainyard
