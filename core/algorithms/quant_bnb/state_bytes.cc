#include "core/algorithms/quant_bnb/state_bytes.h"

#include <limits>
#include <utility>

#include "core/base/crc32c.h"

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

void StateWriter::PutText(std::string_view text) {
  Put(static_cast<uint64_t>(text.size()));
  bytes_ += text;
}

void StateWriter::PutCourse(const CourseState& course) {
  Put(course.seconds);
  Put(course.loss);
  Put(course.lower_bound);
  PutText(course.counters.SerializeAsString());
  PutList(course.tree.nodes);
}

std::string StateWriter::Finish() && {
  const uint32_t checksum = Crc32c(bytes_);
  Put(checksum);
  return std::move(bytes_);
}

StateReader::StateReader(std::string_view bytes, uint64_t magic, uint64_t fingerprint)
    : bytes_(bytes) {
  if (bytes.size() < sizeof(uint32_t)) {
    ok_ = false;
    return;
  }
  uint32_t checksum = 0;
  bytes_.remove_suffix(sizeof(checksum));
  std::memcpy(&checksum, bytes.data() + bytes_.size(), sizeof(checksum));
  ok_ = checksum == Crc32c(bytes_) && Take<uint64_t>() == magic && Take<uint64_t>() == fingerprint;
}

std::string_view StateReader::TakeBytes(uint64_t count) {
  ok_ = ok_ && bytes_.size() >= count;
  if (!ok_) return {};
  const std::string_view part = bytes_.substr(0, count);
  bytes_.remove_prefix(count);
  return part;
}

CourseState StateReader::TakeCourse(const SearchProblem& problem) {
  CourseState course;
  course.seconds = Take<double>();
  course.loss = Take<double>();
  course.lower_bound = Take<double>();
  const std::string_view counters = TakeText();
  ok_ = ok_ && counters.size() <= static_cast<size_t>(std::numeric_limits<int>::max()) &&
        course.counters.ParseFromArray(counters.data(), static_cast<int>(counters.size()));
  course.tree.nodes = TakeList<SearchTree::Node>();
  ok_ = ok_ && IsTreeOf(course.tree, problem);
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
