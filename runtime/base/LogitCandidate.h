//===- LogitCandidate.h - The best logits of a row --------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// A GPU lists the best logits of each row, so that a token can be chosen
// without copying the row. The list of row r lies `offset + r * rowBytes(most)`
// behind the logits: how many there are (0: the list is not complete), four
// unused bytes, then the candidates, the best first.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_RUNTIME_BASE_LOGITCANDIDATE_H
#define DSV2_RUNTIME_BASE_LOGITCANDIDATE_H

#include <cstdint>

namespace dsv2 {

/// Of equal logits the lowest id is better; NaN counts as minus infinity.
struct LogitCandidate {
  float logit;
  int32_t id;
};

struct LogitCandidates {
  static constexpr uint64_t headerBytes = 8;

  static constexpr uint64_t offset(uint64_t rows, uint64_t vocab) {
    return (rows * vocab * sizeof(float) + 255) / 256 * 256;
  }
  static constexpr uint64_t rowBytes(uint64_t most) {
    return headerBytes + most * sizeof(LogitCandidate);
  }
  /// Of logits and lists of `most` together; 0: without lists.
  static constexpr uint64_t totalBytes(uint64_t rows, uint64_t vocab,
                                       uint64_t most) {
    return offset(rows, vocab) + (most ? rows * rowBytes(most) : 0);
  }
};

} // namespace dsv2

#endif // DSV2_RUNTIME_BASE_LOGITCANDIDATE_H
