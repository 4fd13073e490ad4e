//===- MappedFile.h - A file as read-only memory ----------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Maps a whole file read-only and unmaps it on destruction. The file must not
// shrink while it is mapped: the kernel answers a read behind its end with a
// signal, not with an error.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_RUNTIME_BASE_MAPPEDFILE_H
#define DSV2_RUNTIME_BASE_MAPPEDFILE_H

#include "runtime/base/Status.h"

#include <cstddef>
#include <span>
#include <string>

namespace dsv2 {

/// A regular file mapped read-only. Moves keep the addresses.
class MappedFile {
public:
  /// How a range will be read; hints only, the kernel may ignore them.
  enum class Access { sequential, random, soon, notAgain, inHugePages };

  static Result<MappedFile> open(const std::string &path);

  MappedFile() = default;
  MappedFile(MappedFile &&other) noexcept;
  MappedFile &operator=(MappedFile &&other) noexcept;
  ~MappedFile();

  const std::byte *data() const { return address; }
  size_t size() const { return byteCount; }
  std::span<const std::byte> bytes() const { return {address, byteCount}; }
  const std::string &path() const { return fileName; }

  /// Tells the kernel how [offset, offset + size) will be read. The range is
  /// clipped to the file and widened to whole pages.
  void advise(Access access, size_t offset, size_t size) const;
  void advise(Access access) const { advise(access, 0, byteCount); }

  /// Reads [offset, offset + size), clipped and widened likewise, and enters it
  /// into the page tables, so that the first use is like any other.
  void populate(size_t offset, size_t size) const;

private:
  void advisePages(int advice, size_t offset, size_t size) const;

  const std::byte *address = nullptr;
  size_t byteCount = 0;
  std::string fileName;
};

} // namespace dsv2

#endif // DSV2_RUNTIME_BASE_MAPPEDFILE_H
