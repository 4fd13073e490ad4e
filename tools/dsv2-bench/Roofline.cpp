//===- Roofline.cpp - What this machine can do ----------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "tools/dsv2-bench/Roofline.h"

#include <algorithm>

using namespace dsv2;

Limits Limits::between(const Limits &a, const Limits &b) {
  Limits result;
  result.readBytes = (a.readBytes + b.readBytes) / 2;
  for (size_t type = 0; type < dotTypeCount; ++type)
    result.operations[type] = (a.operations[type] + b.operations[type]) / 2;
  return result;
}

double dsv2::medianOf(std::vector<double> &values) {
  auto middle = values.begin() + static_cast<ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}
