//===- LargeBuffer.cpp - Zeroed memory that is taken when touched ---------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/drivers/cpu/LargeBuffer.h"

#include <cerrno>
#include <system_error>
#include <utility>

#include <sys/mman.h>

using namespace dsv2;

static constexpr uint64_t hugePage = uint64_t(2) << 20;
/// Kernels may read whole vectors past the last element.
static constexpr uint64_t slack = 4096;

Result<LargeBuffer> LargeBuffer::allocate(uint64_t bytes, const char *what) {
  bool huge = bytes >= hugePage;
  uint64_t extra = slack + (huge ? hugePage : 0);
  if (bytes > SIZE_MAX / 2 - extra)
    return Status(StatusCode::exhausted,
                  std::string("cannot allocate ") + std::to_string(bytes) +
                      " bytes for " + what + ": more than an address space");
  LargeBuffer buffer;
  size_t mappingBytes = bytes + extra;
  void *mapping = ::mmap(nullptr, mappingBytes, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping == MAP_FAILED)
    return Status(StatusCode::exhausted,
                  std::string("cannot allocate ") + std::to_string(bytes) +
                      " bytes for " + what + ": " +
                      std::generic_category().message(errno));
  buffer.mapping = mapping;
  buffer.mappingBytes = mappingBytes;
  buffer.byteCount = bytes;
  uint64_t address = reinterpret_cast<uint64_t>(mapping);
  if (huge) {
    address = (address + hugePage - 1) / hugePage * hugePage;
    // A kernel without huge pages refuses; small ones do as well.
    (void)::madvise(reinterpret_cast<void *>(address), bytes, MADV_HUGEPAGE);
  }
  buffer.start = reinterpret_cast<std::byte *>(address);
  return buffer;
}

LargeBuffer::LargeBuffer(LargeBuffer &&other) noexcept
    : start(std::exchange(other.start, nullptr)),
      byteCount(std::exchange(other.byteCount, 0)),
      mapping(std::exchange(other.mapping, nullptr)),
      mappingBytes(std::exchange(other.mappingBytes, 0)) {}

LargeBuffer &LargeBuffer::operator=(LargeBuffer &&other) noexcept {
  std::swap(start, other.start);
  std::swap(byteCount, other.byteCount);
  std::swap(mapping, other.mapping);
  std::swap(mappingBytes, other.mappingBytes);
  return *this;
}

LargeBuffer::~LargeBuffer() {
  if (mapping)
    ::munmap(mapping, mappingBytes);
}
