// Whether a table's target asks for classification or regression, and whether it fits that.
#pragma once

#include <string_view>

#include "core/algorithms/table_input.h"
#include "proto/schema/violations.h"
#include "trainyard/v1/table.pb.h"

namespace trainyard {

// Whether a numeric column looks like class numbers: at most 20 distinct values, all whole. In a
// table stored before its schema said whether all are whole, at most two.
bool LooksLikeClasses(const v1::ColumnSchema& column);

// Whether the task that is not given is a classification: of one categorical or boolean target, or
// one that LooksLikeClasses.
bool IsClassificationByDefault(const v1::TableSchema& schema, const TableColumns& columns);

// Adds a violation of `path`.input.target_columns where a classification has several targets or one
// with more than kMaxClasses values, or a regression a target of categories.
void CheckTargets(const v1::TableSchema& schema, const TableColumns& columns, bool classification,
                  std::string_view path, Violations& violations);

// Sets the method of the split where it is not given, stratified for a classification and else
// random; adds a violation of `path`.input.split.method where a regression is to be stratified.
void ResolveSplitMethod(bool classification, std::string_view path, v1::TableInput& input,
                        Violations& violations);

// Classes of a classification (at least 2, at most kMaxClasses), or targets of a regression (at
// least 1), by the schema.
int OutputCount(const v1::TableSchema& schema, const TableColumns& columns, bool classification);

}  // namespace trainyard
