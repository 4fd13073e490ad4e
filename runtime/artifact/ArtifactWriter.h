//===- ArtifactWriter.h - Writing .dsv2 files -------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Streams weights to the file, then finishes it with the metadata. The file
// appears under its name only when it is complete, and only when the loader
// would accept it.
//
//   Result<ArtifactWriter> writer = ArtifactWriter::create(path);
//   for each weight:
//     writer->beginWeight();
//     writer->append(bytes); ...
//     Result<WeightSegment> segment = writer->endWeight();
//   writer->finish(metadata);
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_RUNTIME_ARTIFACT_ARTIFACTWRITER_H
#define DSV2_RUNTIME_ARTIFACT_ARTIFACTWRITER_H

#include "runtime/artifact/Hash.h"
#include "runtime/base/AtomicFile.h"
#include "runtime/base/Status.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace dsv2 {

namespace schema {
struct ArtifactT;
} // namespace schema

/// Where a weight was written: the fields of schema::Weight.
struct WeightSegment {
  uint64_t offset = 0;
  uint64_t bytes = 0;
  uint64_t hash = 0;
};

class ArtifactWriter {
public:
  static Result<ArtifactWriter> create(const std::string &path);

  /// Starts a weight at the next segment boundary.
  Status beginWeight();
  Status append(std::span<const std::byte> bytes);
  /// Ends the weight, which must have at least one byte.
  Result<WeightSegment> endWeight();

  /// A weight that is in memory as a whole.
  Result<WeightSegment> addWeight(std::span<const std::byte> bytes);

  /// Writes the metadata and the header, and gives the file its name. Sets
  /// `metadata.version`. Nothing else may be called afterwards.
  Status finish(schema::ArtifactT &metadata);

private:
  explicit ArtifactWriter(AtomicFile file) : file(std::move(file)) {}

  AtomicFile file;
  StreamHash hash;
  uint64_t weightStart = 0;
  bool inWeight = false;
};

} // namespace dsv2

#endif // DSV2_RUNTIME_ARTIFACT_ARTIFACTWRITER_H
