// The reference page of training specs, made from the API definition.
#pragma once

#include <string>

namespace trainyard {

// A Markdown page with a section per member of TrainingSpec and a row per field: path, type,
// default, range, meaning. `docs/reference.md` is this text; a test keeps the two equal.
std::string RenderSpecReference();

}  // namespace trainyard
