// Keeping answers below the size that clients take.
#pragma once

#include <cstddef>
#include <string>

#include "trainyard/v1/table.pb.h"

namespace trainyard {

// Most bytes of one schema within an answer.
inline constexpr size_t kMaxSchemaAnswerBytes = 1 << 20;

// Shortens a schema to about `max_bytes`: first the levels go, of those columns that have the most
// bytes of them, then columns at the end. Counts what it leaves out in the schema.
void FitSchema(v1::TableSchema& schema, size_t max_bytes = kMaxSchemaAnswerBytes);

// Cuts `text` to at most `max_bytes`, between UTF-8 characters. Whether it did.
bool CutText(std::string& text, size_t max_bytes);

}  // namespace trainyard
