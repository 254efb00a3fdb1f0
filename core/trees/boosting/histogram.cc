#include "core/trees/boosting/histogram.h"

#include <emmintrin.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace trainyard {
namespace {

constexpr size_t kCodes = 256;
constexpr size_t kLanes = BinnedFeatures::kBlockFeatures;
// Rows whose gradients are gathered at once and used for every block while they are in the cache.
constexpr size_t kTile = 1024;
// Least number of additions that are worth waking another thread for.
constexpr size_t kAdditionsPerPart = size_t{1} << 15;

using Block = HistogramLayout::Block;

// What one block of codes adds to its sums for a tile of rows.
struct Tile {
  const uint64_t* codes;  // of the block
  const uint32_t* rows;   // null: rows are first, first + 1, …
  size_t first;
  size_t count;
  const int64_t* gradients;  // [row of the tile][word]
  int64_t* sums;             // [lane][code][word]
};

template <int kWords>
inline void AddTo(int64_t* sum, const int64_t* gradient) {
  if constexpr (kWords == 1) {
    *sum += *gradient;
  } else {
    __m128i* target = reinterpret_cast<__m128i*>(sum);
    const __m128i value = _mm_loadu_si128(reinterpret_cast<const __m128i*>(gradient));
    _mm_storeu_si128(target, _mm_add_epi64(_mm_loadu_si128(target), value));
  }
}

// The loop that training spends its time in: a load of the codes of up to 8 features of a row, then
// for each a shift and an addition to memory that has been in the first-level cache since the tile
// began.
template <int kWords, int kUsed, bool kLeading, bool kContiguous>
void AddTile(const Tile& tile, const Block& block) {
  std::array<int, kLanes> shifts{};
  std::copy(block.shifts, block.shifts + kLanes, shifts.begin());
  for (size_t i = 0; i < tile.count; ++i) {
    uint64_t codes = 0;
    if constexpr (kContiguous) {
      codes = tile.codes[tile.first + i];
    } else {
      __builtin_prefetch(tile.codes + tile.rows[i + kRowsReadAhead]);
      codes = tile.codes[tile.rows[i]];
    }
    const int64_t* gradient = tile.gradients + i * kWords;
    for (size_t lane = 0; lane < kUsed; ++lane) {
      const size_t shift = kLeading ? 8 * lane : static_cast<size_t>(shifts[lane]);
      const size_t code = codes >> shift & 0xFF;
      AddTo<kWords>(tile.sums + (lane * kCodes + code) * kWords, gradient);
    }
  }
}

using AddTileFunction = void (*)(const Tile&, const Block&);

template <int kWords, bool kLeading, bool kContiguous>
AddTileFunction ForLanes(int lanes) {
  static constexpr AddTileFunction kFunctions[] = {
      AddTile<kWords, 1, kLeading, kContiguous>, AddTile<kWords, 2, kLeading, kContiguous>,
      AddTile<kWords, 3, kLeading, kContiguous>, AddTile<kWords, 4, kLeading, kContiguous>,
      AddTile<kWords, 5, kLeading, kContiguous>, AddTile<kWords, 6, kLeading, kContiguous>,
      AddTile<kWords, 7, kLeading, kContiguous>, AddTile<kWords, 8, kLeading, kContiguous>};
  return kFunctions[lanes - 1];
}

template <int kWords>
AddTileFunction ChooseFunction(const Block& block, bool contiguous) {
  if (block.leading) {
    return contiguous ? ForLanes<kWords, true, true>(block.lanes)
                      : ForLanes<kWords, true, false>(block.lanes);
  }
  return contiguous ? ForLanes<kWords, false, true>(block.lanes)
                    : ForLanes<kWords, false, false>(block.lanes);
}

}  // namespace

HistogramLayout::HistogramLayout(const BinnedFeatures& features, std::span<const int32_t> chosen,
                                 int words)
    : chosen_(chosen.begin(), chosen.end()), words_(words) {
  for (size_t i = 0; i < chosen_.size(); ++i) {
    offsets_.push_back(size_);
    size_ += static_cast<size_t>((features.bin_count(chosen_[i]) + 1) * words);
    const int block = chosen_[i] / BinnedFeatures::kBlockFeatures;
    if (blocks_.empty() || blocks_.back().block != block) {
      blocks_.push_back({.block = block, .leading = true, .first_chosen = i});
    }
    Block& own = blocks_.back();
    const int byte = chosen_[i] % BinnedFeatures::kBlockFeatures;
    own.leading = own.leading && byte == own.lanes;
    own.shifts[own.lanes++] = 8 * byte;
  }
}

HistogramBuilder::HistogramBuilder(const BinnedFeatures& features, ThreadPool& pool,
                                   StopToken& stop)
    : features_(features), pool_(pool), stop_(stop) {}

void HistogramBuilder::AddRows(const HistogramLayout& layout, std::span<const Block> blocks,
                               const PackedGradients& gradients, std::span<const uint32_t> rows,
                               bool contiguous, int64_t* sums) {
  const size_t words = static_cast<size_t>(layout.words());
  std::array<int64_t, 2 * kTile> gathered;
  for (size_t begin = 0; begin < rows.size(); begin += kTile) {
    if (stop_.Ask()) return;
    const size_t count = std::min(kTile, rows.size() - begin);
    const uint32_t* tile_rows = rows.data() + begin;
    const int64_t* tile_gradients = gathered.data();
    if (contiguous) {
      tile_gradients = gradients.words.data() + size_t{tile_rows[0]} * words;
    } else if (words == 1) {
      for (size_t i = 0; i < count; ++i) gathered[i] = gradients.words[tile_rows[i]];
    } else {
      for (size_t i = 0; i < count; ++i) {
        const size_t row = tile_rows[i];
        gathered[2 * i] = gradients.words[2 * row];
        gathered[2 * i + 1] = gradients.words[2 * row + 1];
      }
    }
    for (size_t b = 0; b < blocks.size(); ++b) {
      const Tile tile = {
          features_.block(blocks[b].block),  tile_rows, tile_rows[0], count, tile_gradients,
          sums + b * kLanes * kCodes * words};
      const AddTileFunction add = words == 1 ? ChooseFunction<1>(blocks[b], contiguous)
                                             : ChooseFunction<2>(blocks[b], contiguous);
      add(tile, blocks[b]);
    }
  }
}

void HistogramBuilder::Fill(const HistogramLayout& layout, const PackedGradients& gradients,
                            std::span<const uint32_t> rows, bool contiguous,
                            std::span<int64_t> histogram) {
  const int64_t worth =
      static_cast<int64_t>(rows.size() * layout.chosen().size() / kAdditionsPerPart);
  const int64_t parts = std::clamp<int64_t>(worth, 1, pool_.threads());
  const std::span<const Block> blocks = layout.blocks();
  if (parts == 1 || blocks.size() < 4 * static_cast<size_t>(pool_.threads())) {
    FillByRows(layout, gradients, rows, contiguous, parts, histogram);
    return;
  }
  // Many features: each block is one task, its sums those of the thread.
  sums_.resize(std::max(sums_.size(), static_cast<size_t>(pool_.threads())));
  const size_t words = static_cast<size_t>(layout.words());
  pool_.Run(static_cast<int64_t>(blocks.size()), [&](int64_t index, int thread) {
    const Block& block = blocks[static_cast<size_t>(index)];
    std::vector<int64_t>& sums = sums_[static_cast<size_t>(thread)];
    if (sums.size() < kLanes * kCodes * words) sums.resize(kLanes * kCodes * words);
    std::fill_n(sums.begin(), kLanes * kCodes * words, 0);
    AddRows(layout, {&block, 1}, gradients, rows, contiguous, sums.data());
    for (size_t lane = 0; lane < static_cast<size_t>(block.lanes); ++lane) {
      const size_t i = block.first_chosen + lane;
      std::memcpy(histogram.data() + layout.offset(i), sums.data() + lane * kCodes * words,
                  layout.width(i) * sizeof(int64_t));
    }
  });
}

void HistogramBuilder::FillByRows(const HistogramLayout& layout, const PackedGradients& gradients,
                                  std::span<const uint32_t> rows, bool contiguous, int64_t parts,
                                  std::span<int64_t> histogram) {
  const std::span<const Block> blocks = layout.blocks();
  const size_t words = static_cast<size_t>(layout.words());
  sums_.resize(std::max(sums_.size(), static_cast<size_t>(parts)));
  const size_t part_rows =
      (rows.size() + static_cast<size_t>(parts) - 1) / static_cast<size_t>(parts);
  pool_.Run(parts, [&](int64_t part, int) {
    std::vector<int64_t>& sums = sums_[static_cast<size_t>(part)];
    const size_t needed = blocks.size() * kLanes * kCodes * words;
    if (sums.size() < needed) sums.resize(needed);
    for (const Block& block : blocks) {
      int64_t* own =
          sums.data() + static_cast<size_t>(&block - blocks.data()) * kLanes * kCodes * words;
      for (size_t lane = 0; lane < static_cast<size_t>(block.lanes); ++lane) {
        std::memset(own + lane * kCodes * words, 0,
                    layout.width(block.first_chosen + lane) * sizeof(int64_t));
      }
    }
    const size_t begin = std::min(rows.size(), static_cast<size_t>(part) * part_rows);
    AddRows(layout, blocks, gradients,
            rows.subspan(begin, std::min(part_rows, rows.size() - begin)), contiguous, sums.data());
  });
  for (size_t b = 0; b < blocks.size(); ++b) {
    for (size_t lane = 0; lane < static_cast<size_t>(blocks[b].lanes); ++lane) {
      const size_t i = blocks[b].first_chosen + lane;
      const size_t from = (b * kLanes + lane) * kCodes * words;
      int64_t* to = histogram.data() + layout.offset(i);
      std::memcpy(to, sums_[0].data() + from, layout.width(i) * sizeof(int64_t));
      for (size_t part = 1; part < static_cast<size_t>(parts); ++part) {
        const int64_t* more = sums_[part].data() + from;
        for (size_t w = 0; w < layout.width(i); ++w) to[w] += more[w];
      }
    }
  }
}

}  // namespace trainyard
