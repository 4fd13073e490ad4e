//===- Format.h - Numbers for people ----------------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_TOOLS_COMMON_FORMAT_H
#define DSV2_TOOLS_COMMON_FORMAT_H

#include "runtime/base/Status.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace dsv2 {

/// printf into a string.
[[gnu::format(printf, 1, 2)]] std::string format(const char *text, ...);

/// "1.46 GiB", "512 B".
std::string formatBytes(uint64_t bytes);

/// "15.71 B" parameters, "320", in steps of 1000.
std::string formatCount(uint64_t count);

/// Rows of cells as aligned columns with two spaces between; cells of columns
/// named in `rightAligned` ("lrr": one letter a column) end at the right.
std::string formatColumns(const std::vector<std::vector<std::string>> &rows,
                          std::string_view alignment);

/// The ids of "1, 2,3"; `what` names the text in the error.
Result<std::vector<int32_t>> parseIds(const std::string &text,
                                      const std::string &what);

} // namespace dsv2

#endif // DSV2_TOOLS_COMMON_FORMAT_H
