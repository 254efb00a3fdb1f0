// Loops over numbers in lanes, the last ones in part.
#pragma once

#include "core/tensor/cpu/lanes.h"

namespace trainyard::TRAINYARD_LANES {

// How lanes are read and written. `rest` fills lanes behind the last number; zeros otherwise.
struct Whole {
  static constexpr bool kStreams = false;
  static Lanes Load(const Scalar* from) { return Lanes::Load(from); }
  static Lanes Load(const Scalar* from, Lanes) { return Lanes::Load(from); }
  static void Store(Lanes value, Scalar* to) { value.Store(to); }
};
struct Streaming {
  static constexpr bool kStreams = true;
  static Lanes Load(const Scalar* from) { return Lanes::Load(from); }
  static void Store(Lanes value, Scalar* to) { value.Stream(to); }
};
struct Part {
  static constexpr bool kStreams = false;
  int64_t count;
  Lanes Load(const Scalar* from) const { return Lanes::LoadFirst(from, count); }
  Lanes Load(const Scalar* from, Lanes rest) const { return Lanes::LoadFirst(from, count, rest); }
  void Store(Lanes value, Scalar* to) const { value.StoreFirst(to, count); }
};

// Calls body(access, j) for lanes at elements j of [0, count).
template <typename Body>
inline void ForLanes(int64_t count, Body body) {
  int64_t j = 0;
  for (; j + Lanes::kCount <= count; j += Lanes::kCount) body(Whole{}, j);
  if (j < count) body(Part{count - j}, j);
}

// Likewise; all lanes but the last are written past the caches.
template <typename Body>
inline void ForStreamedLanes(int64_t count, Body body) {
  int64_t j = 0;
  for (; j + Lanes::kCount <= count; j += Lanes::kCount) body(Streaming{}, j);
  if (j < count) body(Part{count - j}, j);
}

}  // namespace trainyard::TRAINYARD_LANES
