#include "core/trees/tree_model_files.h"

#include <fcntl.h>

#include <cerrno>
#include <climits>
#include <cstring>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/file_system.h"
#include "core/base/status.h"
#include "core/trees/tree_proto.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"
#include "google/protobuf/wire_format_lite.h"

namespace trainyard {
namespace {

constexpr size_t kLargestMessage = size_t{1} << 31;

std::string PartName(int part) {
  return part == 0 ? kTreeModelFile : absl::StrCat("tree-", part, ".pb");
}

// Reads one part and moves its trees to `ensemble`.
absl::Status ReadPart(const std::filesystem::path& path, const v1::TreeModel* described,
                      StoredTrees& stored) {
  const absl::StatusOr<std::string> bytes = ReadFile(path);
  if (absl::IsNotFound(bytes.status())) return absl::DataLossError(bytes.status().message());
  TY_RETURN_IF_ERROR(bytes.status());
  TY_ASSIGN_OR_RETURN(v1::TreeModel part, ParseTreeModel(*bytes));
  google::protobuf::RepeatedPtrField<v1::DecisionTree> trees;
  trees.Swap(part.mutable_trees());
  if (described == nullptr) {
    const int64_t count = part.tree_count() > 0 ? part.tree_count() : trees.size();
    TY_ASSIGN_OR_RETURN(stored.ensemble, EnsembleWithoutTrees(part, count));
    part.set_tree_count(count);
    stored.model = std::move(part);
    described = &stored.model;
  }
  for (const v1::DecisionTree& message : trees) {
    absl::StatusOr<Tree> tree = TreeFromProto(message, *described);
    if (!tree.ok()) {
      return AddContext(tree.status(), absl::StrCat("tree ", stored.ensemble.trees.size()));
    }
    stored.ensemble.trees.push_back(*std::move(tree));
  }
  return absl::OkStatus();
}

// What one file holds beside its trees, and one of the trees.
struct PartWithTree {
  std::string described;  // bytes of a TreeModel without trees
  int64_t tree_count = 0;
  std::optional<std::string> tree;  // bytes of the tree asked for
};

absl::Status DamagedPart() { return absl::DataLossError("the bytes are no tree model"); }

// Walks over the fields of a file and takes the bytes of tree `number`, where it has it. Whether
// the bytes are those of a message.
bool ScanFields(google::protobuf::io::CodedInputStream& input, int64_t number, PartWithTree& part) {
  using google::protobuf::internal::WireFormatLite;
  google::protobuf::io::StringOutputStream described(&part.described);
  google::protobuf::io::CodedOutputStream output(&described);
  constexpr uint32_t kTrees =
      v1::TreeModel::kTreesFieldNumber << 3 | WireFormatLite::WIRETYPE_LENGTH_DELIMITED;
  while (const uint32_t tag = input.ReadTag()) {
    if (tag != kTrees) {
      if (!WireFormatLite::SkipField(&input, tag, &output)) return false;
      continue;
    }
    int length = 0;
    if (!input.ReadVarintSizeAsInt(&length)) return false;
    const bool wanted = part.tree_count++ == number;
    if (wanted ? !input.ReadString(&part.tree.emplace(), length) : !input.Skip(length)) {
      return false;
    }
  }
  return input.ConsumedEntireMessage();
}

absl::StatusOr<PartWithTree> ScanPart(const std::filesystem::path& path, int64_t number) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return absl::DataLossError(absl::StrCat("cannot be opened: ", strerror(errno)));
  google::protobuf::io::FileInputStream stream(file);
  stream.SetCloseOnDelete(true);
  google::protobuf::io::CodedInputStream input(&stream);
  input.SetTotalBytesLimit(INT_MAX);
  PartWithTree part;
  if (!ScanFields(input, number, part)) return DamagedPart();
  return part;
}

}  // namespace

absl::Status WriteTreeModel(const v1::TreeModel& model, const TreeEnsemble& ensemble,
                            const std::filesystem::path& folder,
                            const std::function<absl::Status()>& check, size_t part_bytes) {
  v1::TreeModel part = model;
  DescribeEnsemble(ensemble, part);
  part.set_tree_count(static_cast<int64_t>(ensemble.trees.size()));
  const size_t header_bytes = part.ByteSizeLong() + 16;
  int number = 0;
  size_t bytes = 0;
  const auto flush = [&] {
    const std::filesystem::path path = folder / PartName(number++);
    absl::Status status = WriteFileAtomically(FileSystem::Real(), path, part.SerializeAsString());
    part.Clear();
    bytes = 0;
    return status;
  };
  for (const Tree& tree : ensemble.trees) {
    if (check) TY_RETURN_IF_ERROR(check());
    v1::DecisionTree message = TreeToProto(tree);
    const size_t own = message.ByteSizeLong();
    if (own + header_bytes >= kLargestMessage) {
      return absl::FailedPreconditionError(
          absl::StrCat("a tree with ", tree.leaf_count(),
                       " leaves needs more than 2 GiB; limit max_leaf_nodes or min_samples_leaf"));
    }
    if (bytes > 0 && bytes + own > part_bytes) TY_RETURN_IF_ERROR(flush());
    bytes += own;
    *part.add_trees() = std::move(message);
  }
  return flush();
}

absl::StatusOr<StoredTrees> ReadTreeModel(
    const std::function<absl::StatusOr<std::filesystem::path>(const std::string& name)>& path_of) {
  StoredTrees stored;
  for (int number = 0;; ++number) {
    const std::string name = PartName(number);
    const absl::StatusOr<std::filesystem::path> path = path_of(name);
    if (!path.ok()) return absl::DataLossError(path.status().message());
    const absl::Status status = ReadPart(*path, number == 0 ? nullptr : &stored.model, stored);
    if (!status.ok()) return AddContext(status, name);
    const size_t count = static_cast<size_t>(stored.model.tree_count());
    if (stored.ensemble.trees.size() > count) {
      return absl::DataLossError(absl::StrCat(name, ": there are more than ", count, " trees"));
    }
    if (stored.ensemble.trees.size() == count) break;
  }
  if (stored.ensemble.trees.empty()) return absl::DataLossError("a tree model has no trees");
  return stored;
}

absl::StatusOr<StoredTree> ReadStoredTree(
    const std::function<absl::StatusOr<std::filesystem::path>(const std::string& name)>& path_of,
    int64_t number) {
  StoredTree stored;
  int64_t passed = 0;
  for (int file = 0;; ++file) {
    const std::string name = PartName(file);
    const absl::StatusOr<std::filesystem::path> path = path_of(name);
    if (!path.ok()) return absl::DataLossError(path.status().message());
    absl::StatusOr<PartWithTree> part = ScanPart(*path, number - passed);
    if (!part.ok()) return AddContext(part.status(), name);
    if (file == 0) {
      TY_ASSIGN_OR_RETURN(stored.model, ParseTreeModel(part->described));
      if (stored.model.tree_count() == 0) stored.model.set_tree_count(part->tree_count);
      TY_ASSIGN_OR_RETURN(stored.ensemble,
                          EnsembleWithoutTrees(stored.model, stored.model.tree_count()));
    }
    if (number >= stored.model.tree_count()) {
      return absl::OutOfRangeError(absl::StrCat("there is no tree ", number, "; the model has ",
                                                stored.model.tree_count(), " trees"));
    }
    if (part->tree.has_value()) {
      v1::DecisionTree message;
      if (!message.ParseFromString(*part->tree)) return AddContext(DamagedPart(), name);
      TY_ASSIGN_OR_RETURN(stored.tree, TreeFromProto(message, stored.model));
      return stored;
    }
    if (part->tree_count == 0) return absl::DataLossError(absl::StrCat(name, " has no trees"));
    passed += part->tree_count;
  }
}

absl::StatusOr<StoredTrees> ReadTreeModel(const std::filesystem::path& folder) {
  return ReadTreeModel([&folder](const std::string& name) -> absl::StatusOr<std::filesystem::path> {
    return folder / name;
  });
}

}  // namespace trainyard
