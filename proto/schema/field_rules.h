// The rules that spec fields declare about themselves (proto/trainyard/v1/field_rules.proto).
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "google/protobuf/message.h"
#include "proto/schema/violations.h"

namespace trainyard {

// Adds a violation for every field of `message`, at any depth, that breaks its declared rule
// (range, finiteness, required, number of elements, length) or holds an enum value that is not
// defined. `path` is put before each field's path (`job.spec`); empty for none.
void CheckFieldRules(const google::protobuf::Message& message, std::string_view path,
                     Violations& violations);

// Fills every field that is not given and declares a default, at any depth; messages that contain
// such fields are created, except within a oneof. Fields that are given stay as they are.
void FillDefaults(google::protobuf::Message& message);

// Clears every field declared output only, at any depth.
void ClearOutputOnly(google::protobuf::Message& message);

// Calls `visit(path, value)` for every non-empty string field, at any depth, whose rule declares
// that it holds the name of a `resource` (`dataset`, `model`). `visit` may change the value.
void VisitResourceNames(
    google::protobuf::Message& message, std::string_view resource,
    const std::function<void(const std::string& path, std::string& value)>& visit);

}  // namespace trainyard
