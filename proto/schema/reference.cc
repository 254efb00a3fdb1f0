#include "proto/schema/reference.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "proto/schema/field_docs.h"
#include "trainyard/v1/training_spec.pb.h"

namespace trainyard {
namespace {

std::string Number(double value) {
  if (value == std::floor(value) && std::abs(value) < 1e15) {
    return absl::StrCat(static_cast<int64_t>(value));
  }
  return absl::StrCat(value);
}

std::string Range(const FieldDoc& doc) {
  if (!doc.enum_values.empty())
    return absl::StrCat("`", absl::StrJoin(doc.enum_values, "` `"), "`");
  std::string text;
  if (doc.minimum && doc.maximum) {
    text = absl::StrCat(Number(*doc.minimum), " to ", Number(*doc.maximum));
  } else if (doc.minimum) {
    text = absl::StrCat("at least ", Number(*doc.minimum));
  } else if (doc.maximum) {
    text = absl::StrCat("at most ", Number(*doc.maximum));
  }
  if (!doc.unit.empty()) absl::StrAppend(&text, text.empty() ? "" : " ", doc.unit);
  return text;
}

std::string Cell(const std::string& text) { return absl::StrReplaceAll(text, {{"|", "\\|"}}); }

std::string Row(const FieldDoc& doc) {
  const std::string value = doc.required                ? "required"
                            : doc.default_value.empty() ? ""
                                                        : absl::StrCat("`", doc.default_value, "`");
  return absl::StrCat("| `", doc.path, "` | ", doc.type, " | ", value, " | ", Cell(Range(doc)),
                      " | ", Cell(doc.description), " |\n");
}

}  // namespace

std::string RenderSpecReference() {
  std::string page =
      "# Training specs\n\n"
      "Every field of every algorithm's spec, made from the API definition in "
      "`proto/trainyard/v1`. On the\n"
      "command line a field is given as `--set PATH=VALUE`, or as a flag: `--cart.max-depth 5` "
      "for\n"
      "`cart.max_depth`.\n";
  const auto& spec = *v1::TrainingSpec::descriptor();
  for (int i = 0; i < spec.field_count(); ++i) {
    const auto& member = *spec.field(i);
    absl::StrAppend(&page, "\n## `", member.name(), "`\n", CommentOf(member.full_name()),
                    "\n\n| field | type | default | range | meaning |\n|---|---|---|---|---|\n");
    for (const FieldDoc& doc : DescribeFields(*member.message_type()))
      absl::StrAppend(&page, Row(doc));
  }
  return page;
}

}  // namespace trainyard
