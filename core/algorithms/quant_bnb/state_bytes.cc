#include "core/algorithms/quant_bnb/state_bytes.h"

#include <cstring>
#include <limits>
#include <span>
#include <vector>

namespace trainyard::quant_bnb {
namespace {

// 64-bit FNV-1a, by steps of eight bytes.
class Fingerprint {
 public:
  template <typename T>
  void Add(T value) {
    uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof(value));
    hash_ = (hash_ ^ bits) * 0x100000001b3;
    hash_ ^= hash_ >> 29;
  }
  template <typename T>
  void AddAll(std::span<const T> values) {
    Add(values.size());
    for (const T value : values) Add(value);
  }
  uint64_t value() const { return hash_; }

 private:
  uint64_t hash_ = 0xcbf29ce484222325;
};

bool IsTreeOf(const SearchTree& tree, const SearchProblem& problem) {
  const int count = static_cast<int>(tree.nodes.size());
  std::vector<int> parents(tree.nodes.size(), 0);
  for (int n = 0; n < count; ++n) {
    const SearchTree::Node& node = tree.nodes[static_cast<size_t>(n)];
    if (node.feature < 0) continue;
    if (node.feature >= problem.feature_count()) return false;
    for (const int child : {node.left, node.right}) {
      if (child <= n || child >= count) return false;
      ++parents[static_cast<size_t>(child)];
    }
  }
  for (int n = 0; n < count; ++n) {
    if (parents[static_cast<size_t>(n)] != (n == 0 ? 0 : 1)) return false;
  }
  return count > 0;
}

}  // namespace

ByteWriter BeginState(uint64_t magic, uint64_t fingerprint) {
  ByteWriter writer;
  writer.Put(magic);
  writer.Put(fingerprint);
  return writer;
}

ByteReader OpenState(std::string_view bytes, uint64_t magic, uint64_t fingerprint) {
  ByteReader reader = ByteReader::Unseal(bytes);
  if (reader.Take<uint64_t>() != magic || reader.Take<uint64_t>() != fingerprint) reader.Fail();
  return reader;
}

void PutCourse(const CourseState& course, ByteWriter& writer) {
  writer.Put(course.seconds);
  writer.Put(course.loss);
  writer.Put(course.lower_bound);
  writer.PutText(course.counters.SerializeAsString());
  writer.PutList(course.tree.nodes);
}

CourseState TakeCourse(const SearchProblem& problem, ByteReader& reader) {
  CourseState course;
  course.seconds = reader.Take<double>();
  course.loss = reader.Take<double>();
  course.lower_bound = reader.Take<double>();
  const std::string_view counters = reader.TakeText();
  const bool parsed =
      counters.size() <= static_cast<size_t>(std::numeric_limits<int>::max()) &&
      course.counters.ParseFromArray(counters.data(), static_cast<int>(counters.size()));
  course.tree.nodes = reader.TakeList<SearchTree::Node>();
  if (!parsed || !IsTreeOf(course.tree, problem)) reader.Fail();
  return course;
}

uint64_t FingerprintOf(const SearchProblem& problem, const v1::QuantBnbSpec& spec) {
  Fingerprint fingerprint;
  for (int f = 0; f < problem.feature_count(); ++f) fingerprint.AddAll(problem.order(f));
  fingerprint.AddAll(problem.classes());
  fingerprint.AddAll(problem.weights());
  fingerprint.AddAll(problem.counts());
  fingerprint.AddAll(problem.sums());
  fingerprint.AddAll(problem.squares());
  fingerprint.AddAll(problem.costs());
  fingerprint.Add(problem.outputs());
  fingerprint.Add(problem.split_penalty());
  fingerprint.Add(problem.min_samples_leaf());
  fingerprint.Add(spec.depth());
  fingerprint.Add(static_cast<int>(spec.bound()));
  fingerprint.Add(spec.quantiles());
  fingerprint.Add(spec.deterministic());
  for (const int rule : spec.disabled_rules()) fingerprint.Add(rule);
  return fingerprint.value();
}

}  // namespace trainyard::quant_bnb
