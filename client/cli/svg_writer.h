// Drawings as SVG (Scalable Vector Graphics).
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace trainyard::cli {

// `text` for the inside of an XML element or attribute: & < > " ' escaped, control characters and
// bytes that are not UTF-8 replaced.
std::string XmlEscape(std::string_view text);

// Where a text is anchored.
enum class Anchor { kStart, kMiddle, kEnd };

// How a text looks.
struct TextStyle {
  Anchor anchor = Anchor::kStart;
  double size = 12;
  bool bold = false;
  absl::string_view colour = "#222222";
};

// Builds one document, its origin in the upper left corner, units of pixels.
class SvgWriter {
 public:
  // A white page.
  SvgWriter(double width, double height);

  double width() const { return width_; }
  double height() const { return height_; }

  void Line(double x1, double y1, double x2, double y2, absl::string_view colour,
            double stroke_width = 1);
  void Polyline(const std::vector<std::pair<double, double>>& points, absl::string_view colour,
                double stroke_width, double opacity = 1);
  void Rect(double x, double y, double width, double height, absl::string_view colour);
  // A bar from top to bottom, its colour running from `top` to `bottom`.
  void GradientRect(double x, double y, double width, double height, absl::string_view top,
                    absl::string_view middle, absl::string_view bottom);
  void Circle(double x, double y, double radius, absl::string_view colour);
  // `y` is that of the base line. A text of which `full` is the whole shows that as a tool tip.
  void Text(double x, double y, std::string_view text, const TextStyle& style = {},
            std::string_view full = {});

  // What follows until EndGroup has its origin at (x, y). Groups are not nested.
  void BeginGroup(double x, double y);
  void EndGroup();

  // The whole document.
  std::string Finish() const;

 private:
  const double width_;
  const double height_;
  int gradients_ = 0;
  std::string body_;
};

// At most about `most` round numbers within [low, high], ascending: multiples of 1, 2 or 5 times a
// power of ten.
std::vector<double> RoundTicks(double low, double high, int most);

}  // namespace trainyard::cli
