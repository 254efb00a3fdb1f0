// The encoding of table rows (core/data/dense_encoder.h) as nodes of an ONNX model.
#pragma once

#include <vector>

#include "core/data/dense_encoder.h"
#include "core/model_io/onnx_writer.h"

namespace trainyard {

// Name of the input of all columns that are not categorical.
inline constexpr char kOnnxFeatures[] = "features";

// Encoded rows in a graph.
struct OnnxRows {
  // A float matrix of N rows and as many columns as the encoding has numbers.
  OnnxValue value;
  // The encoder's row is the matrix's row plus this: columns that may be far from 0 are centred
  // before anything is rounded. To be folded into the bias of the first layer.
  std::vector<double> shift;
};

// Adds the inputs: the float matrix `features` of the encoded columns that are not categorical, in
// order, NaN for missing values (absent where there are none), and for each encoded categorical
// column a column of strings with its name (`NAME_2` where `NAME` is taken), any unknown text for
// missing values. The metadata `feature_columns` and `text_columns` are JSON lists of the columns'
// names.
OnnxRows AddDenseEncoding(const DenseEncoder& encoder, OnnxModel& model);

}  // namespace trainyard
