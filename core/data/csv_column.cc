#include "core/data/csv_column.h"

#include <algorithm>
#include <limits>
#include <span>
#include <utility>

#include "core/data/column_memory.h"
#include "core/data/value_parsing.h"

namespace trainyard {
namespace {

// Whether all texts are words of one pair, such as yes and no.
bool AreBooleanWords(const std::vector<std::string>& levels) {
  if (levels.empty()) return false;
  const auto first = ParseBoolean(levels.front());
  return first && std::all_of(levels.begin(), levels.end(), [&](const std::string& level) {
           const auto word = ParseBoolean(level);
           return word && word->second == first->second;
         });
}

}  // namespace

bool CsvColumn::Prepare(int64_t rows, int64_t max_levels) {
  if (role == CsvRole::kLevels) {
    numbers = nullptr;
    codes = AllocateColumn<int32_t>(rows);
    level_set = std::make_unique<LevelSet>(max_levels);
    return codes != nullptr;
  }
  if (role != CsvRole::kSkip && numbers == nullptr) {
    numbers = AllocateColumn<double>(rows);
    return numbers != nullptr;
  }
  return true;
}

void CsvColumn::AdoptLevels(int64_t rows) {
  if (level_set == nullptr) return;
  std::vector<int32_t> ranks;
  levels = level_set->TakeSorted(ranks);
  level_set = nullptr;
  Recode(std::span(codes.get(), static_cast<size_t>(rows)), ranks);
}

bool CsvColumn::ConvertBooleans(int64_t rows) {
  if (type != v1::COLUMN_TYPE_CATEGORICAL) return true;
  if (!boolean && (strict || !AreBooleanWords(levels))) return true;
  std::vector<double> values;
  for (const std::string& level : levels) {
    values.push_back(ParseBooleanOrDigit(level).value_or(false) ? 1 : 0);
  }
  numbers = AllocateColumn<double>(rows);
  if (numbers == nullptr) return false;
  for (int64_t row = 0; row < rows; ++row) {
    const int32_t code = codes[row];
    numbers[row] =
        code < 0 ? std::numeric_limits<double>::quiet_NaN() : values[static_cast<size_t>(code)];
  }
  type = v1::COLUMN_TYPE_BOOLEAN;
  codes = nullptr;
  levels.clear();
  return true;
}

ColumnData CsvColumn::Take(const std::string& name, int64_t rows) {
  ColumnData data;
  data.name = name;
  data.type = type;
  if (type == v1::COLUMN_TYPE_CATEGORICAL) {
    data.codes = {codes.get(), static_cast<size_t>(rows)};
    data.levels = std::move(levels);
    data.storage = std::move(codes);
  } else {
    data.numbers = {numbers.get(), static_cast<size_t>(rows)};
    data.storage = std::move(numbers);
  }
  return data;
}

}  // namespace trainyard
