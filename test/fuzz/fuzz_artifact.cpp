//===- fuzz_artifact.cpp - Fuzzing of the artifact loader -----------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Any bytes are refused with one line, or give metadata that can be used in
// every way the runtime does. The input is the metadata alone; it is given a
// header with the right checksum, so that the checks behind that are reached.
//
//===----------------------------------------------------------------------===//

#include "runtime/artifact/Hash.h"
#include "runtime/artifact/TokenizerTable.h"
#include "runtime/artifact/VerifyArtifact.h"
#include "runtime/drivers/cpu/KernelLibrary.h"
#include "runtime/schema/artifact_generated.h"
#include "runtime/text/Tokenizer.h"

#include <cstdlib>
#include <cstring>
#include <memory>

using namespace dsv2;

static void require(bool condition) {
  if (!condition)
    std::abort();
}

static void requireOneLine(const Status &status) {
  require(!status.message().empty() &&
          status.message().find('\n') == std::string::npos);
}

namespace {
struct Free {
  void operator()(std::byte *memory) const { std::free(memory); }
};
} // namespace

static void use(const schema::Artifact &artifact, uint64_t fileBytes) {
  for (const schema::Weight *weight : *artifact.weights())
    require(weight->offset() == 0 ||
            weight->offset() + weight->bytes() <= fileBytes);
  for (const schema::Program *program : *artifact.plan()->programs())
    for (const schema::Dispatch *dispatch : *program->dispatches()) {
      require(dispatch->kernel() < artifact.kernels()->size());
      for (const schema::Binding *binding : *dispatch->bindings())
        if (binding->kind() == schema::BindingKind::weight)
          require(binding->value() <
                  artifact.weights()->Get(binding->index())->bytes());
    }
  Result<uint32_t> library = KernelLibrary::choose(artifact, 0);
  if (!library.ok())
    requireOneLine(library.status());
  Result<TokenizerModel> model = unpackTokenizer(artifact);
  if (!model.ok())
    return requireOneLine(model.status());
  Result<Tokenizer> tokenizer = Tokenizer::create(*std::move(model));
  if (!tokenizer.ok())
    requireOneLine(tokenizer.status());
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  // A page of header, a page of weights, the metadata.
  constexpr uint64_t offset = 2 * segmentAlignment;
  std::unique_ptr<std::byte, Free> memory(
      static_cast<std::byte *>(std::aligned_alloc(
          segmentAlignment,
          offset + (size / segmentAlignment + 1) * segmentAlignment)));
  std::span<std::byte> file(memory.get(), offset + size);
  std::memset(file.data(), 0, offset);
  std::memcpy(file.data() + offset, data, size);
  FileHeader header;
  header.fileBytes = file.size();
  header.metadataOffset = offset;
  header.metadataBytes = size;
  header.metadataHash = hashBytes(file.subspan(offset));
  std::memcpy(file.data(), &header, sizeof(header));

  Result<FileHeader> verified = verifyArtifact(file);
  if (!verified.ok())
    requireOneLine(verified.status());
  else
    use(*schema::GetArtifact(file.data() + offset), file.size());
  return 0;
}
