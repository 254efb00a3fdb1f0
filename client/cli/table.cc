#include "client/cli/table.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "client/cli/text.h"

namespace trainyard::cli {
namespace {

constexpr int kGap = 2;
constexpr int kLeastColumn = 6;

void AppendLine(std::string line, std::string& out) {
  absl::StripTrailingAsciiWhitespace(&line);
  absl::StrAppend(&out, line, "\n");
}

}  // namespace

void TextTable::AddRow(std::vector<std::string> cells) {
  cells.resize(columns_.size());
  rows_.push_back(std::move(cells));
}

std::vector<int> TextTable::FitWidths(int available) const {
  std::vector<int> widths;
  for (size_t c = 0; c < columns_.size(); ++c) {
    int width = DisplayWidth(columns_[c].title);
    for (const auto& row : rows_) width = std::max(width, DisplayWidth(row[c]));
    widths.push_back(width);
  }
  int total = kGap * (static_cast<int>(widths.size()) - 1);
  for (const int width : widths) total += width;
  for (; total > available; --total) {
    int widest = -1;
    for (size_t c = 0; c < widths.size(); ++c) {
      if (columns_[c].numeric || widths[c] <= kLeastColumn) continue;
      if (widest < 0 || widths[c] > widths[static_cast<size_t>(widest)]) {
        widest = static_cast<int>(c);
      }
    }
    if (widest < 0) break;
    --widths[static_cast<size_t>(widest)];
  }
  return widths;
}

std::string TextTable::Render(const Terminal& terminal) const {
  const std::vector<int> widths = FitWidths(terminal.width);
  const auto line_of = [&](const auto& cell_of) {
    std::string line;
    for (size_t c = 0; c < columns_.size(); ++c) {
      if (c > 0) line.append(kGap, ' ');
      line += Pad(Fit(cell_of(c), widths[c]), widths[c], columns_[c].numeric);
    }
    return Fit(line, terminal.width);
  };
  std::string out;
  AppendLine(line_of([&](size_t c) { return terminal.Paint(columns_[c].title, Colour::kBold); }),
             out);
  for (const auto& row : rows_) AppendLine(line_of([&](size_t c) { return row[c]; }), out);
  return out;
}

void KeyValueList::Add(std::string key, std::string value) {
  if (!value.empty()) pairs_.emplace_back(std::move(key), std::move(value));
}

std::string KeyValueList::Render(const Terminal& terminal) const {
  int key_width = 0;
  for (const auto& [key, value] : pairs_) key_width = std::max(key_width, DisplayWidth(key));
  std::string out;
  for (const auto& [key, value] : pairs_) {
    std::string lead = terminal.Paint(Pad(key, key_width), Colour::kDim);
    const int room = std::max(kLeastColumn, terminal.width - key_width - kGap);
    for (const std::string& line : Wrap(value, room)) {
      AppendLine(lead + std::string(kGap, ' ') + line, out);
      lead = std::string(static_cast<size_t>(key_width), ' ');
    }
  }
  return out;
}

}  // namespace trainyard::cli
