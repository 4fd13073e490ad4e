//===- Format.cpp - Numbers for people ------------------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "tools/common/Format.h"

#include <algorithm>
#include <charconv>
#include <cstdarg>
#include <cstdio>

using namespace dsv2;

std::string dsv2::format(const char *text, ...) {
  va_list arguments, again;
  va_start(arguments, text);
  va_copy(again, arguments);
  int size = std::vsnprintf(nullptr, 0, text, arguments);
  va_end(arguments);
  std::string result(static_cast<size_t>(std::max(size, 0)), '\0');
  std::vsnprintf(result.data(), result.size() + 1, text, again);
  va_end(again);
  return result;
}

static std::string scaled(uint64_t value, double step, const char *const *units,
                          int unitCount) {
  if (static_cast<double>(value) < step)
    return std::to_string(value) + (*units[0] ? " " : "") + units[0];
  double rest = static_cast<double>(value);
  int unit = 0;
  while (rest >= step && unit + 1 < unitCount) {
    rest /= step;
    ++unit;
  }
  return format("%.2f %s", rest, units[unit]);
}

std::string dsv2::formatBytes(uint64_t bytes) {
  static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  return scaled(bytes, 1024, units, 5);
}

std::string dsv2::formatCount(uint64_t count) {
  static const char *const units[] = {"", "K", "M", "B", "T"};
  return scaled(count, 1000, units, 5);
}

/// Characters, not bytes, as a terminal counts them.
static size_t widthOf(const std::string &text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char byte) {
        return (static_cast<unsigned char>(byte) & 0xc0) != 0x80;
      }));
}

std::string
dsv2::formatColumns(const std::vector<std::vector<std::string>> &rows,
                    std::string_view alignment) {
  std::vector<size_t> widths(alignment.size());
  for (const auto &row : rows)
    for (size_t i = 0; i < row.size() && i < widths.size(); ++i)
      widths[i] = std::max(widths[i], widthOf(row[i]));
  std::string result;
  for (const auto &row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size() && i < widths.size(); ++i) {
      std::string space(widths[i] - widthOf(row[i]), ' ');
      line += i ? "  " : "";
      line += alignment[i] == 'r' ? space + row[i] : row[i] + space;
    }
    line.erase(line.find_last_not_of(' ') + 1);
    result += line + "\n";
  }
  return result;
}

Result<std::vector<int32_t>> dsv2::parseIds(const std::string &text,
                                            const std::string &what) {
  std::vector<int32_t> ids;
  const char *at = text.data(), *end = at + text.size();
  auto skipSpace = [&] {
    while (at != end && (*at == ' ' || *at == '\n' || *at == '\t'))
      ++at;
  };
  for (;;) {
    skipSpace();
    int32_t id = 0;
    auto [next, error] = std::from_chars(at, end, id);
    if (error != std::errc() || id < 0)
      return Status(StatusCode::invalidArgument,
                    what + " expects token ids such as 1,2,3, found '" +
                        std::string(at, std::min<size_t>(end - at, 20)) + "'");
    ids.push_back(id);
    at = next;
    skipSpace();
    if (at == end)
      return ids;
    if (*at == ',')
      ++at;
  }
}
