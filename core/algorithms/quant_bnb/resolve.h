// Options of a search for an optimal tree against the data it is to learn from.
#pragma once

#include <string_view>

#include "core/algorithms/table_input.h"
#include "proto/schema/violations.h"
#include "trainyard/v1/quant_bnb.pb.h"
#include "trainyard/v1/table.pb.h"

namespace trainyard {

// Most levels of a category that is split.
inline constexpr int64_t kMaxSplitLevels = 1000;
// Most values (rows x features) that are searched to depth 4 without a limit.
inline constexpr int64_t kMaxDepthFourValues = 100'000;

// Fills in what depends on the data (columns, task, split method); adds a violation, its path
// beginning with `path`, for everything that does not fit the schema or within itself. Declared
// defaults are filled in already. Calling it again changes nothing.
TableColumns ResolveQuantBnb(const v1::TableSchema& schema, std::string_view path,
                             v1::QuantBnbSpec& spec, Violations& violations);

// Upper estimate of the memory that training by a resolved spec needs, in bytes: 40 per row and
// feature, levels of categories counting as features, and 64 MB.
int64_t EstimateQuantBnbMemory(const v1::QuantBnbSpec& spec, const v1::TableSchema& schema);

}  // namespace trainyard
