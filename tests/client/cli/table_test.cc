#include "client/cli/table.h"

#include <gtest/gtest.h>

#include <string>

#include "client/cli/text.h"

namespace trainyard::cli {
namespace {

TextTable Sample() {
  TextTable table({{"id"}, {"state"}, {"rows", true}});
  table.AddRow({"iris", "READY", "150"});
  table.AddRow({"a-much-longer-name-of-a-data-set", "é", "7"});
  return table;
}

TEST(TableTest, AlignsColumns) {
  EXPECT_EQ(Sample().Render(Terminal()),
            "id                                state  rows\n"
            "iris                              READY   150\n"
            "a-much-longer-name-of-a-data-set  é         7\n");
}

TEST(TableTest, ShrinksTextColumnsToTheTerminal) {
  Terminal narrow;
  narrow.width = 24;
  EXPECT_EQ(Sample().Render(narrow),
            "id           state  rows\n"
            "iris         READY   150\n"
            "a-much-lon…  é         7\n");
}

TEST(TableTest, NoLineIsWiderThanTheTerminal) {
  for (int width = 10; width < 60; ++width) {
    Terminal terminal;
    terminal.width = width;
    terminal.colours = true;
    const std::string text = Sample().Render(terminal);
    size_t begin = 0;
    for (size_t end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
      EXPECT_LE(DisplayWidth(text.substr(begin, end - begin)), width);
    }
  }
}

TEST(TableTest, ColoursOnlyWhereAllowed) {
  Terminal terminal;
  EXPECT_EQ(terminal.Paint("x", Colour::kRed), "x");
  terminal.colours = true;
  EXPECT_EQ(terminal.Paint("x", Colour::kRed), "\x1b[31mx\x1b[0m");
}

TEST(KeyValueListTest, LeavesEmptyValuesOutAndWraps) {
  KeyValueList list;
  list.Add("job", "projects/default/jobs/a");
  list.Add("error", "");
  list.Add("about", "one two three four");
  Terminal terminal;
  terminal.width = 17;
  EXPECT_EQ(list.Render(terminal),
            "job    projects/default/jobs/a\n"
            "about  one two\n"
            "       three four\n");
}

}  // namespace
}  // namespace trainyard::cli
