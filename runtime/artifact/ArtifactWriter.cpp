//===- ArtifactWriter.cpp - Writing .dsv2 files ---------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/artifact/ArtifactWriter.h"

#include "runtime/artifact/FileHeader.h"
#include "runtime/artifact/VerifyArtifact.h"
#include "runtime/schema/artifact_generated.h"

#include <cstring>
#include <vector>

using namespace dsv2;

Result<ArtifactWriter> ArtifactWriter::create(const std::string &path) {
  Result<AtomicFile> file = AtomicFile::create(path);
  if (!file.ok())
    return file.status();
  file->appendBlocks(size_t(2) << 20); // a huge page
  // The header is known last; an empty one keeps its place.
  FileHeader empty = {};
  DSV2_RETURN_IF_ERROR(file->append(std::as_bytes(std::span(&empty, 1))));
  return ArtifactWriter(*std::move(file));
}

Status ArtifactWriter::beginWeight() {
  if (inWeight)
    return Status(StatusCode::internal,
                  "a weight was begun before the one before it was ended");
  DSV2_RETURN_IF_ERROR(file.padTo(segmentAlignment));
  weightStart = file.position();
  hash.reset();
  inWeight = true;
  return Status();
}

Status ArtifactWriter::append(std::span<const std::byte> bytes) {
  if (!inWeight)
    return Status(StatusCode::internal,
                  "weight bytes were appended outside a weight");
  hash.update(bytes);
  return file.append(bytes);
}

Result<WeightSegment> ArtifactWriter::endWeight() {
  uint64_t bytes = file.position() - weightStart;
  if (!inWeight || bytes == 0)
    return Status(StatusCode::internal,
                  "a weight was ended that was not begun or has no bytes");
  inWeight = false;
  return WeightSegment{weightStart, bytes, hash.digest()};
}

Result<WeightSegment>
ArtifactWriter::addWeight(std::span<const std::byte> bytes) {
  DSV2_RETURN_IF_ERROR(beginWeight());
  DSV2_RETURN_IF_ERROR(append(bytes));
  return endWeight();
}

Status ArtifactWriter::finish(schema::ArtifactT &metadata) {
  if (inWeight)
    return Status(StatusCode::internal,
                  "the artifact was finished inside a weight");
  DSV2_RETURN_IF_ERROR(file.padTo(segmentAlignment));

  metadata.version = artifactVersion;
  flatbuffers::FlatBufferBuilder builder;
  schema::FinishArtifactBuffer(builder,
                               schema::Artifact::Pack(builder, &metadata));
  // The builder does not align its memory; a mapped file does.
  struct alignas(weightAlignment) Line {
    std::byte bytes[weightAlignment];
  };
  std::vector<Line> aligned((builder.GetSize() + sizeof(Line) - 1) /
                            sizeof(Line));
  std::memcpy(aligned.data(), builder.GetBufferPointer(), builder.GetSize());
  std::span<const std::byte> bytes =
      std::as_bytes(std::span(aligned)).first(builder.GetSize());
  // Refused here rather than by every reader.
  DSV2_RETURN_IF_ERROR(verifyMetadata(bytes, file.position()));

  FileHeader header;
  header.metadataOffset = file.position();
  header.metadataBytes = bytes.size();
  header.metadataHash = hashBytes(bytes);
  header.fileBytes = header.metadataOffset + header.metadataBytes;
  DSV2_RETURN_IF_ERROR(file.append(bytes));
  DSV2_RETURN_IF_ERROR(file.flush());
  DSV2_RETURN_IF_ERROR(file.writeAt(0, std::as_bytes(std::span(&header, 1))));
  return file.commit();
}
