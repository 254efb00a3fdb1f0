// States of the gated solvers as bytes.
#pragma once

#include "core/algorithms/convex_relu/gated_solver.h"
#include "core/algorithms/convex_relu/least_squares.h"
#include "core/base/byte_stream.h"

namespace trainyard::convex_relu {

void PutProgress(const GatedProgress& progress, ByteWriter& writer);
GatedProgress TakeProgress(ByteReader& reader);

template <typename Real>
void PutIteration(const RFistaState<Real>& state, ByteWriter& writer);
template <typename Real>
RFistaState<Real> TakeIteration(ByteReader& reader);

template <typename Real>
void PutState(const GatedState<Real>& state, ByteWriter& writer);
template <typename Real>
GatedState<Real> TakeGatedState(ByteReader& reader);

template <typename Real>
void PutState(const LsmrState<Real>& state, ByteWriter& writer);
template <typename Real>
LsmrState<Real> TakeLsmrState(ByteReader& reader);

}  // namespace trainyard::convex_relu
