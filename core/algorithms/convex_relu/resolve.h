// Options of a convex network against the data it is to learn from.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/algorithms/algorithm.h"
#include "core/algorithms/table_input.h"
#include "proto/schema/violations.h"
#include "trainyard/v1/convex_relu.pb.h"
#include "trainyard/v1/table.pb.h"

namespace trainyard {

// Encoded numbers (rows x columns) up to which products are made in double precision by default.
inline constexpr int64_t kMostDoubleNumbers = 30'000'000;

// Fills in what depends on the data (columns, task, model, loss, penalty, method, stop rule, gap,
// selection, precision, split method); adds a violation, its path beginning with `path`, for
// everything that does not fit the schema or within itself. Declared defaults are filled in
// already. Calling it again changes nothing.
TableColumns ResolveConvexRelu(const v1::TableSchema& schema, std::string_view path,
                               v1::ConvexReluSpec& spec, Violations& violations);

// Adds violations for the table of uploaded gates.
void CheckGateTable(const TableSchemas& tables, std::string_view path,
                    const v1::ConvexReluSpec& spec, Violations& violations);

// Upper estimate of the memory that training by a resolved spec needs, in bytes: the encoded data
// in double and, where it is used, single precision, gates, patterns, and the vectors of the
// solver.
int64_t EstimateConvexReluMemory(const v1::ConvexReluSpec& spec, const v1::TableSchema& schema);

// Columns of the encoded data by the schema, the bias left out; categories count one for each
// level.
int64_t EncodedColumns(const v1::TableSchema& schema, const TableColumns& columns);

}  // namespace trainyard
