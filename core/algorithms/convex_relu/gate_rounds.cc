#include "core/algorithms/convex_relu/gate_rounds.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <set>
#include <span>
#include <tuple>
#include <utility>

#include "core/algorithms/convex_relu/distinct_columns.h"
#include "core/algorithms/convex_relu/gate_search.h"
#include "core/algorithms/convex_relu/neuron_descent.h"
#include "core/algorithms/convex_relu/pattern_bits.h"
#include "core/base/status.h"

namespace trainyard::convex_relu {
namespace {

using Spec = v1::ConvexReluSpec;

// Searches of one round, each followed by a descent of the neurons.
constexpr int kMostPasses = 20;
constexpr int64_t kSweepsOfPass = 200;
// Rows that one task predicts.
constexpr int64_t kRowsOfChunk = 1024;

// Numbers the patterns of the next solve: the sampled ones, then others as they come.
class PatternNumbers {
 public:
  PatternNumbers(std::span<const uint64_t> known, int64_t sampled, int64_t rows)
      : sampled_(sampled), columns_(rows) {
    const int64_t words = BitBlocks(rows);
    for (int64_t i = 0; i < sampled; ++i) columns_.Insert(known.data() + i * words);
  }

  // -1 for the pattern of zeros.
  int64_t NumberOf(std::span<const uint64_t> bits, std::span<const double> gate) {
    const int64_t number = columns_.IndexOf(bits.data());
    if (number >= 0 || !columns_.Insert(bits.data())) return number;
    added_.push_back({{gate.begin(), gate.end()}, {bits.begin(), bits.end()}});
    return sampled_ + static_cast<int64_t>(added_.size()) - 1;
  }

  std::vector<AddedPattern>& added() { return added_; }

 private:
  const int64_t sampled_;
  DistinctColumns columns_;
  std::vector<AddedPattern> added_;
};

// The next round of one solution.
class Extension {
 public:
  Extension(const Spec& spec, const TrainingProblem& problem, const BitMatrix& known,
            GateRounds& rounds, ThreadPool& pool, const std::function<absl::Status()>& check)
      : spec_(spec),
        problem_(problem),
        known_(known),
        rounds_(rounds),
        pool_(pool),
        check_(check),
        rows_(problem.data()),
        columns_(known.Columns()),
        numbers_(columns_, problem.sampled_patterns(), rows_.rows()) {}

  absl::StatusOr<bool> Run(bool extend) {
    TY_RETURN_IF_ERROR(TakePredictions());
    rounds_.largest_violation = 0;
    const bool relu = spec_.model() == Spec::MODEL_RELU;
    TY_ASSIGN_OR_RETURN(const int64_t found, relu ? ExtendRelu(extend) : ExtendGated(extend));
    if (!extend || found == 0) return false;
    rounds_.patterns_added += found;
    rounds_.added = std::move(numbers_.added());
    rounds_.start.clear();
    for (auto& [key, weights] : start_) {
      const auto [output, pattern, other_sign] = key;
      rounds_.start.push_back({output, pattern, -other_sign, std::move(weights)});
    }
    return true;
  }

 private:
  std::span<const uint64_t> BitsOf(int64_t pattern) const {
    const int64_t words = known_.row_blocks();
    return std::span(columns_).subspan(static_cast<size_t>(pattern * words),
                                       static_cast<size_t>(words));
  }
  std::span<const double> GateOf(int64_t pattern) const {
    return {problem_.gates().row(pattern), static_cast<size_t>(problem_.data().columns())};
  }

  // Of the solution, [output][row].
  absl::Status TakePredictions() {
    const int64_t n = rows_.rows();
    predictions_.assign(static_cast<size_t>(n * problem_.targets().outputs), 0.0);
    const int64_t chunks = (n + kRowsOfChunk - 1) / kRowsOfChunk;
    std::atomic<bool> stopped = false;
    pool_.Run(chunks, [&](int64_t chunk, int) {
      const int64_t begin = chunk * kRowsOfChunk;
      const int64_t end = std::min(n, begin + kRowsOfChunk);
      for (const FitBlock& block : rounds_.fit.blocks) {
        if (stopped.load(std::memory_order_relaxed) || (check_ && !check_().ok())) {
          stopped = true;
          return;
        }
        AddPredictions(block, begin, end);
      }
    });
    return stopped ? check_() : absl::OkStatus();
  }

  void AddPredictions(const FitBlock& block, int64_t begin, int64_t end) {
    double* predictions = predictions_.data() + block.output * rows_.rows();
    const uint64_t* bits = BitsOf(block.pattern).data();
    for (int64_t j = begin; j < end; ++j) {
      if (!IsActive(bits, j)) continue;
      const double* row = rows_.row(j);
      double product = 0;
      for (size_t k = 0; k < block.weights.size(); ++k) product += row[k] * block.weights[k];
      predictions[j] += block.sign * product;
    }
  }

  GateSearchOptions OptionsOf(uint64_t stream) const {
    GateSearchOptions options;
    options.kind = spec_.model() == Spec::MODEL_RELU ? AscentKind::kRelu : AscentKind::kGated;
    options.lambda = rounds_.fit.lambda;
    options.most = spec_.gate_search().max_new_patterns();
    options.starts = spec_.gate_search().starts();
    options.seed = static_cast<uint64_t>(spec_.gates().seed()) + 0x9E3779B97F4A7C15 * stream;
    return options;
  }

  // Streams of random numbers: of rounds, outputs and passes.
  uint64_t StreamOf(int output, int pass) const {
    return (static_cast<uint64_t>(rounds_.rounds) * 100'000 + static_cast<uint64_t>(output)) *
               (kMostPasses + 1) +
           static_cast<uint64_t>(pass) + 1;
  }

  void Note(double largest_norm) {
    rounds_.largest_violation =
        std::max({rounds_.largest_violation, largest_norm / rounds_.fit.lambda - 1, 0.0});
  }

  // A neuron of the next start. Those of the same cone become one, whose norm is at most theirs.
  void Start(int output, int sign, int64_t pattern, std::span<const double> weights) {
    std::vector<double>& sum = start_[{output, pattern, -sign}];
    sum.resize(weights.size());
    for (size_t k = 0; k < weights.size(); ++k) sum[k] += weights[k];
  }
  void KeepBlock(const FitBlock& block) {
    const int64_t number = numbers_.NumberOf(BitsOf(block.pattern), GateOf(block.pattern));
    Start(block.output, block.sign, number, block.weights);
  }

  absl::StatusOr<int64_t> ExtendGated(bool extend) {
    std::vector<double> slopes(predictions_.size());
    RowLoss(problem_.targets()).Gradient(predictions_.data(), slopes.data());
    std::vector<GateStart> starts;
    for (const FitBlock& block : rounds_.fit.blocks) {
      starts.push_back({block.output, 1, GateOf(block.pattern)});
      starts.push_back({block.output, 1, block.weights});
    }
    TY_ASSIGN_OR_RETURN(const FoundGates found,
                        SearchGates(rows_, known_, problem_.gates(), starts, slopes,
                                    OptionsOf(StreamOf(0, 0)), pool_, check_));
    Note(found.largest_norm);
    if (!extend || found.violators.empty()) return 0;
    for (const FitBlock& block : rounds_.fit.blocks) KeepBlock(block);
    for (const FoundGate& gate : found.violators) numbers_.NumberOf(gate.pattern, gate.gate);
    return static_cast<int64_t>(found.violators.size());
  }

  absl::StatusOr<int64_t> ExtendRelu(bool extend) {
    int64_t found = 0;
    const Targets& targets = problem_.targets();
    if (targets.loss == LossKind::kSoftmax) return ExtendPart(0, RowLoss(targets), extend);
    for (int output = 0; output < targets.outputs; ++output) {
      TY_ASSIGN_OR_RETURN(const int64_t own, ExtendPart(output, RowLoss(targets, output), extend));
      found += own;
    }
    return found;
  }

  // A ReLU network's outputs from the first on that the loss is of: the number of patterns that are
  // new. Neurons count outputs from that one.
  absl::StatusOr<int64_t> ExtendPart(int output, const RowLoss& loss, bool extend) {
    const auto in_part = [&](const FitBlock& block) {
      return block.output >= output && block.output < output + loss.outputs();
    };
    std::vector<Neuron> neurons;
    for (const FitBlock& block : rounds_.fit.blocks) {
      if (in_part(block)) neurons.push_back(NeuronOf(block, output));
    }
    std::vector<double> slopes(static_cast<size_t>(loss.size()));
    loss.Gradient(predictions_.data() + output * rows_.rows(), slopes.data());
    TY_ASSIGN_OR_RETURN(FoundGates found, SearchOutput(known_, neurons, slopes, output, 0));
    Note(found.largest_norm);
    if (!extend || found.violators.empty()) {
      for (const FitBlock& block : rounds_.fit.blocks) {
        if (in_part(block)) KeepBlock(block);
      }
      return 0;
    }
    TY_RETURN_IF_ERROR(Descend(loss, output, slopes, found, neurons));
    return Number(output, neurons, found);
  }

  Neuron NeuronOf(const FitBlock& block, int first_output) const {
    const std::span<const uint64_t> bits = BitsOf(block.pattern);
    return {block.output - first_output, block.sign, block.weights, {bits.begin(), bits.end()}};
  }

  absl::StatusOr<FoundGates> SearchOutput(const BitMatrix& known, std::span<const Neuron> neurons,
                                          std::span<const double> slopes, int output,
                                          int pass) const {
    std::vector<GateStart> starts;
    for (const Neuron& neuron : neurons)
      starts.push_back({neuron.output, neuron.sign, neuron.weights});
    return SearchGates(rows_, known, problem_.gates(), starts, slopes,
                       OptionsOf(StreamOf(output, pass)), pool_, check_);
  }

  // Lets neurons join and descend, search after search, until that helps no more.
  absl::Status Descend(const RowLoss& loss, int output, std::vector<double>& slopes,
                       FoundGates& found, std::vector<Neuron>& neurons) const {
    const BitMatrix none(rows_.rows(), {}, pool_);
    NeuronDescentOptions options;
    options.lambda = rounds_.fit.lambda;
    options.max_sweeps = kSweepsOfPass;
    options.least_fall = spec_.gate_search().min_decrease();
    for (int pass = 1; pass <= kMostPasses; ++pass) {
      std::set<std::tuple<int, int, std::vector<uint64_t>>> there;
      for (const Neuron& neuron : neurons) {
        there.insert({neuron.output, neuron.sign, neuron.pattern});
      }
      std::vector<Neuron> joined = neurons;
      for (const FoundGate& gate : found.violators) {
        if (!there.insert({gate.output, gate.sign, gate.pattern}).second) continue;
        joined.push_back(
            {gate.output, gate.sign, std::vector<double>(gate.gate.size()), gate.pattern});
      }
      neurons = std::move(joined);
      TY_ASSIGN_OR_RETURN(const NeuronDescentEnd end,
                          DescendNeurons(rows_, loss, options, neurons, pool_, check_));
      slopes = end.slopes;
      if (end.objective_before - end.objective <= options.least_fall * end.objective) break;
      if (pass == kMostPasses) break;
      TY_ASSIGN_OR_RETURN(found, SearchOutput(none, neurons, slopes, output, pass));
      if (found.violators.empty()) break;
    }
    return absl::OkStatus();
  }

  int64_t Number(int output, const std::vector<Neuron>& neurons, const FoundGates& found) {
    DistinctColumns before(rows_.rows());
    for (int64_t i = 0; i < known_.patterns(); ++i) before.Insert(BitsOf(i).data());
    const int64_t known = before.count();
    for (const Neuron& neuron : neurons) {
      const int64_t number = numbers_.NumberOf(neuron.pattern, neuron.weights);
      if (number < 0) continue;  // active nowhere
      before.Insert(neuron.pattern.data());
      Start(output + neuron.output, neuron.sign, number, neuron.weights);
    }
    for (const FoundGate& gate : found.violators) {
      if (numbers_.NumberOf(gate.pattern, gate.gate) >= 0) before.Insert(gate.pattern.data());
    }
    return before.count() - known;
  }

  const Spec& spec_;
  const TrainingProblem& problem_;
  const BitMatrix& known_;
  GateRounds& rounds_;
  ThreadPool& pool_;
  const std::function<absl::Status()>& check_;
  const ConeRows rows_;
  const std::vector<uint64_t> columns_;
  PatternNumbers numbers_;
  std::vector<double> predictions_;
  std::map<std::tuple<int, int64_t, int>, std::vector<double>> start_;  // v before w
};

}  // namespace

absl::StatusOr<bool> ExtendPatterns(const Spec& spec, const TrainingProblem& problem,
                                    const BitMatrix& known, bool extend, GateRounds& rounds,
                                    ThreadPool& pool, const std::function<absl::Status()>& check) {
  return Extension(spec, problem, known, rounds, pool, check).Run(extend);
}

void PutRounds(const GateRounds& rounds, ByteWriter& writer) {
  writer.Put(static_cast<int32_t>(rounds.rounds));
  writer.Put(static_cast<uint8_t>(rounds.solving));
  writer.Put(rounds.patterns_added);
  writer.Put(rounds.objective_before);
  writer.Put(rounds.largest_violation);
  writer.Put(static_cast<uint64_t>(rounds.added.size()));
  for (const AddedPattern& pattern : rounds.added) {
    writer.PutList(pattern.gate);
    writer.PutList(pattern.bits);
  }
  PutBlocks(rounds.start, writer);
  PutFit(rounds.fit, writer);
}

GateRounds TakeRounds(ByteReader& reader) {
  GateRounds rounds;
  rounds.rounds = reader.Take<int32_t>();
  rounds.solving = reader.Take<uint8_t>() != 0;
  rounds.patterns_added = reader.Take<int64_t>();
  rounds.objective_before = reader.Take<double>();
  rounds.largest_violation = reader.Take<double>();
  for (uint64_t left = reader.Take<uint64_t>(); left > 0 && reader.ok(); --left) {
    AddedPattern pattern;
    pattern.gate = reader.TakeList<double>();
    pattern.bits = reader.TakeList<uint64_t>();
    rounds.added.push_back(std::move(pattern));
  }
  rounds.start = TakeBlocks(reader);
  rounds.fit = TakeFit(reader);
  return rounds;
}

}  // namespace trainyard::convex_relu
