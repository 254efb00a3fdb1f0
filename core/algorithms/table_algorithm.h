// What every algorithm does that learns from one table.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "core/algorithms/algorithm.h"
#include "core/algorithms/table_input.h"
#include "core/base/status.h"
#include "proto/schema/field_rules.h"

namespace trainyard {

// An algorithm whose spec is the message `Spec`, the member of TrainingSpec of the algorithm's
// name, with a TableInput `input`.
template <typename Spec>
class TableAlgorithm : public Algorithm {
 public:
  void Resolve(const TableSchemas& tables, std::string_view path, v1::TrainingSpec& spec,
               Violations& violations) const final {
    Spec& own = static_cast<Spec&>(*spec.GetReflection()->MutableMessage(&spec, Member(spec)));
    const std::string own_name(name());
    const std::string own_path = path.empty() ? own_name : std::string(path) + "." + own_name;
    const auto schema = tables.find(own.input().dataset());
    if (schema == tables.end()) {
      violations.Add(own_path + ".input.dataset",
                     absl::StrCat("is \"", own.input().dataset(), "\", which is not a table"));
      return;
    }
    ResolveSpec(schema->second, own_path, own, violations);
    CheckOtherTables(tables, own_path, own, violations);
  }

  int64_t EstimateMemory(const v1::TrainingSpec& spec, const TableSchemas& tables) const final {
    const Spec& own = Own(spec);
    const auto schema = tables.find(own.input().dataset());
    return schema == tables.end() ? 0 : EstimateSpecMemory(own, schema->second);
  }

  absl::StatusOr<TrainingResult> Train(const v1::TrainingSpec& spec, const Tables& tables,
                                       TrainingContext& context) const final {
    Spec own = Own(spec);
    const auto table = tables.find(own.input().dataset());
    if (table == tables.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat("the table \"", own.input().dataset(), "\" is not at hand"));
    }
    // The data may be a newer version than the one the spec was resolved against.
    FillDefaults(own);
    Violations violations;
    const TableColumns columns = ResolveSpec(table->second->schema(), name(), own, violations);
    TY_RETURN_IF_ERROR(violations.ToStatus());
    return TrainOnTable(own, columns, table->second, tables, context);
  }

 protected:
  // Algorithm::Resolve for the schema of the input's table; returns the columns found, which are
  // complete when no violation was added.
  virtual TableColumns ResolveSpec(const v1::TableSchema& schema, std::string_view path, Spec& spec,
                                   Violations& violations) const = 0;
  // Adds violations for what a resolved spec says of tables beside the input's.
  virtual void CheckOtherTables(const TableSchemas& /*tables*/, std::string_view /*path*/,
                                const Spec& /*spec*/, Violations& /*violations*/) const {}
  // Algorithm::EstimateMemory, likewise.
  virtual int64_t EstimateSpecMemory(const Spec& spec, const v1::TableSchema& schema) const = 0;
  // Algorithm::Train by a resolved spec on the columns found for it; `tables` has all tables.
  virtual absl::StatusOr<TrainingResult> TrainOnTable(const Spec& spec, const TableColumns& columns,
                                                      std::shared_ptr<const Table> table,
                                                      const Tables& tables,
                                                      TrainingContext& context) const = 0;

 private:
  const google::protobuf::FieldDescriptor* Member(const v1::TrainingSpec& spec) const {
    return spec.GetDescriptor()->FindFieldByName(std::string(name()));
  }
  const Spec& Own(const v1::TrainingSpec& spec) const {
    return static_cast<const Spec&>(spec.GetReflection()->GetMessage(spec, Member(spec)));
  }
};

}  // namespace trainyard
