#include "core/data/csv_records.h"

#include <immintrin.h>

#include <algorithm>
#include <bit>
#include <cstring>

namespace trainyard {
namespace {

const char* Find(const char* begin, const char* end, char c) {
  const void* found =
      begin == end ? nullptr : std::memchr(begin, c, static_cast<size_t>(end - begin));
  return found == nullptr ? end : static_cast<const char*>(found);
}

// The quote that closes the quoted text beginning at `begin`, or `end`.
const char* FindClosingQuote(const char* begin, const char* end, bool& doubled) {
  for (const char* quote = Find(begin, end, '"'); quote != end; quote = Find(quote + 2, end, '"')) {
    if (quote + 1 == end || quote[1] != '"') return quote;
    doubled = true;
  }
  return end;
}

CsvField ReadQuotedField(const char* begin, const char* end, char delimiter, char line_end,
                         std::string& scratch) {
  CsvField field;
  field.quoted = true;
  bool doubled = false;
  const char* quote = FindClosingQuote(begin + 1, end, doubled);
  field.text = {begin + 1, static_cast<size_t>(quote - begin - 1)};
  field.lines_inside = std::count(begin + 1, quote, line_end);
  if (quote == end) {
    field.end = end;
    field.error = "the quote that opens here is never closed";
    return field;
  }
  if (doubled) {
    scratch.clear();
    for (size_t i = 0; i < field.text.size(); ++i) {
      scratch.push_back(field.text[i]);
      if (field.text[i] == '"') ++i;
    }
    field.text = scratch;
  }
  const char* after = quote + 1;
  if (after != end && *after == '\r' && line_end == '\n' &&
      (after + 1 == end || after[1] == '\n')) {
    ++after;
  }
  if (after == end || *after == delimiter || *after == line_end) {
    field.end = after;
    return field;
  }
  field.end = FindFieldEnd(after, end, delimiter, line_end);
  field.error = "text follows the closing quote; a quote inside a quoted value must be doubled";
  return field;
}

}  // namespace

const char* FindFieldEnd(const char* begin, const char* end, char delimiter, char line_end) {
  const __m256i delimiters = _mm256_set1_epi8(delimiter);
  const __m256i line_ends = _mm256_set1_epi8(line_end);
  const char* at = begin;
  for (; end - at >= 32; at += 32) {
    const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
    const __m256i hits =
        _mm256_or_si256(_mm256_cmpeq_epi8(bytes, delimiters), _mm256_cmpeq_epi8(bytes, line_ends));
    const auto mask = static_cast<unsigned>(_mm256_movemask_epi8(hits));
    if (mask != 0) return at + std::countr_zero(mask);
  }
  while (at != end && *at != delimiter && *at != line_end) ++at;
  return at;
}

CsvField ReadField(const char* begin, const char* end, char delimiter, char line_end,
                   std::string& scratch) {
  if (begin != end && *begin == '"') {
    return ReadQuotedField(begin, end, delimiter, line_end, scratch);
  }
  CsvField field;
  field.end = FindFieldEnd(begin, end, delimiter, line_end);
  const char* text_end = field.end;
  const bool at_line_end = field.end == end || *field.end == line_end;
  if (at_line_end && line_end == '\n' && text_end != begin && text_end[-1] == '\r') --text_end;
  field.text = {begin, static_cast<size_t>(text_end - begin)};
  return field;
}

int64_t CountByte(std::string_view text, char byte) {
  const __m256i pattern = _mm256_set1_epi8(byte);
  const __m256i zero = _mm256_setzero_si256();
  const char* at = text.data();
  const char* const end = at + text.size();
  __m256i totals = zero;  // four sums
  while (end - at >= 32) {
    // Byte counters hold up to 255 steps.
    __m256i counters = zero;
    for (int step = 0; step < 255 && end - at >= 32; ++step, at += 32) {
      const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
      counters = _mm256_sub_epi8(counters, _mm256_cmpeq_epi8(bytes, pattern));
    }
    totals = _mm256_add_epi64(totals, _mm256_sad_epu8(counters, zero));
  }
  int64_t count = _mm256_extract_epi64(totals, 0) + _mm256_extract_epi64(totals, 1) +
                  _mm256_extract_epi64(totals, 2) + _mm256_extract_epi64(totals, 3);
  for (; at != end; ++at) count += *at == byte ? 1 : 0;
  return count;
}

std::vector<std::string_view> CutIntoRecords(std::string_view text, int64_t pieces, char delimiter,
                                             char line_end) {
  std::vector<std::string_view> cut;
  const char* const begin = text.data();
  const char* const end = begin + text.size();
  const auto step =
      std::max<int64_t>(1, static_cast<int64_t>(text.size()) / std::max<int64_t>(pieces, 1));
  const char* piece = begin;
  const char* at = begin;                  // always outside of quotes
  const char* quote = Find(at, end, '"');  // the next one
  const auto opens = [&](const char* candidate) {
    return candidate == begin || candidate[-1] == delimiter || candidate[-1] == line_end;
  };
  while (end - piece > step) {
    const char* target = piece + step;
    // Steps over every quoted field that begins before the target.
    while (quote < target) {
      if (opens(quote)) {
        bool doubled = false;
        const char* closing = FindClosingQuote(quote + 1, end, doubled);
        if (closing == end) break;
        at = closing + 1;
      } else {
        at = quote + 1;
      }
      quote = Find(at, end, '"');
    }
    if (quote < target) break;  // never closed
    // A line end between `max(at, target)` and the next opening quote is outside of quotes.
    const char* line = Find(std::max(at, target), end, line_end);
    while (quote < line) {
      bool doubled = false;
      const char* closing = opens(quote) ? FindClosingQuote(quote + 1, end, doubled) : quote;
      if (closing == end) {
        line = end;
        break;
      }
      at = closing + 1;
      quote = Find(at, end, '"');
      line = Find(std::max(at, target), end, line_end);
    }
    if (line == end) break;
    cut.emplace_back(piece, static_cast<size_t>(line + 1 - piece));
    piece = line + 1;
    at = piece;
  }
  if (piece != end) cut.emplace_back(piece, static_cast<size_t>(end - piece));
  return cut;
}

}  // namespace trainyard
