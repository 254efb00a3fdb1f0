// The pieces that a text file is read in, each by one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/data/parse_errors.h"
#include "core/data/text_corpus.h"
#include "trainyard/v1/text.pb.h"

namespace trainyard {

// What was found in one piece.
struct TextPiece {
  // What `documents` point into, where that is not the file; its place stays when the piece moves.
  std::unique_ptr<std::string> owned = std::make_unique<std::string>();
  std::vector<std::string_view> documents;  // none is empty
  // Label of each document as an index into `label_texts`; empty where documents have none.
  std::vector<int32_t> labels;
  std::vector<std::string> label_texts;
  // Whether the first document goes on where the piece before ended.
  bool continues = false;
  int64_t characters = 0;
  int64_t lines = 0;  // line feeds in the piece
  ParseErrors errors{0};
};

// JSON lines if the first line that is not blank is a JSON object, else plain text.
v1::TextReadOptions::Format DetectTextFormat(std::string_view text);

// Bytes of the first piece of `text`, which is not empty: about `target` and a whole number of
// lines (JSON lines), documents (a separator is given) or characters.
size_t FirstPieceBytes(std::string_view text, const v1::TextReadOptions& options, size_t target);

// Reads a piece. `options` are complete; `first` tells the first piece of a file. Errors are
// counted from line 1 of the piece.
TextPiece ReadTextPiece(std::string_view text, const v1::TextReadOptions& options,
                        const TextLimits& limits, bool first);

}  // namespace trainyard
