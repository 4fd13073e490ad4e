//===- Hash.cpp - XXH3-64 -------------------------------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/artifact/Hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

using namespace dsv2;

uint64_t dsv2::hashBytes(std::span<const std::byte> bytes) {
  return XXH3_64bits(bytes.data(), bytes.size());
}

struct StreamHash::State {
  XXH3_state_t xxh3;
};

StreamHash::StreamHash() : state(std::make_unique<State>()) { reset(); }
StreamHash::StreamHash(StreamHash &&) noexcept = default;
StreamHash &StreamHash::operator=(StreamHash &&) noexcept = default;
StreamHash::~StreamHash() = default;

void StreamHash::reset() { XXH3_64bits_reset(&state->xxh3); }

void StreamHash::update(std::span<const std::byte> bytes) {
  XXH3_64bits_update(&state->xxh3, bytes.data(), bytes.size());
}

uint64_t StreamHash::digest() const { return XXH3_64bits_digest(&state->xxh3); }
