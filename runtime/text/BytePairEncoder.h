//===- BytePairEncoder.h - Merges bytes into tokens -------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Byte-pair encoding of one piece of text: the pair with the earliest merge
// goes first, the leftmost of equals, until no pair has a merge.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_RUNTIME_TEXT_BYTEPAIRENCODER_H
#define DSV2_RUNTIME_TEXT_BYTEPAIRENCODER_H

#include "runtime/base/Status.h"
#include "runtime/text/TokenizerModel.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace dsv2 {

/// What a pair of adjacent tokens becomes, and when.
struct RankedMerge {
  uint32_t rank = UINT32_MAX; ///< UINT32_MAX when the pair has no merge
  int32_t merged = -1;
};

/// The merges of a vocabulary, by pair. An open-addressing table: it is looked
/// up several times for each byte of text.
class MergeTable {
public:
  /// A pair that occurs twice has its last rank.
  explicit MergeTable(const std::vector<TokenMerge> &merges);

  RankedMerge find(int32_t left, int32_t right) const;

private:
  struct Slot {
    uint64_t pair;
    RankedMerge merge;
  };

  size_t firstSlot(uint64_t pair) const;

  std::vector<Slot> slots;
};

class BytePairEncoder {
public:
  /// Checks that each merge joins two tokens into the token of their bytes.
  static Result<BytePairEncoder> create(const TokenizerModel &model);

  /// Appends the tokens of `piece`, below 4 GiB, to `ids`. Fails when the
  /// vocabulary has no token for one of its bytes. Takes n log n steps for n
  /// bytes.
  Status encode(std::string_view piece, std::vector<int32_t> &ids) const;

private:
  explicit BytePairEncoder(const std::vector<TokenMerge> &merges)
      : merges(merges) {}

  void mergeShort(std::vector<int32_t> &tokens, size_t first) const;
  void mergeLong(std::vector<int32_t> &tokens, size_t first) const;

  MergeTable merges;
  std::array<int32_t, 256> byteTokens;
  /// Tokens by bytes, when whole pieces are looked up first.
  std::unordered_map<std::string, int32_t> wholeTokens;
};

} // namespace dsv2

#endif // DSV2_RUNTIME_TEXT_BYTEPAIRENCODER_H
