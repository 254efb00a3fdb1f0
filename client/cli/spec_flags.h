// Command line flags made from the fields of a spec message.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "CLI/App.hpp"
#include "absl/status/status.h"
#include "google/protobuf/message.h"
#include "proto/schema/field_docs.h"

namespace trainyard::cli {

// One field and its flag.
struct SpecFlag {
  FieldDoc field;
  CLI::Option* option = nullptr;
};

// Adds a flag to `command` for every field of `spec`, also inside messages: `cart.max_depth`
// becomes
// --cart.max-depth. A field whose flag the command already has gets --spec.NAME. The help holds
// meaning, default, range, unit, and the short names of enum values.
std::vector<SpecFlag> AddSpecFlags(CLI::App& command, const google::protobuf::Descriptor& spec);

// Sets the fields whose flags were given. Lists and maps may be given in several flags. A usage
// error names the flag.
absl::Status ApplySpecFlags(const std::vector<SpecFlag>& flags, google::protobuf::Message& spec);

// Help text of a field.
std::string FlagHelp(const FieldDoc& field);

}  // namespace trainyard::cli
