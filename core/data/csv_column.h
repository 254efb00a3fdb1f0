// A column of a CSV file while it is being read.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/data/column_data.h"
#include "core/data/csv_levels.h"
#include "core/data/csv_pass.h"

namespace trainyard {

struct CsvColumn {
  CsvRole role = CsvRole::kNumber;                // in the next pass
  bool strict = false;                            // of a given type
  bool boolean = false;                           // of the given type boolean
  v1::ColumnType type = v1::COLUMN_TYPE_NUMERIC;  // by the last role that did not fail
  std::shared_ptr<double[]> numbers;
  std::shared_ptr<int32_t[]> codes;
  std::unique_ptr<LevelSet> level_set;  // during a pass that reads levels
  std::vector<std::string> levels;      // afterwards, sorted

  // Memory for `rows` values in the next pass. False when there is none.
  bool Prepare(int64_t rows, int64_t max_levels);

  // Takes over the levels of the last pass and makes the first `rows` codes refer to them.
  void AdoptLevels(int64_t rows);

  // Turns a categorical column of boolean words to a boolean one. False when memory runs out.
  bool ConvertBooleans(int64_t rows);

  // The finished column.
  ColumnData Take(const std::string& name, int64_t rows);
};

}  // namespace trainyard
