//===- VerifyArtifact.cpp - Is this file a whole artifact? ----------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/artifact/VerifyArtifact.h"

#include "runtime/artifact/Hash.h"
#include "runtime/schema/artifact_generated.h"

#include <algorithm>
#include <cstring>

using namespace dsv2;

/// A bound on tables that no real model comes near; each costs the reader time.
static constexpr flatbuffers::uoffset_t maxTables = 4'000'000;

static Status damaged(std::string message) {
  return Status(StatusCode::dataLoss, std::move(message));
}

static Status wrongVersion(uint32_t version) {
  std::string message = "artifact has format version " +
                        std::to_string(version) + ", expected version " +
                        std::to_string(artifactVersion) + ": ";
  if (version > artifactVersion)
    message += "use a newer dsv2, or rebuild it";
  else
    message += "rebuild it";
  return Status(StatusCode::incompatible,
                message + " with 'dsv2-compile MODEL -o FILE.dsv2'");
}

Result<FileHeader> dsv2::verifyHeader(std::span<const std::byte> file) {
  FileHeader header;
  // An unfinished copy of a real artifact deserves a better answer than
  // "not an artifact".
  size_t known = std::min(file.size(), sizeof(header.magic));
  if (known == 0 || std::memcmp(file.data(), &artifactMagic, known) != 0)
    return damaged("expected a .dsv2 artifact, found something else");
  if (file.size() < sizeof(header))
    return damaged("artifact is truncated: found " +
                   std::to_string(file.size()) +
                   " bytes, expected at least 64; copy or build it again");
  std::memcpy(&header, file.data(), sizeof(header));
  if (header.version != artifactVersion)
    return wrongVersion(header.version);
  if (header.headerBytes != sizeof(header) || header.reserved[0] != 0 ||
      header.reserved[1] != 0)
    return damaged("artifact has a corrupted header; copy or build it again");
  if (file.size() < header.fileBytes)
    return damaged("artifact is truncated: found " +
                   std::to_string(file.size()) + " bytes, expected " +
                   std::to_string(header.fileBytes) +
                   "; copy or build it again");
  if (file.size() > header.fileBytes)
    return damaged("artifact is corrupted: found " +
                   std::to_string(file.size()) + " bytes, expected " +
                   std::to_string(header.fileBytes) +
                   "; copy or build it again");
  if (header.metadataOffset < sizeof(header) ||
      header.metadataOffset % segmentAlignment != 0 ||
      header.metadataOffset > header.fileBytes ||
      header.metadataBytes != header.fileBytes - header.metadataOffset)
    return damaged("artifact has a corrupted header: the metadata is not at "
                   "the end of the file; copy or build it again");
  if (hashBytes(file.subspan(header.metadataOffset)) != header.metadataHash)
    return damaged("artifact has corrupted metadata: its checksum differs; "
                   "copy or build it again");
  return header;
}

Status dsv2::verifyMetadata(std::span<const std::byte> bytes,
                            uint64_t weightsEnd) {
  const auto *data = reinterpret_cast<const uint8_t *>(bytes.data());
  if (bytes.size() >= FLATBUFFERS_MAX_BUFFER_SIZE)
    return damaged("artifact metadata has " + std::to_string(bytes.size()) +
                   " bytes, expected less than 2 GiB");
  // The smallest buffer: root offset, identifier, a table, its vtable.
  if (bytes.size() < 16)
    return damaged("artifact metadata has " + std::to_string(bytes.size()) +
                   " bytes, expected at least 16");
  flatbuffers::Verifier verifier(data, bytes.size(), /*max_depth=*/16,
                                 maxTables);
  if (!schema::VerifyArtifactBuffer(verifier))
    return damaged("artifact metadata is not a valid flatbuffer of this "
                   "version; build it again");
  const schema::Artifact *artifact = schema::GetArtifact(data);
  if (artifact->version() != artifactVersion)
    return wrongVersion(artifact->version());
  return verifyMeaning(*artifact, weightsEnd);
}

Result<FileHeader> dsv2::verifyArtifact(std::span<const std::byte> file) {
  Result<FileHeader> header = verifyHeader(file);
  if (!header.ok())
    return header;
  DSV2_RETURN_IF_ERROR(verifyMetadata(file.subspan(header->metadataOffset),
                                      header->metadataOffset));
  return header;
}
