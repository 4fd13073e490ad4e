//===- VerifyArtifact.h - Is this file a whole artifact? --------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Every check of a file that needs neither the CPU nor the weights' bytes.
// After them, code may trust each ordinal, offset and size in the metadata.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_RUNTIME_ARTIFACT_VERIFYARTIFACT_H
#define DSV2_RUNTIME_ARTIFACT_VERIFYARTIFACT_H

#include "runtime/artifact/FileHeader.h"
#include "runtime/base/Status.h"

#include <cstddef>
#include <cstdint>
#include <span>

namespace dsv2 {

namespace schema {
struct Artifact;
} // namespace schema

/// Checks magic, version, sizes and the hash of the metadata.
Result<FileHeader> verifyHeader(std::span<const std::byte> file);

/// Checks the flatbuffer's structure, then verifyMeaning(). `bytes` must be
/// aligned to 64; weights must end at or before `weightsEnd`.
Status verifyMetadata(std::span<const std::byte> bytes, uint64_t weightsEnd);

/// Checks limits, geometry, ordinals, offsets and sizes.
Status verifyMeaning(const schema::Artifact &artifact, uint64_t weightsEnd);

/// The whole file: verifyHeader(), then verifyMetadata().
Result<FileHeader> verifyArtifact(std::span<const std::byte> file);

} // namespace dsv2

#endif // DSV2_RUNTIME_ARTIFACT_VERIFYARTIFACT_H
