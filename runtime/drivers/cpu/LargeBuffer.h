//===- LargeBuffer.h - Zeroed memory that is taken when touched -*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_RUNTIME_DRIVERS_CPU_LARGEBUFFER_H
#define DSV2_RUNTIME_DRIVERS_CPU_LARGEBUFFER_H

#include "runtime/base/Status.h"

#include <cstddef>
#include <cstdint>

namespace dsv2 {

/// Address space for the largest case; pages become memory when they are first
/// written, so buffers planned for long contexts cost nothing until then.
/// Buffers of 2 MiB and more are aligned to 2 MiB and use huge pages.
class LargeBuffer {
public:
  /// `what` names the buffer in the error.
  static Result<LargeBuffer> allocate(uint64_t bytes, const char *what);

  LargeBuffer() = default;
  LargeBuffer(LargeBuffer &&other) noexcept;
  LargeBuffer &operator=(LargeBuffer &&other) noexcept;
  ~LargeBuffer();

  std::byte *data() const { return start; }
  uint64_t size() const { return byteCount; }

private:
  std::byte *start = nullptr;
  uint64_t byteCount = 0;
  void *mapping = nullptr;
  size_t mappingBytes = 0;
};

} // namespace dsv2

#endif // DSV2_RUNTIME_DRIVERS_CPU_LARGEBUFFER_H
