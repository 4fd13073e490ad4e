//===- BytePairEncoder.cpp - Merges bytes into tokens ---------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/text/BytePairEncoder.h"

#include <algorithm>
#include <bit>
#include <queue>

using namespace dsv2;

namespace {

constexpr uint64_t emptyPair = UINT64_MAX; // ids are not negative
constexpr uint32_t noRank = UINT32_MAX;

/// Up to this many bytes, a scan for the best pair beats a heap.
constexpr size_t shortPiece = 48;

uint64_t pairKey(int32_t left, int32_t right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 |
         static_cast<uint32_t>(right);
}

/// A token of a long piece, in a list of neighbors.
struct Symbol {
  int32_t token;
  uint32_t previous;
  uint32_t next;
};

/// A merge that was possible when it was found.
struct Candidate {
  uint32_t rank;
  uint32_t position;
  int32_t left, right, merged;

  /// Orders a heap: the earliest merge, the leftmost of equals, on top.
  bool operator<(const Candidate &other) const {
    return rank != other.rank ? rank > other.rank : position > other.position;
  }
};

Status mergeError(size_t index, const std::string &problem) {
  return Status(StatusCode::dataLoss, "expected merge " +
                                          std::to_string(index) +
                                          " to join two tokens of the "
                                          "vocabulary into a third, but " +
                                          problem);
}

} // namespace

MergeTable::MergeTable(const std::vector<TokenMerge> &merges)
    : slots(std::bit_ceil(2 * merges.size() + 1), Slot{emptyPair, {}}) {
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    const TokenMerge &merge = merges[rank];
    uint64_t pair = pairKey(merge.left, merge.right);
    size_t i = firstSlot(pair);
    while (slots[i].pair != emptyPair && slots[i].pair != pair)
      i = (i + 1) & (slots.size() - 1);
    slots[i] = {pair, {static_cast<uint32_t>(rank), merge.merged}};
  }
}

size_t MergeTable::firstSlot(uint64_t pair) const {
  uint64_t mixed = pair * 0x9E3779B97F4A7C15u;
  return (mixed ^ (mixed >> 32)) & (slots.size() - 1);
}

RankedMerge MergeTable::find(int32_t left, int32_t right) const {
  uint64_t pair = pairKey(left, right);
  for (size_t i = firstSlot(pair);; i = (i + 1) & (slots.size() - 1)) {
    if (slots[i].pair == pair)
      return slots[i].merge;
    if (slots[i].pair == emptyPair)
      return {};
  }
}

Result<BytePairEncoder> BytePairEncoder::create(const TokenizerModel &model) {
  const std::vector<std::string> &vocabulary = model.vocabulary;
  if (model.merges.size() >= noRank)
    return mergeError(noRank, "there are too many merges");
  for (size_t i = 0; i < model.merges.size(); ++i) {
    const TokenMerge &merge = model.merges[i];
    for (int32_t id : {merge.left, merge.right, merge.merged})
      if (id < 0 || static_cast<size_t>(id) >= vocabulary.size() ||
          vocabulary[id].empty())
        return mergeError(i, "there is no token " + std::to_string(id));
    const std::string &left = vocabulary[merge.left];
    const std::string &right = vocabulary[merge.right];
    const std::string &merged = vocabulary[merge.merged];
    if (merged.size() != left.size() + right.size() ||
        !merged.starts_with(left) || !merged.ends_with(right))
      return mergeError(i, "the bytes of " + std::to_string(merge.left) +
                               " and " + std::to_string(merge.right) +
                               " do not give those of " +
                               std::to_string(merge.merged));
  }

  BytePairEncoder encoder(model.merges);
  encoder.byteTokens.fill(-1);
  for (size_t id = 0; id < vocabulary.size(); ++id) {
    if (vocabulary[id].size() == 1) {
      int32_t &token =
          encoder.byteTokens[static_cast<unsigned char>(vocabulary[id][0])];
      if (token < 0)
        token = static_cast<int32_t>(id);
    }
    if (model.ignoreMerges && !vocabulary[id].empty())
      encoder.wholeTokens.try_emplace(vocabulary[id], static_cast<int32_t>(id));
  }
  return encoder;
}

Status BytePairEncoder::encode(std::string_view piece,
                               std::vector<int32_t> &ids) const {
  if (!wholeTokens.empty())
    if (auto it = wholeTokens.find(std::string(piece));
        it != wholeTokens.end()) {
      ids.push_back(it->second);
      return {};
    }

  size_t first = ids.size();
  for (char c : piece) {
    auto byte = static_cast<unsigned char>(c);
    if (byteTokens[byte] < 0) {
      ids.resize(first);
      return Status(StatusCode::invalidArgument,
                    "expected a text of bytes the vocabulary has, but it has "
                    "no token for byte " +
                        std::to_string(byte) + "; use another text");
    }
    ids.push_back(byteTokens[byte]);
  }
  if (piece.size() <= shortPiece)
    mergeShort(ids, first);
  else
    mergeLong(ids, first);
  return {};
}

void BytePairEncoder::mergeShort(std::vector<int32_t> &tokens,
                                 size_t first) const {
  int32_t *token = tokens.data() + first;
  size_t count = tokens.size() - first;
  std::array<RankedMerge, shortPiece> pairs; // pairs[i] joins tokens i, i + 1
  for (size_t i = 0; i + 1 < count; ++i)
    pairs[i] = merges.find(token[i], token[i + 1]);

  while (count > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < count; ++i)
      if (pairs[i].rank < pairs[best].rank)
        best = i;
    if (pairs[best].rank == noRank)
      break;
    token[best] = pairs[best].merged;
    std::copy(token + best + 2, token + count, token + best + 1);
    std::copy(pairs.begin() + best + 1, pairs.begin() + count - 1,
              pairs.begin() + best);
    --count;
    if (best > 0)
      pairs[best - 1] = merges.find(token[best - 1], token[best]);
    if (best + 1 < count)
      pairs[best] = merges.find(token[best], token[best + 1]);
  }
  tokens.resize(first + count);
}

void BytePairEncoder::mergeLong(std::vector<int32_t> &tokens,
                                size_t first) const {
  auto count = static_cast<uint32_t>(tokens.size() - first);
  std::vector<Symbol> symbols(count);
  for (uint32_t i = 0; i < count; ++i)
    symbols[i] = {tokens[first + i], i - 1, i + 1}; // the first wraps around

  std::vector<Candidate> found;
  auto consider = [&](uint32_t position, auto add) {
    uint32_t next = symbols[position].next;
    if (next >= count)
      return;
    RankedMerge merge =
        merges.find(symbols[position].token, symbols[next].token);
    if (merge.rank != noRank)
      add(Candidate{merge.rank, position, symbols[position].token,
                    symbols[next].token, merge.merged});
  };
  for (uint32_t i = 0; i < count; ++i)
    consider(i, [&](const Candidate &c) { found.push_back(c); });
  std::priority_queue<Candidate> queue(std::less<Candidate>(),
                                       std::move(found));

  while (!queue.empty()) {
    Candidate best = queue.top();
    queue.pop();
    // Skip what an earlier merge has changed; a merged-away symbol has token
    // -1, which no candidate names.
    Symbol &left = symbols[best.position];
    if (left.token != best.left || left.next >= count ||
        symbols[left.next].token != best.right)
      continue;
    Symbol &right = symbols[left.next];
    left.token = best.merged;
    right.token = -1;
    left.next = right.next;
    if (left.next < count)
      symbols[left.next].previous = best.position;
    auto push = [&](const Candidate &c) { queue.push(c); };
    if (left.previous < count)
      consider(left.previous, push);
    consider(best.position, push);
  }

  size_t kept = first;
  for (uint32_t i = 0; i < count; i = symbols[i].next)
    tokens[kept++] = symbols[i].token;
  tokens.resize(kept);
}
