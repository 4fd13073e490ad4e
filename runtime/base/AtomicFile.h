//===- AtomicFile.h - Files that appear whole or not at all -----*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Writes under a temporary name in the directory of the target, and renames on
// commit(). Whatever happens before that leaves an existing target untouched
// and no temporary behind, short of a killed process.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_RUNTIME_BASE_ATOMICFILE_H
#define DSV2_RUNTIME_BASE_ATOMICFILE_H

#include "runtime/base/Status.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace dsv2 {

/// A file under construction. Destroying it without commit() discards it.
class AtomicFile {
public:
  static Result<AtomicFile> create(const std::string &path);

  /// From now on, append() holds bytes back until they fill the file up to a
  /// multiple of `block`. File systems then keep whole blocks in one piece of
  /// memory, where they can: with the size of a huge page, mapping the file
  /// afterwards takes one entry for each.
  void appendBlocks(size_t block) { blockBytes = block; }
  /// Writes what append() holds back.
  Status flush();

  AtomicFile(AtomicFile &&other) noexcept;
  AtomicFile &operator=(AtomicFile &&other) noexcept;
  ~AtomicFile();

  /// Writes at the end and moves it.
  Status append(std::span<const std::byte> bytes);
  Status append(std::string_view text);

  /// Writes at `offset`, which may lie behind the end; the gap reads as zeros.
  /// Safe to call from several threads for disjoint ranges, as long as none of
  /// them appends. What append() holds back is written later: flush() before.
  Status writeAt(uint64_t offset, std::span<const std::byte> bytes) const;

  /// Appends zeros until the end is a multiple of `alignment`.
  Status padTo(uint64_t alignment);

  /// Where append() writes next. writeAt() does not move it.
  uint64_t position() const { return end; }

  /// Flushes to the disk and moves the file to its name. The object is done
  /// afterwards, whatever the result.
  Status commit();

private:
  AtomicFile() = default;
  Status failure(const char *action, int error) const;
  void discard();

  int descriptor = -1;
  uint64_t end = 0; ///< with `pending`, its last bytes
  std::vector<std::byte> pending;
  size_t blockBytes = 1;
  std::string target;
  std::string temporary;
};

} // namespace dsv2

#endif // DSV2_RUNTIME_BASE_ATOMICFILE_H
