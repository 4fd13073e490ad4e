//===- Hash.h - XXH3-64 -----------------------------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// The checksum of metadata and weights. It finds damage, not malice.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_RUNTIME_ARTIFACT_HASH_H
#define DSV2_RUNTIME_ARTIFACT_HASH_H

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace dsv2 {

uint64_t hashBytes(std::span<const std::byte> bytes);

/// The same hash of bytes that arrive in pieces.
class StreamHash {
public:
  StreamHash();
  StreamHash(StreamHash &&) noexcept;
  StreamHash &operator=(StreamHash &&) noexcept;
  ~StreamHash();

  void reset();
  void update(std::span<const std::byte> bytes);
  uint64_t digest() const;

private:
  struct State;
  std::unique_ptr<State> state;
};

} // namespace dsv2

#endif // DSV2_RUNTIME_ARTIFACT_HASH_H
