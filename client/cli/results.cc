#include "client/cli/results.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "client/cli/spec_values.h"
#include "client/cli/table.h"
#include "client/cli/text.h"

namespace trainyard::cli {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using Numbers = std::map<std::string, double>;

constexpr size_t kMostTextLines = 12;
constexpr int kMostTableRows = 40;
constexpr size_t kLeastTableFields = 4;

std::string Words(std::string_view name) {
  return absl::StrReplaceAll(absl::string_view(name.data(), name.size()), {{"_", " "}});
}

bool IsNumberMap(const FieldDescriptor& field) {
  return field.is_map() &&
         field.message_type()->map_value()->cpp_type() == FieldDescriptor::CPPTYPE_DOUBLE &&
         field.message_type()->map_key()->cpp_type() == FieldDescriptor::CPPTYPE_STRING;
}

// The map of numbers in the values of a map, where they hold nothing else; else nullptr.
const FieldDescriptor* InnerNumberMap(const FieldDescriptor& field) {
  if (!field.is_map() || field.message_type()->map_value()->message_type() == nullptr ||
      field.message_type()->map_key()->cpp_type() != FieldDescriptor::CPPTYPE_STRING) {
    return nullptr;
  }
  const auto& value = *field.message_type()->map_value()->message_type();
  const bool alone = value.field_count() == 1 && IsNumberMap(*value.field(0));
  return alone ? value.field(0) : nullptr;
}

Numbers ReadMap(const Message& message, const FieldDescriptor& field) {
  Numbers numbers;
  const auto* reflection = message.GetReflection();
  for (int i = 0; i < reflection->FieldSize(message, &field); ++i) {
    const Message& entry = reflection->GetRepeatedMessage(message, &field, i);
    const auto* of_entry = entry.GetReflection();
    numbers[of_entry->GetString(entry, field.message_type()->map_key())] =
        of_entry->GetDouble(entry, field.message_type()->map_value());
  }
  return numbers;
}

// The maps of numbers in a map, by its keys: sets of rows in their usual order, others after them.
std::vector<std::pair<std::string, Numbers>> ReadMaps(const Message& message,
                                                      const FieldDescriptor& field) {
  std::vector<std::pair<std::string, Numbers>> maps;
  const FieldDescriptor* inner = InnerNumberMap(field);
  const auto* reflection = message.GetReflection();
  for (int i = 0; i < reflection->FieldSize(message, &field); ++i) {
    const Message& entry = reflection->GetRepeatedMessage(message, &field, i);
    const auto* of_entry = entry.GetReflection();
    maps.emplace_back(
        of_entry->GetString(entry, field.message_type()->map_key()),
        ReadMap(of_entry->GetMessage(entry, field.message_type()->map_value()), *inner));
  }
  const auto place = [](const std::string& key) {
    constexpr std::string_view kSets[] = {"train", "validation", "test"};
    return std::find(std::begin(kSets), std::end(kSets), key) - std::begin(kSets);
  };
  std::sort(maps.begin(), maps.end(), [&](const auto& a, const auto& b) {
    return std::pair(place(a.first), a.first) < std::pair(place(b.first), b.first);
  });
  return maps;
}

// A table with a line per key and a column per map.
std::string SideBySide(const std::vector<std::pair<std::string, Numbers>>& maps,
                       const Terminal& terminal) {
  std::vector<TextColumn> columns = {{"metric"}};
  std::set<std::string> keys;
  for (const auto& [title, numbers] : maps) {
    columns.push_back({title, true});
    for (const auto& [key, value] : numbers) keys.insert(key);
  }
  if (keys.empty()) return "";
  TextTable table(std::move(columns));
  for (const std::string& key : keys) {
    std::vector<std::string> cells = {Printable(key)};
    for (const auto& [title, numbers] : maps) {
      const auto found = numbers.find(key);
      cells.push_back(found == numbers.end() ? "" : HumanNumber(found->second));
    }
    table.AddRow(std::move(cells));
  }
  return table.Render(terminal);
}

std::optional<double> NumberOf(const Message& message, const FieldDescriptor& field) {
  const auto* reflection = message.GetReflection();
  if (field.is_repeated()) return std::nullopt;
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return reflection->GetInt32(message, &field);
    case FieldDescriptor::CPPTYPE_INT64:
      return static_cast<double>(reflection->GetInt64(message, &field));
    case FieldDescriptor::CPPTYPE_FLOAT:
      return reflection->GetFloat(message, &field);
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return reflection->GetDouble(message, &field);
    default:
      return std::nullopt;
  }
}

std::string ValueText(const Message& message, const FieldDescriptor& field) {
  const auto* reflection = message.GetReflection();
  if (const std::optional<double> number = NumberOf(message, field)) {
    if (absl::EndsWith(field.name(), "_seconds")) return HumanDuration(*number);
    if (absl::EndsWith(field.name(), "_bytes")) return HumanBytes(static_cast<int64_t>(*number));
    return HumanNumber(*number, 6);
  }
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL:
      return reflection->GetBool(message, &field) ? "yes" : "no";
    case FieldDescriptor::CPPTYPE_ENUM:
      return Words(ShortEnumName(*reflection->GetEnum(message, &field)));
    case FieldDescriptor::CPPTYPE_STRING:
      return reflection->GetString(message, &field);
    default:
      return "";
  }
}

std::string LabelOf(const FieldDescriptor& field) {
  std::string name = field.name();
  for (const char* unit : {"_seconds", "_bytes"}) {
    if (absl::EndsWith(name, unit)) name.resize(name.size() - std::string(unit).size());
  }
  return Words(name);
}

// The message in the report's oneof, if set.
const Message* AlgorithmReport(const v1::Report& report) {
  const auto* oneof = v1::Report::descriptor()->FindOneofByName("report");
  const auto* field = report.GetReflection()->GetOneofFieldDescriptor(report, oneof);
  return field == nullptr ? nullptr : &report.GetReflection()->GetMessage(report, field);
}

// What all maps are called in common is left out of their titles.
std::string CommonPrefix(const std::vector<std::string>& names) {
  if (names.size() < 2) return "";
  std::string prefix = names[0];
  for (const std::string& name : names) {
    while (!absl::StartsWith(name, prefix)) prefix.pop_back();
  }
  const size_t end = prefix.rfind('_');
  return end == std::string::npos ? "" : prefix.substr(0, end + 1);
}

// `cart_metrics` is `cart ` in titles.
std::string Stem(std::string name) {
  constexpr std::string_view kSuffix = "metrics";
  if (absl::EndsWith(name, "_metrics")) name.resize(name.size() - kSuffix.size());
  return Words(name) + (absl::EndsWith(name, "_") ? "" : " ");
}

std::string MapsText(const Message& message, const Terminal& terminal) {
  std::vector<std::string> names;
  std::vector<Numbers> maps;
  for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
    const FieldDescriptor& field = *message.GetDescriptor()->field(i);
    if (!IsNumberMap(field)) continue;
    names.push_back(field.name());
    maps.push_back(ReadMap(message, field));
  }
  const size_t prefix = CommonPrefix(names).size();
  std::vector<std::pair<std::string, Numbers>> titled;
  for (size_t i = 0; i < maps.size(); ++i) {
    titled.emplace_back(Words(names[i].substr(prefix)), maps[i]);
  }
  std::string text = SideBySide(titled, terminal);
  for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
    const FieldDescriptor& field = *message.GetDescriptor()->field(i);
    if (InnerNumberMap(field) == nullptr) continue;
    std::vector<std::pair<std::string, Numbers>> maps_of_field = ReadMaps(message, field);
    for (auto& [title, numbers] : maps_of_field) title = absl::StrCat(Stem(field.name()), title);
    const std::string table = SideBySide(maps_of_field, terminal);
    absl::StrAppend(&text, text.empty() || table.empty() ? "" : "\n", table);
  }
  return text;
}

std::string LongText(const std::string& title, const std::string& text, const Terminal& terminal) {
  std::string out = absl::StrCat("\n", terminal.Paint(title, Colour::kBold), "\n");
  const std::vector<std::string> lines = absl::StrSplit(text, '\n');
  size_t count = lines.size();
  while (count > 0 && lines[count - 1].empty()) --count;
  for (size_t i = 0; i < std::min(count, kMostTextLines); ++i) {
    absl::StrAppend(&out, Fit(Printable(lines[i]), terminal.width), "\n");
  }
  if (count > kMostTextLines) {
    absl::StrAppend(&out, "… and ", count - kMostTextLines, " lines more\n");
  }
  return out;
}

// Adds what `message` and the messages in it have to show, one line each, and texts of several
// lines apart.
void AddValues(const Message& message, const std::string& prefix, const Terminal& terminal,
               KeyValueList& values, std::string& long_texts) {
  const auto* reflection = message.GetReflection();
  for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
    const FieldDescriptor& field = *message.GetDescriptor()->field(i);
    if (field.is_repeated()) continue;
    if (field.has_presence() && !reflection->HasField(message, &field)) continue;
    const std::string label = absl::StrCat(prefix, LabelOf(field));
    if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      AddValues(reflection->GetMessage(message, &field), absl::StrCat(label, ", "), terminal,
                values, long_texts);
      continue;
    }
    if (field.cpp_type() == FieldDescriptor::CPPTYPE_ENUM &&
        reflection->GetEnumValue(message, &field) == 0) {
      continue;
    }
    const std::string text = ValueText(message, field);
    if (text.find('\n') != std::string::npos) {
      absl::StrAppend(&long_texts, LongText(label, text, terminal));
    } else {
      values.Add(label, Printable(text));
    }
  }
}

// Fields of an element of a list that a table shows.
std::vector<const FieldDescriptor*> ScalarFields(const google::protobuf::Descriptor& element) {
  std::vector<const FieldDescriptor*> fields;
  for (int i = 0; i < element.field_count(); ++i) {
    const FieldDescriptor& field = *element.field(i);
    if (!field.is_repeated() && field.cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) {
      fields.push_back(&field);
    }
  }
  return fields;
}

// A line for each element of a list; shorter lists of numbers are for plots.
std::string ListText(const Message& message, const FieldDescriptor& list,
                     const Terminal& terminal) {
  const std::vector<const FieldDescriptor*> fields = ScalarFields(*list.message_type());
  const auto* reflection = message.GetReflection();
  const int size = reflection->FieldSize(message, &list);
  if (fields.size() < kLeastTableFields || size == 0) return "";
  std::vector<TextColumn> columns;
  for (const FieldDescriptor* field : fields) {
    columns.push_back(
        {LabelOf(*field),
         NumberOf(reflection->GetRepeatedMessage(message, &list, 0), *field).has_value()});
  }
  TextTable table(std::move(columns));
  for (int i = 0; i < std::min(size, kMostTableRows); ++i) {
    const Message& element = reflection->GetRepeatedMessage(message, &list, i);
    std::vector<std::string> cells;
    for (const FieldDescriptor* field : fields) {
      const bool absent =
          field->has_presence() && !element.GetReflection()->HasField(element, field);
      cells.push_back(absent ? "" : Printable(ValueText(element, *field)));
    }
    table.AddRow(std::move(cells));
  }
  std::string text = absl::StrCat("\n", LabelOf(list), "\n", table.Render(terminal));
  if (size > kMostTableRows) {
    absl::StrAppend(&text, "… and ", size - kMostTableRows, " lines more\n");
  }
  return text;
}

std::string ListsText(const Message& message, const Terminal& terminal) {
  std::string text;
  for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
    const FieldDescriptor& field = *message.GetDescriptor()->field(i);
    if (!field.is_repeated() || field.is_map() || field.message_type() == nullptr) continue;
    absl::StrAppend(&text, ListText(message, field, terminal));
  }
  return text;
}

}  // namespace

std::string ReportText(const v1::Report& report, const Terminal& terminal) {
  const auto numbers = [](const google::protobuf::Map<std::string, double>& map) {
    return Numbers(map.begin(), map.end());
  };
  std::vector<std::pair<std::string, Numbers>> rows;
  if (!report.train_metrics().empty()) rows.emplace_back("train", numbers(report.train_metrics()));
  if (!report.validation_metrics().empty()) {
    rows.emplace_back("validation", numbers(report.validation_metrics()));
  }
  if (!report.test_metrics().empty()) rows.emplace_back("test", numbers(report.test_metrics()));
  std::string out = SideBySide(rows, terminal);
  KeyValueList values;
  std::string long_texts;
  if (const Message* algorithm = AlgorithmReport(report)) {
    const std::string maps = MapsText(*algorithm, terminal);
    if (!maps.empty()) absl::StrAppend(&out, out.empty() ? "" : "\n", maps);
    AddValues(*algorithm, "", terminal, values, long_texts);
    long_texts = absl::StrCat(ListsText(*algorithm, terminal), long_texts);
  }
  values.Add("wall time", HumanDuration(report.wall_seconds()));
  values.Add("peak memory", HumanBytes(report.peak_memory_bytes()));
  absl::StrAppend(&out, out.empty() ? "" : "\n", values.Render(terminal), long_texts);
  return out;
}

std::string MostTellingCurve(const std::map<std::string, Curve>& curves) {
  std::string best;
  int best_score = -1;
  for (const auto& [name, curve] : curves) {
    std::vector<double> finite;
    for (const auto& [x, y] : curve) {
      if (std::isfinite(y)) finite.push_back(y);
    }
    if (finite.size() < 2) continue;
    const auto has = [&name = name](const char* part) { return absl::StrContains(name, part); };
    int score = 0;
    if (has("loss") || has("error") || has("rmse") || has("mse") || has("bits") || has("gap")) {
      score += 4;
    }
    if (has("accuracy") || has("auc") || has("r2") || has("objective")) score += 3;
    if (has("valid") || has("test") || has("cv")) score += 2;
    const auto [low, high] = std::minmax_element(finite.begin(), finite.end());
    if (*low < *high) score += 8;
    // `cv/loss` tells more than `cv/fold_1/loss`.
    const auto depth = [](const std::string& path) {
      return std::count(path.begin(), path.end(), '/');
    };
    if (score > best_score || (score == best_score && depth(name) < depth(best))) {
      best_score = score;
      best = name;
    }
  }
  return best;
}

std::string CurveText(const v1::Report& report, const std::map<std::string, Curve>& curves,
                      const Terminal& terminal) {
  PlotOptions options;
  if (const std::string name = MostTellingCurve(curves); !name.empty()) {
    options.title = Printable(name);
    return RenderPlot(curves.at(name), options, terminal);
  }
  const Message* algorithm = AlgorithmReport(report);
  if (algorithm == nullptr) return "";
  for (int i = 0; i < algorithm->GetDescriptor()->field_count(); ++i) {
    const FieldDescriptor& field = *algorithm->GetDescriptor()->field(i);
    if (!field.is_repeated() || field.is_map()) continue;
    if (field.cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) continue;
    const auto& element = *field.message_type();
    if (element.field_count() < 2) continue;
    Curve curve;
    for (int e = 0; e < algorithm->GetReflection()->FieldSize(*algorithm, &field); ++e) {
      const Message& point = algorithm->GetReflection()->GetRepeatedMessage(*algorithm, &field, e);
      const auto x = NumberOf(point, *element.field(0));
      const auto y = NumberOf(point, *element.field(1));
      if (x.has_value() && y.has_value()) curve.emplace_back(*x, *y);
    }
    if (curve.size() < 2) continue;
    options.title = absl::StrCat(Words(element.field(1)->name()), " by ", element.field(0)->name());
    options.x_label = element.field(0)->name();
    // Strengths span orders of magnitude; those that are not positive have no place on that axis.
    const double largest = curve.back().first;
    const auto positive =
        std::find_if(curve.begin(), curve.end(), [](const auto& point) { return point.first > 0; });
    if (curve.end() - positive >= 3 && largest > 100 * positive->first) {
      curve.erase(curve.begin(), positive);
      options.log_x = true;
    }
    return RenderPlot(curve, options, terminal);
  }
  return "";
}

}  // namespace trainyard::cli
