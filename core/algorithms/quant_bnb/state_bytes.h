// Writing and reading the state of a search as bytes that a later attempt goes on from.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/algorithms/quant_bnb/search_course.h"
#include "core/algorithms/quant_bnb/search_problem.h"
#include "core/base/byte_stream.h"

namespace trainyard::quant_bnb {

// Bytes that begin with `magic`, which names the method and the version of its state, and
// `fingerprint`, which names problem and options.
ByteWriter BeginState(uint64_t magic, uint64_t fingerprint);
// A reader of what BeginState began and ByteWriter::Seal ended; not ok where the bytes are damaged
// or of another magic or fingerprint. They outlive the reader.
ByteReader OpenState(std::string_view bytes, uint64_t magic, uint64_t fingerprint);

void PutCourse(const CourseState& course, ByteWriter& writer);
// Fails where the tree is not one on the features of `problem`.
CourseState TakeCourse(const SearchProblem& problem, ByteReader& reader);

// A number for a problem and the options that its search depends on: all but the limits.
uint64_t FingerprintOf(const SearchProblem& problem, const v1::QuantBnbSpec& spec);

}  // namespace trainyard::quant_bnb
