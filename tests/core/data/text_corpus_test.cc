#include "core/data/text_corpus.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "proto/schema/violations.h"

namespace trainyard {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using v1::TextReadOptions;

std::vector<std::string> DocumentsOf(const TextCorpus& corpus) {
  std::vector<std::string> documents;
  for (int64_t i = 0; i < corpus.document_count(); ++i) documents.emplace_back(corpus.document(i));
  return documents;
}

absl::StatusOr<std::shared_ptr<const TextCorpus>> Parse(std::string_view bytes,
                                                        const TextReadOptions& options = {},
                                                        int threads = 2) {
  return ParseText(bytes, options, TextLimits(), threads);
}

std::vector<std::string> ErrorsOf(const absl::Status& status) {
  std::vector<std::string> errors;
  for (const FieldViolation& violation : ViolationsOf(status)) {
    errors.push_back(violation.field + ": " + violation.description);
  }
  return errors;
}

TEST(TextCorpusTest, AFileIsOneDocument) {
  const auto corpus = Parse("\xEF\xBB\xBFOne caf\xC3\xA9.\n\nTwo.\n");
  ASSERT_TRUE(corpus.ok()) << corpus.status();
  EXPECT_THAT(DocumentsOf(**corpus), ElementsAre("One caf\xC3\xA9.\n\nTwo.\n"));
  const v1::TextSchema& schema = (*corpus)->schema();
  EXPECT_EQ(schema.byte_count(), 17);
  EXPECT_EQ(schema.character_count(), 16);
  EXPECT_EQ(schema.longest_document_bytes(), 17);
  EXPECT_EQ(schema.read_options().format(), TextReadOptions::FORMAT_PLAIN);
  EXPECT_FALSE((*corpus)->has_labels());
}

TEST(TextCorpusTest, SeparatorsEndDocumentsAndEmptyOnesAreDropped) {
  TextReadOptions options;
  options.set_document_separator("<|end|>");
  const auto corpus = Parse("<|end|>a<|end|><|end|>b\n<|en<|end|>c", options);
  ASSERT_TRUE(corpus.ok()) << corpus.status();
  EXPECT_THAT(DocumentsOf(**corpus), ElementsAre("a", "b\n<|en", "c"));
}

TEST(TextCorpusTest, JsonLinesAreDetectedAndEscapesResolved) {
  const auto corpus = Parse(
      "\n{\"id\": {\"text\": \"no\"}, \"text\": \"tab\\there \\u00e9\\ud83d\\ude00\"}\r\n"
      "{\"text\": \"\"}\n"
      "  {\"text\": \"last\", \"more\": [1, {\"text\": 2}, null]}");
  ASSERT_TRUE(corpus.ok()) << corpus.status();
  EXPECT_THAT(DocumentsOf(**corpus), ElementsAre("tab\there \xC3\xA9\xF0\x9F\x98\x80", "last"));
  EXPECT_EQ((*corpus)->schema().read_options().text_field(), "text");
}

TEST(TextCorpusTest, LabelsAreSortedTexts) {
  TextReadOptions options;
  options.set_label_field("y");
  const auto corpus = Parse(
      "{\"text\": \"a\", \"y\": \"spam\"}\n{\"text\": \"b\", \"y\": 3}\n"
      "{\"text\": \"c\", \"y\": true}\n{\"y\": \"spam\", \"text\": \"d\"}\n",
      options);
  ASSERT_TRUE(corpus.ok()) << corpus.status();
  EXPECT_THAT((*corpus)->labels(), ElementsAre("3", "spam", "true"));
  EXPECT_THAT((*corpus)->label_codes(), ElementsAre(1, 0, 2, 1));
  EXPECT_THAT((*corpus)->schema().labels(), ElementsAre("3", "spam", "true"));
}

TEST(TextCorpusTest, EveryBadLineIsNamed) {
  TextReadOptions options;
  options.set_format(TextReadOptions::FORMAT_JSON_LINES);
  options.set_label_field("y");
  const auto corpus = Parse(
      "{\"text\": \"a\", \"y\": 1}\n[1]\n{\"text\": \"b\"}\n{\"text\": 7, \"y\": 1}\n"
      "{\"text\": \"\xFF\", \"y\": 1}\n{\"text\": \"a\" \"y\"}\n",
      options);
  EXPECT_EQ(corpus.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(ErrorsOf(corpus.status()),
              ElementsAre("line 2: is no JSON object", HasSubstr("line 3: has no label"),
                          "line 4: has no text in the member 'text'",
                          HasSubstr("line 5, column 11: is no JSON: Invalid encoding"),
                          HasSubstr("line 6, column 14: is no JSON: Missing a comma")));
}

TEST(TextCorpusTest, NamesThePlaceOfABadByte) {
  const auto corpus = Parse("first\nsecond \xC3\x28\n");
  EXPECT_THAT(ErrorsOf(corpus.status()), ElementsAre("line 2, column 8: is not UTF-8"));
}

TEST(TextCorpusTest, AFileWithoutDocumentsIsRefused) {
  for (const std::string_view bytes : {"", "\xEF\xBB\xBF", "{\"text\": \"\"}\n"}) {
    EXPECT_THAT(ErrorsOf(Parse(bytes).status()), ElementsAre("file: holds no document"));
  }
}

TEST(TextCorpusTest, OptionsThatDoNotFitTheFormatAreRefused) {
  TextReadOptions options;
  options.set_document_separator("x");
  EXPECT_THAT(ErrorsOf(Parse("{\"text\": \"a\"}", options).status()),
              ElementsAre(HasSubstr("document_separator: is given")));
  options.Clear();
  options.set_label_field("y");
  EXPECT_THAT(ErrorsOf(Parse("plain", options).status()),
              ElementsAre("label_field: is 'y', but plain text has no labels"));
}

// Texts of several pieces (4 MiB each), whose borders fall anywhere.
class LongTextTest : public testing::TestWithParam<int> {};

TEST_P(LongTextTest, PiecesJoinWithoutATrace) {
  std::string text;
  for (int i = 0; text.size() < (size_t{9} << 20); ++i) {
    text += std::to_string(i) + " \xF0\x9F\x98\x80\xE2\x82\xAC\n";
  }
  const auto whole = Parse(text, {}, GetParam());
  ASSERT_TRUE(whole.ok()) << whole.status();
  ASSERT_EQ((*whole)->document_count(), 1);
  EXPECT_TRUE((*whole)->document(0) == text);

  TextReadOptions options;
  options.set_document_separator("\x98\x80\xE2");  // within characters: documents are no UTF-8
  EXPECT_EQ(Parse(text, options, GetParam()).status().code(), absl::StatusCode::kInvalidArgument);
  options.set_document_separator("\xE2\x82\xAC\n");
  const auto parts = Parse(text, options, GetParam());
  ASSERT_TRUE(parts.ok()) << parts.status();
  std::string joined;
  for (int64_t i = 0; i < (*parts)->document_count(); ++i) {
    joined += std::string((*parts)->document(i)) + "\xE2\x82\xAC\n";
  }
  EXPECT_TRUE(joined == text);

  text[text.size() - 5] = '\xFF';
  const auto lines = std::to_string(std::ranges::count(text, '\n'));
  EXPECT_THAT(ErrorsOf(Parse(text, {}, GetParam()).status()),
              ElementsAre(HasSubstr("line " + lines + ", column")));
}

TEST_P(LongTextTest, LabelsDoNotDependOnThePieces) {
  std::string text;
  std::vector<int> numbers;
  for (int i = 0; text.size() < (size_t{9} << 20); ++i) {
    numbers.push_back(9 - i % 7);
    text += "{\"y\": " + std::to_string(numbers.back()) + ", \"text\": \"" +
            std::string(1000, 'a' + i % 26) + "\"}\n";
  }
  TextReadOptions options;
  options.set_label_field("y");
  const auto corpus = Parse(text, options, GetParam());
  ASSERT_TRUE(corpus.ok()) << corpus.status();
  ASSERT_EQ((*corpus)->document_count(), static_cast<int64_t>(numbers.size()));
  for (size_t i = 0; i < numbers.size(); ++i) {
    ASSERT_EQ((*corpus)->label_codes()[i], numbers[i] - 3) << i;
    ASSERT_EQ((*corpus)->document(static_cast<int64_t>(i))[999], 'a' + static_cast<int>(i % 26));
  }
}

INSTANTIATE_TEST_SUITE_P(Threads, LongTextTest, testing::Values(1, 2, 3));

class TextCacheTest : public testing::Test {
 protected:
  TextCacheTest() { std::filesystem::create_directories(folder_); }
  ~TextCacheTest() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path WriteFile(std::string_view bytes) {
    const auto file = folder_ / "file";
    std::ofstream(file, std::ios::binary) << bytes;
    return file;
  }
  std::string ReadFile(const std::filesystem::path& file) {
    std::ifstream stream(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  }
  absl::Status Ingest(std::string_view bytes, const TextReadOptions& options = {}) {
    return IngestText(WriteFile(bytes), options, TextLimits(), 2, cache_).status();
  }

  const std::filesystem::path folder_ =
      std::filesystem::path(testing::TempDir()) / ("text_cache_" + std::to_string(getpid()));
  const std::filesystem::path cache_ = folder_ / "cache";
};

TEST_F(TextCacheTest, HoldsWhatWasRead) {
  TextReadOptions options;
  options.set_label_field("y");
  ASSERT_TRUE(Ingest("{\"text\":\"b\",\"y\":\"n\"}\n{\"text\":\"ccc\",\"y\":\"m\"}", options).ok());
  const auto corpus = OpenTextCache(cache_, /*verify=*/true);
  ASSERT_TRUE(corpus.ok()) << corpus.status();
  EXPECT_THAT(DocumentsOf(**corpus), ElementsAre("b", "ccc"));
  EXPECT_THAT((*corpus)->labels(), ElementsAre("m", "n"));
  EXPECT_THAT((*corpus)->label_codes(), ElementsAre(1, 0));
  EXPECT_EQ((*corpus)->schema().longest_document_bytes(), 3);
}

TEST_F(TextCacheTest, ARefusedFileLeavesNothing) {
  EXPECT_EQ(Ingest("bad \xFF").code(), absl::StatusCode::kInvalidArgument);
  std::filesystem::remove(folder_ / "file");
  EXPECT_TRUE(std::filesystem::is_empty(folder_));
}

TEST_F(TextCacheTest, EveryDamagedByteIsFound) {
  ASSERT_TRUE(Ingest("some text of a document\n").ok());
  const std::string sound = ReadFile(cache_);
  for (size_t i = 0; i < sound.size(); ++i) {
    std::string damaged = sound;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x40);
    std::ofstream(cache_, std::ios::binary | std::ios::trunc) << damaged;
    EXPECT_EQ(OpenTextCache(cache_, /*verify=*/true).status().code(), absl::StatusCode::kDataLoss)
        << "byte " << i;
  }
  for (size_t length = 0; length < sound.size(); length += 7) {
    std::ofstream(cache_, std::ios::binary | std::ios::trunc) << sound.substr(0, length);
    EXPECT_FALSE(OpenTextCache(cache_).ok()) << length << " bytes";
  }
}

TEST(MakeTextCorpusTest, RefusesWhatIsNoDocument) {
  EXPECT_FALSE(MakeTextCorpus({"a", ""}).ok());
  EXPECT_FALSE(MakeTextCorpus({"\xFF"}).ok());
  EXPECT_FALSE(MakeTextCorpus({"a", "b"}, {"one"}).ok());
  const auto corpus = MakeTextCorpus({"a", "bc"}, {"y", "x"});
  ASSERT_TRUE(corpus.ok()) << corpus.status();
  EXPECT_THAT((*corpus)->label_codes(), ElementsAre(1, 0));
}

}  // namespace
}  // namespace trainyard
