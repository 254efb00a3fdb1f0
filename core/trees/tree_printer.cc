#include "core/trees/tree_printer.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace trainyard {
namespace {

// Shortest text that reads back as the same double.
std::string Exact(double value) {
  char buffer[32];
  const std::to_chars_result result = std::to_chars(buffer, buffer + sizeof(buffer), value);
  return std::string(buffer, result.ptr);
}

std::string Rounded(double value) { return absl::StrFormat("%.6g", value); }

std::string Quoted(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      quoted += '\\';
      quoted += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      quoted += absl::StrFormat("\\u%04x", static_cast<unsigned>(c));
    } else {
      quoted += c;
    }
  }
  return quoted + "\"";
}

std::string FeatureName(const Tree& tree, const TreeNames& names, int node) {
  const size_t feature = static_cast<size_t>(tree.feature[static_cast<size_t>(node)]);
  return feature < names.features.size() ? names.features[feature]->name()
                                         : absl::StrCat("x", feature);
}

std::vector<std::string> LevelNames(const Tree& tree, const TreeNames& names, int node) {
  std::vector<std::string> levels;
  const size_t feature = static_cast<size_t>(tree.feature[static_cast<size_t>(node)]);
  for (const int32_t code : tree.LeftLevels(node)) {
    const bool named =
        feature < names.features.size() && code < names.features[feature]->levels_size();
    levels.push_back(named ? names.features[feature]->levels(code) : absl::StrCat(code));
  }
  return levels;
}

// Control characters of names and levels would break the layout of a line.
std::string OneLine(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }, ' ');
  return text;
}

// The condition for going left.
std::string Condition(const Tree& tree, const TreeNames& names, int node) {
  const size_t t = static_cast<size_t>(node);
  std::string text = FeatureName(tree, names, node);
  if (tree.is_categorical(node)) {
    constexpr size_t kMaxShown = 20;
    const std::vector<std::string> levels = LevelNames(tree, names, node);
    text += " in {";
    for (size_t i = 0; i < levels.size() && i < kMaxShown; ++i) {
      absl::StrAppend(&text, i > 0 ? ", " : "", levels[i]);
    }
    if (levels.size() > kMaxShown) absl::StrAppend(&text, ", … (", levels.size(), " levels)");
    text += "}";
  } else if (tree.threshold[t] == HUGE_VAL) {
    text += " is present";
  } else {
    absl::StrAppend(&text, " <= ", Rounded(tree.threshold[t]));
  }
  const bool says_missing = tree.threshold[t] == HUGE_VAL && !tree.missing_left[t];
  if (!says_missing) text += tree.missing_left[t] ? " or missing" : "";
  return OneLine(std::move(text));
}

std::string Values(std::span<const double> values, const TreeNames& names) {
  if (values.size() == 1) return Rounded(values[0]);
  constexpr size_t kMaxShown = 10;
  std::string text = "[";
  for (size_t k = 0; k < values.size() && k < kMaxShown; ++k) {
    absl::StrAppend(&text, k > 0 ? ", " : "");
    if (k < names.outputs.size()) absl::StrAppend(&text, names.outputs[k], ": ");
    absl::StrAppend(&text, Rounded(values[k]));
  }
  return OneLine(absl::StrCat(text, values.size() > kMaxShown ? ", …]" : "]"));
}

std::string NodeFigures(const Tree& tree, const TreeNames& names, int node) {
  const size_t t = static_cast<size_t>(node);
  const std::span<const double> mean = tree.MeanOf(node);
  const std::span<const double> value = tree.ValueOf(node);
  std::string text = absl::StrCat("N ", Rounded(tree.weight[t]), ", mean ", Values(mean, names));
  if (!std::equal(mean.begin(), mean.end(), value.begin())) {
    absl::StrAppend(&text, ", shrunk ", Values(value, names));
  }
  return text;
}

std::string JsonNumber(double value) {
  if (std::isinf(value)) return value > 0 ? "\"Infinity\"" : "\"-Infinity\"";
  return std::isnan(value) ? "\"NaN\"" : Exact(value);
}

std::string JsonArray(std::span<const double> values) {
  std::string text = "[";
  for (const double value : values) {
    absl::StrAppend(&text, text.size() > 1 ? ", " : "", JsonNumber(value));
  }
  return text + "]";
}

std::string JsonSplit(const Tree& tree, const TreeNames& names, int node) {
  const size_t t = static_cast<size_t>(node);
  std::string text = absl::StrCat(", \"feature\": ", Quoted(FeatureName(tree, names, node)));
  if (tree.is_categorical(node)) {
    text += ", \"left_levels\": [";
    const std::vector<std::string> levels = LevelNames(tree, names, node);
    for (size_t i = 0; i < levels.size(); ++i) {
      absl::StrAppend(&text, i > 0 ? ", " : "", Quoted(levels[i]));
    }
    text += "]";
  } else {
    absl::StrAppend(&text, ", \"threshold\": ", JsonNumber(tree.threshold[t]));
  }
  absl::StrAppend(&text, ", \"missing\": \"", tree.missing_left[t] ? "left" : "right",
                  "\", \"left\": ", tree.left[t], ", \"right\": ", tree.right[t]);
  return text;
}

}  // namespace

std::string TreeToText(const Tree& tree, const TreeNames& names, size_t max_bytes) {
  struct Entry {
    int node;
    int depth;
    std::string label;
  };
  const std::string cut = "… cut\n";
  std::string text;
  std::vector<Entry> stack;
  if (tree.node_count() > 0) stack.push_back({0, 0, "all rows"});
  while (!stack.empty()) {
    const Entry entry = std::move(stack.back());
    stack.pop_back();
    std::string line;
    for (int i = 0; i < std::min(entry.depth, 100); ++i) line += "  ";
    absl::StrAppend(&line, entry.label, ": ", NodeFigures(tree, names, entry.node), "\n");
    if (text.size() + line.size() + cut.size() > max_bytes) return text + cut;
    text += line;
    if (tree.is_leaf(entry.node)) continue;
    const size_t t = static_cast<size_t>(entry.node);
    const std::string condition = Condition(tree, names, entry.node);
    stack.push_back({tree.right[t], entry.depth + 1, absl::StrCat("not ", condition)});
    stack.push_back({tree.left[t], entry.depth + 1, condition});
  }
  return text;
}

std::optional<std::string> TreeToDot(const Tree& tree, const TreeNames& names, size_t max_bytes) {
  std::string text = "digraph tree {\n  node [shape=box];\n";
  for (int node = 0; node < tree.node_count(); ++node) {
    const size_t t = static_cast<size_t>(node);
    std::string label = NodeFigures(tree, names, node);
    if (!tree.is_leaf(node)) label = absl::StrCat(Condition(tree, names, node), "  |  ", label);
    absl::StrAppend(&text, "  n", node, " [label=", Quoted(label), "];\n");
    if (text.size() > max_bytes) return std::nullopt;
    if (tree.is_leaf(node)) continue;
    absl::StrAppend(&text, "  n", node, " -> n", tree.left[t], " [label=\"yes\"];\n");
    absl::StrAppend(&text, "  n", node, " -> n", tree.right[t], " [label=\"no\"];\n");
  }
  text += "}\n";
  if (text.size() > max_bytes) return std::nullopt;
  return text;
}

std::optional<std::string> TreeToJson(const Tree& tree, const TreeNames& names, size_t max_bytes) {
  std::string text = "{\"nodes\": [";
  for (int node = 0; node < tree.node_count(); ++node) {
    const size_t t = static_cast<size_t>(node);
    absl::StrAppend(&text, node > 0 ? ",\n" : "\n", "{\"id\": ", node);
    if (!tree.is_leaf(node)) text += JsonSplit(tree, names, node);
    absl::StrAppend(&text, ", \"weight\": ", JsonNumber(tree.weight[t]),
                    ", \"row_count\": ", tree.row_count[t],
                    ", \"impurity\": ", JsonNumber(tree.impurity[t]),
                    ", \"mean\": ", JsonArray(tree.MeanOf(node)),
                    ", \"value\": ", JsonArray(tree.ValueOf(node)), "}");
    if (text.size() > max_bytes) return std::nullopt;
  }
  text += "\n]}";
  if (text.size() > max_bytes) return std::nullopt;
  return text;
}

}  // namespace trainyard
