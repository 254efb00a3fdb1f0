#include "tests/core/algorithms/convex_relu/solved_problem.h"

#include <fstream>

#include "absl/strings/str_cat.h"
#include "tests/paths.h"

namespace trainyard::convex_relu {
namespace {

template <typename T>
bool ReadNamed(std::istream& in, const std::string& name, T& value) {
  std::string found;
  return in >> found >> value && found == name;
}

bool ReadMatrix(std::istream& in, const std::string& name, int64_t size,
                std::vector<double>& values) {
  std::string found;
  if (!(in >> found) || found != name) return false;
  values.resize(static_cast<size_t>(size));
  for (double& value : values) in >> value;
  return in.good();
}

}  // namespace

absl::StatusOr<SolvedProblem> ReadSolvedProblem(const std::string& name) {
  const std::string path = absl::StrCat(kTestData, "/convex_relu/", name, ".txt");
  std::ifstream in(path);
  SolvedProblem problem;
  int64_t cases = 0;
  std::vector<double> optima;
  const bool read = ReadNamed(in, "loss", problem.loss) && ReadNamed(in, "rows", problem.rows) &&
                    ReadNamed(in, "features", problem.features) &&
                    ReadNamed(in, "outputs", problem.outputs) &&
                    ReadNamed(in, "patterns", problem.patterns) && ReadNamed(in, "cases", cases) &&
                    ReadMatrix(in, "x", problem.rows * problem.features, problem.x) &&
                    ReadMatrix(in, "y", problem.rows * problem.outputs, problem.y) &&
                    ReadMatrix(in, "gates", problem.patterns * problem.features, problem.gates) &&
                    ReadMatrix(in, "optima", cases * 5, optima);
  if (!read) return absl::InvalidArgumentError(absl::StrCat("cannot read ", path));
  for (size_t i = 0; i < optima.size(); i += 5) {
    problem.cases.push_back({.penalty = optima[i],
                             .gated_optimum = optima[i + 1],
                             .gated_gap = optima[i + 2],
                             .relu_optimum = optima[i + 3],
                             .relu_gap = optima[i + 4]});
  }
  return problem;
}

}  // namespace trainyard::convex_relu
