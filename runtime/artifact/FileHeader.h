//===- FileHeader.h - The first bytes of a .dsv2 file -----------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// The fixed part of an artifact: enough to recognize a file, its version and
// whether it is whole, and to find and check the metadata.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_RUNTIME_ARTIFACT_FILEHEADER_H
#define DSV2_RUNTIME_ARTIFACT_FILEHEADER_H

#include <bit>
#include <cstdint>

namespace dsv2 {

/// The bytes "DSV2ART\0" as a little-endian number.
inline constexpr uint64_t artifactMagic = 0x0054524132565344;

/// Raised whenever an older runtime could misread a newer file.
inline constexpr uint32_t artifactVersion = 1;

/// Where weight segments and the metadata start: multiples of this.
inline constexpr uint64_t segmentAlignment = 4096;

/// What kernels may assume of the address of a weight.
inline constexpr uint64_t weightAlignment = 64;

/// Little-endian, at offset 0. The metadata is the last thing in the file.
struct FileHeader {
  uint64_t magic = artifactMagic;
  uint32_t version = artifactVersion;
  uint32_t headerBytes = 64;
  uint64_t fileBytes = 0;
  uint64_t metadataOffset = 0;
  uint64_t metadataBytes = 0;
  uint64_t metadataHash = 0; ///< XXH3-64
  uint64_t reserved[2] = {}; ///< zeros
};

static_assert(sizeof(FileHeader) == 64);
static_assert(std::endian::native == std::endian::little,
              "artifacts are used in place");

} // namespace dsv2

#endif // DSV2_RUNTIME_ARTIFACT_FILEHEADER_H
