// The options of the base learner and of the choice of strength, against task and schema.
#pragma once

#include <string_view>

#include "core/algorithms/table_input.h"
#include "proto/schema/violations.h"
#include "trainyard/v1/hierarchical_shrinkage.pb.h"
#include "trainyard/v1/table.pb.h"

namespace trainyard {

// Fills in criterion, bootstrap, loss, shrinkage mode and selection, and adds a violation, its path
// beginning with `path`, for every option that contradicts another, the task or the columns. The
// task is resolved. Calling it again changes nothing.
void ResolveLearner(const v1::TableSchema& schema, const TableColumns& columns,
                    std::string_view path, v1::HierarchicalShrinkageSpec& spec,
                    Violations& violations);

}  // namespace trainyard
