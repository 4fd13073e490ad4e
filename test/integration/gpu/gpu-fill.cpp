//===- gpu-fill.cpp - Gives an artifact weights of random bytes -----------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//   gpu-fill IN.dsv2 OUT.dsv2
//
// Makes a file of full size from one of --weights=none, on the machine that is
// to measure how fast it loads. What the model says with it means nothing.
//
//===----------------------------------------------------------------------===//

#include "runtime/artifact/Artifact.h"
#include "runtime/artifact/ArtifactWriter.h"
#include "runtime/schema/artifact_generated.h"

#include <algorithm>
#include <cstdio>
#include <random>
#include <vector>

using namespace dsv2;

/// Halves that are small numbers in every float format, as the kernel that
/// fills weights on a GPU makes them.
static std::vector<uint16_t> makePiece() {
  std::vector<uint16_t> piece(size_t(4) << 20);
  std::mt19937 random(1);
  for (uint16_t &half : piece)
    half = static_cast<uint16_t>((random() & 0x80bf) | 0x3c00);
  return piece;
}

static Status fill(const char *from, const char *to) {
  Result<Artifact> artifact = Artifact::open(from);
  if (!artifact.ok())
    return artifact.status();
  Result<ArtifactWriter> writer = ArtifactWriter::create(to);
  if (!writer.ok())
    return writer.status();
  schema::ArtifactT metadata;
  artifact->metadata().UnPackTo(&metadata);
  std::vector<uint16_t> piece = makePiece();
  std::span<const std::byte> bytes = std::as_bytes(std::span(piece));
  for (auto &weight : metadata.weights) {
    DSV2_RETURN_IF_ERROR(writer->beginWeight());
    for (uint64_t done = 0, count; done < weight->bytes; done += count) {
      count = std::min<uint64_t>(weight->bytes - done, bytes.size());
      DSV2_RETURN_IF_ERROR(writer->append(bytes.first(count)));
    }
    Result<WeightSegment> segment = writer->endWeight();
    if (!segment.ok())
      return segment.status();
    weight->offset = segment->offset;
    weight->hash = segment->hash;
  }
  metadata.build->weights = "random bytes";
  return writer->finish(metadata);
}

int main(int argc, char **argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: gpu-fill IN.dsv2 OUT.dsv2\n");
    return 1;
  }
  Status status = fill(argv[1], argv[2]);
  if (!status.ok())
    std::fprintf(stderr, "gpu-fill: error: %s\n", status.message().c_str());
  return !status.ok();
}
