// Sums of gradients by feature and code: what splits are found from.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/base/thread_pool.h"
#include "core/trees/boosting/binned_features.h"
#include "core/trees/boosting/gradient_sums.h"
#include "core/trees/stop_token.h"

namespace trainyard {

// Where the sums of each feature lie in a histogram of some of the features: bin_count + 1 entries
// (the last for missing values) of `words` 64-bit words each.
class HistogramLayout {
 public:
  // `chosen` are feature numbers, ascending.
  HistogramLayout(const BinnedFeatures& features, std::span<const int32_t> chosen, int words);

  std::span<const int32_t> chosen() const { return chosen_; }
  int words() const { return words_; }
  // Number of words of one histogram.
  size_t size() const { return size_; }
  // First word of the i-th chosen feature.
  size_t offset(size_t i) const { return offsets_[i]; }
  // Words of the i-th chosen feature.
  size_t width(size_t i) const {
    return (i + 1 < offsets_.size() ? offsets_[i + 1] : size_) - offsets_[i];
  }

  // Chosen features that share a block of codes.
  struct Block {
    int block = 0;
    int lanes = 0;
    int shifts[BinnedFeatures::kBlockFeatures] = {};  // of each lane's byte
    bool leading = false;                             // whether lane j is byte j
    size_t first_chosen = 0;                          // lane j is chosen feature first_chosen + j
  };
  std::span<const Block> blocks() const { return blocks_; }

 private:
  std::vector<int32_t> chosen_;
  std::vector<size_t> offsets_;
  std::vector<Block> blocks_;
  size_t size_ = 0;
  int words_;
};

// Number of entries after the end of a list of rows that may be read (and whose values are valid
// rows), so that codes can be fetched ahead.
inline constexpr size_t kRowsReadAhead = 16;

// Fills histograms on the threads of a pool. The sums are of whole numbers: exact, and the same
// for any number of threads.
class HistogramBuilder {
 public:
  HistogramBuilder(const BinnedFeatures& features, ThreadPool& pool, StopToken& stop);

  // Sets `histogram` (layout.size() words) to the sums over `rows`, after which kRowsReadAhead more
  // may be read. `contiguous`: rows are 0, 1, 2, …. Meaningless once the stop token is set.
  void Fill(const HistogramLayout& layout, const PackedGradients& gradients,
            std::span<const uint32_t> rows, bool contiguous, std::span<int64_t> histogram);

 private:
  void FillByRows(const HistogramLayout& layout, const PackedGradients& gradients,
                  std::span<const uint32_t> rows, bool contiguous, int64_t parts,
                  std::span<int64_t> histogram);
  void AddRows(const HistogramLayout& layout, std::span<const HistogramLayout::Block> blocks,
               const PackedGradients& gradients, std::span<const uint32_t> rows, bool contiguous,
               int64_t* sums);

  const BinnedFeatures& features_;
  ThreadPool& pool_;
  StopToken& stop_;
  // Sums of each part of the rows, [block of layout][lane][256 codes][word].
  std::vector<std::vector<int64_t>> sums_;
};

}  // namespace trainyard
