// nonconvex_peer_driver REQUEST NEURONS STEP EPOCHS DECAY_EPOCHS BATCH_FRACTION SCALE SEEDS ADAM
//
// Trains ReLU networks on a problem in the format of convex_relu_driver.py, of which data, loss,
// lambda and threads are used, and prints the objectives at the end as a JSON array, one for each
// seed 1 to SEEDS; null: diverged.
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <vector>

#include "core/algorithms/convex_relu/nonconvex_training.h"

namespace trainyard::convex_relu {
namespace {

struct Header {
  char magic[8];
  int64_t rows, features, outputs, patterns, loss, model, bits, rule, momentum, iterations, threads;
  double penalty, tolerance;
};

int Run(char** arguments) {
  std::ifstream in(arguments[1], std::ios::binary);
  Header header;
  in.read(reinterpret_cast<char*>(&header), sizeof(header));
  if (!in || std::memcmp(header.magic, "CVXRELU1", 8) != 0) {
    std::cerr << arguments[1] << " is no request\n";
    return 1;
  }
  PaddedMatrix<float> features(header.rows, static_cast<int>(header.features));
  std::vector<float> targets(static_cast<size_t>(header.rows * header.outputs));
  const auto read = [&] {
    double value = 0;
    in.read(reinterpret_cast<char*>(&value), sizeof(value));
    return static_cast<float>(value);
  };
  for (int64_t row = 0; row < header.rows; ++row) {
    for (int64_t k = 0; k < header.features; ++k) features.row(row)[k] = read();
  }
  for (int64_t row = 0; row < header.rows; ++row) {
    for (int64_t o = 0; o < header.outputs; ++o) {
      targets[static_cast<size_t>(o * header.rows + row)] = read();
    }
  }
  const NetworkData data = {.features = &features,
                            .outputs = static_cast<int>(header.outputs),
                            .targets = targets,
                            .loss = static_cast<NetworkLoss>(header.loss)};
  NonconvexOptions options;
  options.neurons = std::atoll(arguments[2]);
  options.penalty = header.penalty;
  const auto kind = std::atoi(arguments[9]) == 1 ? OptimizerKind::kAdam : OptimizerKind::kSgd;
  options.trials = {{.settings = {.kind = kind}, .steps = {std::atof(arguments[3])}}};
  options.epochs = std::atoi(arguments[4]);
  options.decay_epochs = std::atoi(arguments[5]);
  options.batch_fraction = std::atof(arguments[6]);
  options.initial_scale = std::atof(arguments[7]);
  options.keep_weights = false;
  for (int seed = 1; seed <= std::atoi(arguments[8]); ++seed) {
    options.seeds.push_back(static_cast<uint64_t>(seed));
  }
  ThreadPool pool(static_cast<int>(header.threads));
  const auto runs = TrainNonconvex(data, nullptr, options, {}, pool);
  if (!runs.ok()) {
    std::cerr << runs.status() << "\n";
    return 1;
  }
  std::cout.precision(17);
  for (size_t i = 0; i < runs->size(); ++i) {
    std::cout << (i == 0 ? "[" : ", ");
    if ((*runs)[i].diverged) {
      std::cout << "null";
    } else {
      std::cout << (*runs)[i].objective;
    }
  }
  std::cout << "]\n";
  return 0;
}

}  // namespace
}  // namespace trainyard::convex_relu

int main(int count, char** arguments) {
  if (count != 10) {
    std::cerr << "usage: nonconvex_peer_driver REQUEST NEURONS STEP EPOCHS DECAY_EPOCHS "
                 "BATCH_FRACTION SCALE SEEDS ADAM\n";
    return 2;
  }
  return trainyard::convex_relu::Run(arguments);
}
