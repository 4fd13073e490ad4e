//===- Artifact.h - A loaded .dsv2 file -------------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Maps an artifact and verifies it once; everything after that trusts it.
// Weights are used in place.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_RUNTIME_ARTIFACT_ARTIFACT_H
#define DSV2_RUNTIME_ARTIFACT_ARTIFACT_H

#include "runtime/artifact/FileHeader.h"
#include "runtime/base/MappedFile.h"
#include "runtime/base/Status.h"
#include "runtime/schema/artifact_generated.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace dsv2 {

class Artifact {
public:
  /// Weights up to this size are read and compared with their hashes by
  /// open(); reading more would delay the start noticeably.
  static constexpr uint64_t maxVerifiedWeightBytes = uint64_t(256) << 20;

  /// Every error names the file.
  static Result<Artifact> open(const std::string &path);

  const schema::Artifact &metadata() const { return *root; }
  const FileHeader &header() const { return fileHeader; }
  const std::string &path() const { return file.path(); }
  uint64_t fileBytes() const { return file.size(); }

  /// See MappedFile::populate().
  void populate(uint64_t offset, uint64_t size) const {
    file.populate(offset, size);
  }

  /// False when it was built with --weights=none: it can be inspected only.
  bool hasWeights() const;
  uint64_t weightBytes() const;
  /// The bytes of weight `index`; needs hasWeights().
  std::span<const std::byte> weight(uint32_t index) const;

  /// Fails when the weights are absent.
  Status requireWeights() const;
  /// Reads all weights and compares their hashes.
  Status verifyWeights() const;

private:
  Artifact() = default;

  MappedFile file;
  FileHeader fileHeader;
  const schema::Artifact *root = nullptr;
};

} // namespace dsv2

#endif // DSV2_RUNTIME_ARTIFACT_ARTIFACT_H
