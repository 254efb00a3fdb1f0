// How --help looks.
#pragma once

#include <string>

#include "CLI/App.hpp"
#include "CLI/Config.hpp"
#include "CLI/Formatter.hpp"

namespace trainyard::cli {

// Help in columns, wrapped to the terminal.
class HelpFormatter : public CLI::Formatter {
 public:
  // `width` in columns; wider than 100 is not used.
  explicit HelpFormatter(int width);

  std::string make_option(const CLI::Option* option, bool is_positional) const override;
  std::string make_subcommand(const CLI::App* command) const override;
  std::string make_description(const CLI::App* app) const override;

 private:
  int width_;
};

// The end of a help text: examples, one a line.
std::string FooterOf(const std::string& examples);

}  // namespace trainyard::cli
