#include "core/algorithms/convex_relu/gated_state_bytes.h"

#include <cstdint>

namespace trainyard::convex_relu {
namespace {

// Calls `visit` with every member, for writing and reading alike.
template <typename Progress, typename Visit>
void VisitProgress(Progress& p, const Visit& visit) {
  visit(p.objective);
  visit(p.smooth);
  visit(p.bound);
  visit(p.relative_gap);
  visit(p.subgradient_norm_squared);
  visit(p.step);
  visit(p.iterations);
  visit(p.backtracks);
  visit(p.restarts);
  visit(p.active_blocks);
  visit(p.working_patterns);
  visit(p.alive_patterns);
  visit(p.certificates);
}

template <typename State, typename Visit>
void VisitIteration(State& s, const Visit& visit) {
  visit(s.x);
  visit(s.image);
  visit(s.x_gradient);
  visit(s.search);
  visit(s.search_image);
  visit(s.t);
  visit(s.step);
  visit(s.iterations);
  visit(s.backtracks);
  visit(s.restarts);
}

template <typename State, typename Visit>
void VisitGated(State& s, const Visit& visit) {
  visit(s.patterns);
  visit(s.weights);
  visit(s.step);
  visit(s.damping);
  visit(s.patience);
  visit(s.alive);
  visit(s.inner_gap);
  VisitProgress(s.progress, visit);
  VisitIteration(s.iteration, visit);
}

template <typename State, typename Visit>
void VisitLsmr(State& s, const Visit& visit) {
  visit(s.x);
  visit(s.v);
  visit(s.h);
  visit(s.h_bar);
  visit(s.u);
  visit(s.alpha);
  visit(s.alpha_bar);
  visit(s.rho);
  visit(s.rho_bar);
  visit(s.c_bar);
  visit(s.s_bar);
  visit(s.zeta_bar);
  visit(s.iterations);
}

struct Put {
  ByteWriter& writer;
  template <typename T>
  void operator()(const std::vector<T>& values) const {
    writer.PutList(values);
  }
  void operator()(double value) const { writer.Put(value); }
  void operator()(int64_t value) const { writer.Put(value); }
};

struct Take {
  ByteReader& reader;
  template <typename T>
  void operator()(std::vector<T>& values) const {
    values = reader.TakeList<T>();
  }
  template <typename T>
  void operator()(T& value) const {
    value = reader.Take<T>();
  }
};

}  // namespace

void PutProgress(const GatedProgress& progress, ByteWriter& writer) {
  VisitProgress(progress, Put{writer});
}

GatedProgress TakeProgress(ByteReader& reader) {
  GatedProgress progress;
  VisitProgress(progress, Take{reader});
  return progress;
}

template <typename Real>
void PutIteration(const RFistaState<Real>& state, ByteWriter& writer) {
  VisitIteration(state, Put{writer});
}

template <typename Real>
RFistaState<Real> TakeIteration(ByteReader& reader) {
  RFistaState<Real> state;
  VisitIteration(state, Take{reader});
  return state;
}

template <typename Real>
void PutState(const GatedState<Real>& state, ByteWriter& writer) {
  VisitGated(state, Put{writer});
}

template <typename Real>
GatedState<Real> TakeGatedState(ByteReader& reader) {
  GatedState<Real> state;
  VisitGated(state, Take{reader});
  return state;
}

template <typename Real>
void PutState(const LsmrState<Real>& state, ByteWriter& writer) {
  VisitLsmr(state, Put{writer});
}

template <typename Real>
LsmrState<Real> TakeLsmrState(ByteReader& reader) {
  LsmrState<Real> state;
  VisitLsmr(state, Take{reader});
  return state;
}

template void PutIteration(const RFistaState<double>&, ByteWriter&);
template RFistaState<double> TakeIteration(ByteReader&);
template void PutState(const GatedState<float>&, ByteWriter&);
template void PutState(const GatedState<double>&, ByteWriter&);
template GatedState<float> TakeGatedState(ByteReader&);
template GatedState<double> TakeGatedState(ByteReader&);
template void PutState(const LsmrState<float>&, ByteWriter&);
template void PutState(const LsmrState<double>&, ByteWriter&);
template LsmrState<float> TakeLsmrState(ByteReader&);
template LsmrState<double> TakeLsmrState(ByteReader&);

}  // namespace trainyard::convex_relu
