//===- Artifact.cpp - A loaded .dsv2 file ---------------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/artifact/Artifact.h"

#include "runtime/artifact/Hash.h"
#include "runtime/artifact/VerifyArtifact.h"

using namespace dsv2;

static Status inFile(const std::string &path, const Status &status) {
  return Status(status.code(), "'" + path + "': " + status.message());
}

Result<Artifact> Artifact::open(const std::string &path) {
  Result<MappedFile> file = MappedFile::open(path);
  if (!file.ok())
    return file.status();
  Result<FileHeader> header = verifyArtifact(file->bytes());
  if (!header.ok())
    return inFile(path, header.status());

  Artifact artifact;
  artifact.file = *std::move(file);
  // Where the file is not in memory yet, it gets there in huge pages.
  artifact.file.advise(MappedFile::Access::inHugePages);
  artifact.fileHeader = *header;
  artifact.root =
      schema::GetArtifact(artifact.file.data() + header->metadataOffset);
  if (artifact.hasWeights() && artifact.weightBytes() <= maxVerifiedWeightBytes)
    DSV2_RETURN_IF_ERROR(artifact.verifyWeights());
  return artifact;
}

bool Artifact::hasWeights() const {
  // The verifier has seen that all are present or none is.
  const auto &weights = *root->weights();
  return weights.size() == 0 || weights[0]->offset() != 0;
}

uint64_t Artifact::weightBytes() const {
  uint64_t bytes = 0;
  for (const schema::Weight *weight : *root->weights())
    bytes += weight->bytes();
  return bytes;
}

std::span<const std::byte> Artifact::weight(uint32_t index) const {
  const schema::Weight &weight = *root->weights()->Get(index);
  return file.bytes().subspan(weight.offset(), weight.bytes());
}

Status Artifact::requireWeights() const {
  if (hasWeights())
    return Status();
  return Status(StatusCode::incompatible,
                "'" + path() +
                    "': artifact was built with --weights=none and can only "
                    "be inspected; build it with weights to run it");
}

Status Artifact::verifyWeights() const {
  DSV2_RETURN_IF_ERROR(requireWeights());
  const auto &weights = *root->weights();
  for (uint32_t index = 0; index < weights.size(); ++index)
    if (hashBytes(weight(index)) != weights[index]->hash())
      return Status(StatusCode::dataLoss,
                    "'" + path() + "': weight '" +
                        weights[index]->name()->str() +
                        "' is corrupted: its checksum differs; copy or build "
                        "the artifact again");
  return Status();
}
