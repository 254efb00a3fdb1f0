// Trees as text for people, as Graphviz and as JSON.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "core/trees/tree.h"
#include "trainyard/v1/table.pb.h"

namespace trainyard {

// What a printed tree calls things. Spans may be empty: features are then `x0`, `x1`, …, levels
// their codes, outputs their numbers.
struct TreeNames {
  std::span<const v1::ColumnSchema* const> features;
  std::span<const std::string> outputs;  // class labels or target names
};

// Indented text: one line per node, an inner node followed by its two sides, each line with N, m
// and, where it differs, h. Cut at a line's end before `max_bytes`, with a last line that says so.
std::string TreeToText(const Tree& tree, const TreeNames& names, size_t max_bytes);

// A Graphviz digraph; nothing where it would be longer than `max_bytes`.
std::optional<std::string> TreeToDot(const Tree& tree, const TreeNames& names,
                                     size_t max_bytes = SIZE_MAX);

// One JSON object: {"nodes": [{"id", "feature", "threshold" or "left_levels", "missing", "left",
// "right", "weight", "row_count", "impurity", "mean": […], "value": […]}, …]}. Numbers round-trip;
// infinite thresholds are the strings "Infinity" and "-Infinity". Nothing where it would be longer
// than `max_bytes`.
std::optional<std::string> TreeToJson(const Tree& tree, const TreeNames& names,
                                      size_t max_bytes = SIZE_MAX);

}  // namespace trainyard
