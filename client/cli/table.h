// Tables for terminals.
#pragma once

#include <string>
#include <vector>

#include "client/cli/terminal.h"

namespace trainyard::cli {

// One column of a TextTable.
struct TextColumn {
  std::string title;
  // Numbers: aligned to the right and never cut.
  bool numeric = false;
};

// Rows under titles, columns two blanks apart. A table wider than the terminal shrinks its widest
// text columns first.
class TextTable {
 public:
  explicit TextTable(std::vector<TextColumn> columns) : columns_(std::move(columns)) {}

  // Cells may hold colours; missing ones are empty. Control characters must be gone (Printable).
  void AddRow(std::vector<std::string> cells);
  bool empty() const { return rows_.empty(); }

  // The table with a line feed after each line, without trailing blanks.
  std::string Render(const Terminal& terminal) const;

 private:
  std::vector<int> FitWidths(int available) const;

  std::vector<TextColumn> columns_;
  std::vector<std::vector<std::string>> rows_;
};

// `key  value` lines with the keys in one column; values are wrapped to the terminal.
class KeyValueList {
 public:
  // A pair with an empty value is left out.
  void Add(std::string key, std::string value);
  bool empty() const { return pairs_.empty(); }
  std::string Render(const Terminal& terminal) const;

 private:
  std::vector<std::pair<std::string, std::string>> pairs_;
};

}  // namespace trainyard::cli
