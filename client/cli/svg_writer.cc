#include "client/cli/svg_writer.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/text.h"

namespace trainyard::cli {
namespace {

// Coordinates to a tenth of a pixel, without trailing zeros.
std::string Number(double value) {
  const double rounded = std::round(value * 10) / 10;
  return absl::StrCat(rounded == 0 ? 0.0 : rounded);
}

}  // namespace

std::string XmlEscape(std::string_view text) {
  std::string escaped;
  for (const char c : Printable(text)) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      case '\'':
        escaped += "&apos;";
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

SvgWriter::SvgWriter(double width, double height) : width_(width), height_(height) {
  Rect(0, 0, width, height, "#ffffff");
}

void SvgWriter::Line(double x1, double y1, double x2, double y2, absl::string_view colour,
                     double stroke_width) {
  absl::StrAppend(&body_, "<line x1=\"", Number(x1), "\" y1=\"", Number(y1), "\" x2=\"", Number(x2),
                  "\" y2=\"", Number(y2), "\" stroke=\"", colour, "\" stroke-width=\"",
                  Number(stroke_width), "\"/>\n");
}

void SvgWriter::Polyline(const std::vector<std::pair<double, double>>& points,
                         absl::string_view colour, double stroke_width, double opacity) {
  absl::StrAppend(&body_, "<polyline fill=\"none\" stroke=\"", colour, "\" stroke-width=\"",
                  Number(stroke_width), "\" stroke-opacity=\"", opacity, "\" points=\"");
  for (const auto& [x, y] : points) absl::StrAppend(&body_, Number(x), ",", Number(y), " ");
  absl::StrAppend(&body_, "\"/>\n");
}

void SvgWriter::Rect(double x, double y, double width, double height, absl::string_view colour) {
  absl::StrAppend(&body_, "<rect x=\"", Number(x), "\" y=\"", Number(y), "\" width=\"",
                  Number(width), "\" height=\"", Number(height), "\" fill=\"", colour, "\"/>\n");
}

void SvgWriter::GradientRect(double x, double y, double width, double height, absl::string_view top,
                             absl::string_view middle, absl::string_view bottom) {
  const std::string id = absl::StrCat("gradient", ++gradients_);
  absl::StrAppend(&body_, "<defs><linearGradient id=\"", id,
                  "\" x1=\"0\" y1=\"0\" x2=\"0\" y2=\"1\"><stop offset=\"0\" stop-color=\"", top,
                  "\"/><stop offset=\"0.5\" stop-color=\"", middle,
                  "\"/><stop offset=\"1\" stop-color=\"", bottom, "\"/></linearGradient></defs>\n");
  Rect(x, y, width, height, absl::StrCat("url(#", id, ")"));
}

void SvgWriter::Circle(double x, double y, double radius, absl::string_view colour) {
  absl::StrAppend(&body_, "<circle cx=\"", Number(x), "\" cy=\"", Number(y), "\" r=\"",
                  Number(radius), "\" fill=\"", colour, "\"/>\n");
}

void SvgWriter::Text(double x, double y, std::string_view text, const TextStyle& style,
                     std::string_view full) {
  constexpr absl::string_view kAnchors[] = {"start", "middle", "end"};
  absl::StrAppend(&body_, "<text x=\"", Number(x), "\" y=\"", Number(y), "\" text-anchor=\"",
                  kAnchors[static_cast<int>(style.anchor)], "\" font-size=\"", Number(style.size),
                  "\" fill=\"", style.colour, "\"", style.bold ? " font-weight=\"bold\"" : "", ">");
  if (!full.empty() && full != text) {
    absl::StrAppend(&body_, "<title>", XmlEscape(full), "</title>");
  }
  absl::StrAppend(&body_, XmlEscape(text), "</text>\n");
}

void SvgWriter::BeginGroup(double x, double y) {
  absl::StrAppend(&body_, "<g transform=\"translate(", Number(x), " ", Number(y), ")\">\n");
}

void SvgWriter::EndGroup() { body_ += "</g>\n"; }

std::string SvgWriter::Finish() const {
  return absl::StrCat(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\" "
      "width=\"",
      Number(width_), "\" height=\"", Number(height_), "\" viewBox=\"0 0 ", Number(width_), " ",
      Number(height_), "\" font-family=\"Helvetica, Arial, 'DejaVu Sans', sans-serif\">\n", body_,
      "</svg>\n");
}

std::vector<double> RoundTicks(double low, double high, int most) {
  std::vector<double> ticks;
  if (!(high > low) || !std::isfinite(high - low)) return {low};
  const double rough = (high - low) / std::max(most, 1);
  const double power = std::pow(10, std::floor(std::log10(rough)));
  double step = 10 * power;
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= 0.8 * rough) {
      step = factor * power;
      break;
    }
  }
  for (double i = std::ceil(low / step); i * step <= high; ++i) {
    ticks.push_back(i == 0 ? 0 : i * step);
    if (ticks.size() > 100) break;
  }
  return ticks;
}

}  // namespace trainyard::cli
