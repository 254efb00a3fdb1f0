// Options of a hierarchical shrinkage job against the data it is to learn from.
#pragma once

#include <string_view>

#include "core/algorithms/table_input.h"
#include "proto/schema/violations.h"
#include "trainyard/v1/hierarchical_shrinkage.pb.h"
#include "trainyard/v1/table.pb.h"

namespace trainyard {

// Fills in what depends on the data (columns, task, criterion, split method) and orders the lambda
// grid; adds a violation, its path beginning with `path`, for everything that does not fit the
// schema. Declared defaults are filled in already. Calling it again changes nothing.
TableColumns ResolveHierarchicalShrinkage(const v1::TableSchema& schema, std::string_view path,
                                          v1::HierarchicalShrinkageSpec& spec,
                                          Violations& violations);

// Upper estimate of the memory that training by a resolved spec needs, in bytes.
int64_t EstimateHierarchicalShrinkageMemory(const v1::HierarchicalShrinkageSpec& spec,
                                            const v1::TableSchema& schema);

}  // namespace trainyard
