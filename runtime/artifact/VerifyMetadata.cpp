//===- VerifyMetadata.cpp - What metadata may say -------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
// The flatbuffer verifier has checked that every table, vector and string lies
// inside the buffer; this checks that the numbers in them make sense together.
//
//===----------------------------------------------------------------------===//

#include "runtime/artifact/VerifyArtifact.h"
#include "runtime/base/LogitCandidate.h"
#include "runtime/schema/artifact_generated.h"

#include <algorithm>
#include <cstdint>
#include <string>

using namespace dsv2;

namespace {

// Batch arrays and cache rows are int32; the rest are bounds that no machine
// reaches, so that products of a few of them cannot overflow.
constexpr int64_t maxInt32 = INT32_MAX;
constexpr uint64_t maxMemory = uint64_t(1) << 46;
constexpr uint32_t maxRowBytes = 1u << 20;
constexpr uint32_t maxLayers = 1u << 16;
constexpr uint64_t maxWorkgroups = maxInt32;

class MeaningVerifier {
public:
  MeaningVerifier(const schema::Artifact &artifact, uint64_t weightsEnd)
      : artifact(artifact), weightsEnd(weightsEnd) {}

  Status verify() {
    DSV2_RETURN_IF_ERROR(verifyLimits());
    DSV2_RETURN_IF_ERROR(verifyModel());
    DSV2_RETURN_IF_ERROR(verifyCache());
    DSV2_RETURN_IF_ERROR(verifyKernels());
    DSV2_RETURN_IF_ERROR(verifyWeights());
    return verifyPlan();
  }

private:
  static Status fail(const std::string &what) {
    return Status(StatusCode::dataLoss,
                  "artifact is malformed: " + what + "; build it again");
  }

  static Status checkRange(const char *what, int64_t value, int64_t low,
                           int64_t high) {
    if (value >= low && value <= high)
      return Status();
    return fail(std::string(what) + " is " + std::to_string(value) +
                ", expected " + std::to_string(low) + " to " +
                std::to_string(high));
  }

  static Status checkOrdinal(const std::string &where, const char *what,
                             uint64_t value, uint64_t count) {
    if (value < count)
      return Status();
    return fail(where + " uses " + what + " " + std::to_string(value) +
                ", expected less than " + std::to_string(count));
  }

  /// Names appear in messages, which are one line.
  static Status checkName(const char *what, const flatbuffers::String &name) {
    constexpr uint32_t longest = 1024;
    bool printable = std::all_of(name.begin(), name.end(), [](uint8_t c) {
      return c >= 0x20 && c != 0x7f;
    });
    if (printable && name.size() > 0 && name.size() <= longest)
      return Status();
    return fail(std::string("the name of ") + what + " has " +
                std::to_string(name.size()) +
                " bytes, expected 1 to 1024 printable ones");
  }

  Status verifyLimits();
  Status verifyModel();
  Status verifyCache();
  Status verifyKernels();
  Status verifyGpuKernel(const schema::Kernel &kernel);
  Status verifyTensorMap(const schema::TensorMap &map, uint32_t bindings,
                         const std::string &where);
  Status verifyWeights();
  Status verifyPlan();
  /// Where lists of the best logits lie behind the logits; 0: there are none.
  uint64_t bestLogitsOffset() const;
  bool listsBestLogits(const schema::Program &program) const;
  Status verifyChunks(const schema::Program &program, const std::string &where);
  Status verifyDispatch(const schema::Dispatch &dispatch,
                        const std::string &where);
  Status verifyWorkgroups(const schema::Workgroups &workgroups,
                          const std::string &where);
  Status verifyBinding(const schema::Binding &binding,
                       const std::string &where);
  int64_t largest(schema::Dim dim) const;

  const schema::Artifact &artifact;
  uint64_t weightsEnd;
};

} // namespace

Status MeaningVerifier::verifyLimits() {
  const schema::Limits &limits = *artifact.limits();
  int64_t tokens = limits.max_batch_tokens();
  DSV2_RETURN_IF_ERROR(
      checkRange("limits.max_batch_tokens", tokens, 1, maxInt32));
  DSV2_RETURN_IF_ERROR(
      checkRange("limits.max_sequences", limits.max_sequences(), 1, tokens));
  DSV2_RETURN_IF_ERROR(
      checkRange("limits.max_context", limits.max_context(), 1, maxInt32));
  DSV2_RETURN_IF_ERROR(
      checkRange("limits.max_logit_rows", limits.max_logit_rows(), 1, tokens));
  return checkRange("limits.max_sequences * limits.max_context",
                    limits.max_sequences() * limits.max_context(), 1, maxInt32);
}

Status MeaningVerifier::verifyModel() {
  const schema::Model &model = *artifact.model();
  int64_t vocab = model.vocab();
  DSV2_RETURN_IF_ERROR(checkRange("model.vocab", vocab, 1, maxInt32));
  DSV2_RETURN_IF_ERROR(
      checkRange("model.layers", model.layers(), 1, maxLayers));
  DSV2_RETURN_IF_ERROR(
      checkRange("model.max_position", model.max_position(), 0, maxInt32));
  DSV2_RETURN_IF_ERROR(checkRange("model.bos", model.bos(), -1, vocab - 1));
  if (model.eos())
    for (int32_t eos : *model.eos())
      DSV2_RETURN_IF_ERROR(checkRange("model.eos", eos, 0, vocab - 1));
  return Status();
}

Status MeaningVerifier::verifyCache() {
  const schema::CacheLayout &cache = *artifact.cache();
  DSV2_RETURN_IF_ERROR(
      checkRange("cache.layers", cache.layers(), 1, maxLayers));
  DSV2_RETURN_IF_ERROR(
      checkRange("cache.page_size", cache.page_size(), 1, 1 << 16));
  DSV2_RETURN_IF_ERROR(
      checkRange("cache.latent", cache.latent(), 1, maxRowBytes));
  DSV2_RETURN_IF_ERROR(checkRange("cache.rope", cache.rope(), 0, maxRowBytes));

  uint64_t elementBytes = 0;
  switch (cache.element()) {
  case schema::ElementType::f32:
  case schema::ElementType::i32:
    elementBytes = 4;
    break;
  case schema::ElementType::f16:
  case schema::ElementType::bf16:
    elementBytes = 2;
    break;
  case schema::ElementType::i8:
  case schema::ElementType::u8:
  case schema::ElementType::f8e4m3:
    elementBytes = 1;
    break;
  }
  if (elementBytes == 0)
    return fail("cache.element has the unknown value " +
                std::to_string(static_cast<int>(cache.element())));
  // A row may be padded, or carry scales.
  uint64_t elements = uint64_t(cache.latent()) + cache.rope();
  uint64_t least = elements * elementBytes;
  if (least > maxRowBytes)
    return fail("a cache row has " + std::to_string(elements) +
                " elements, expected at most 1 MiB of them");
  return checkRange("cache.row_bytes", cache.row_bytes(),
                    static_cast<int64_t>(least), maxRowBytes);
}

Status MeaningVerifier::verifyKernels() {
  if (const schema::GpuTarget *gpu = artifact.gpu()) {
    DSV2_RETURN_IF_ERROR(checkName("a GPU", *gpu->name()));
    if (artifact.libraries()->size() != 0)
      return fail(
          "there are kernels for a GPU and for CPUs, expected one kind");
    // What a block of threads can list.
    DSV2_RETURN_IF_ERROR(
        checkRange("the GPU's best_logits", gpu->best_logits(), 0, 1024));
    if (gpu->fill_kernel() >= 0)
      DSV2_RETURN_IF_ERROR(checkOrdinal("the GPU", "kernel", gpu->fill_kernel(),
                                        artifact.kernels()->size()));
    for (const schema::Kernel *kernel : *artifact.kernels())
      DSV2_RETURN_IF_ERROR(verifyGpuKernel(*kernel));
    return Status();
  }
  if (artifact.libraries()->size() == 0)
    return fail("there is no kernel library, expected at least one");
  for (const schema::KernelLibrary *library : *artifact.libraries()) {
    DSV2_RETURN_IF_ERROR(checkName("a kernel library", *library->name()));
    if (library->object()->size() == 0)
      return fail("kernel library '" + library->name()->str() +
                  "' has no object");
  }
  for (const schema::Kernel *kernel : *artifact.kernels())
    DSV2_RETURN_IF_ERROR(checkName("a kernel", *kernel->symbol()));
  return Status();
}

Status MeaningVerifier::verifyGpuKernel(const schema::Kernel &kernel) {
  DSV2_RETURN_IF_ERROR(checkName("a kernel", *kernel.symbol()));
  std::string where = "kernel '" + kernel.symbol()->str() + "'";
  const schema::GpuKernel *gpu = kernel.gpu();
  if (!gpu || gpu->ptx()->size() == 0)
    return fail(where + " has no PTX");
  auto check = [&](const char *what, int64_t value, int64_t low, int64_t high) {
    return checkRange((where + " " + what).c_str(), value, low, high);
  };
  DSV2_RETURN_IF_ERROR(check("bindings", gpu->bindings(), 0, 64));
  DSV2_RETURN_IF_ERROR(check("threads", gpu->threads(), 1, 1024));
  DSV2_RETURN_IF_ERROR(check("cluster", gpu->cluster(), 1, 16));
  DSV2_RETURN_IF_ERROR(check("blocks_per_sm", gpu->blocks_per_sm(), 0, 64));
  DSV2_RETURN_IF_ERROR(
      check("dynamic_shared_bytes", gpu->dynamic_shared_bytes(), 0, 1 << 20));
  if (gpu->tensor_maps())
    for (const schema::TensorMap *map : *gpu->tensor_maps())
      DSV2_RETURN_IF_ERROR(verifyTensorMap(*map, gpu->bindings(), where));
  return Status();
}

Status MeaningVerifier::verifyTensorMap(const schema::TensorMap &map,
                                        uint32_t bindings,
                                        const std::string &where) {
  DSV2_RETURN_IF_ERROR(checkOrdinal(where, "binding", map.binding(), bindings));
  uint32_t rank = map.sizes()->size();
  if (rank < 1 || rank > 5 || map.box()->size() != rank ||
      (map.strides() ? map.strides()->size() : 0) != rank - 1 ||
      map.swizzle() > 3)
    return fail(where + " has a tensor map of rank " + std::to_string(rank) +
                ", expected 1 to 5 sizes, a box and strides that match");
  for (int64_t size : *map.sizes())
    DSV2_RETURN_IF_ERROR(checkRange((where + " tensor map size").c_str(), size,
                                    1, int64_t(1) << 32));
  for (uint32_t size : *map.box())
    DSV2_RETURN_IF_ERROR(
        checkRange((where + " tensor map box").c_str(), size, 1, 256));
  for (uint32_t i = 0; i + 1 < rank; ++i) {
    int64_t stride = map.strides()->Get(i);
    if (stride < 16 || stride % 16 != 0 || stride >= int64_t(1) << 40)
      return fail(where + " has a tensor map with a stride of " +
                  std::to_string(stride) +
                  " bytes, expected a multiple of 16 below 2^40");
  }
  return Status();
}

Status MeaningVerifier::verifyWeights() {
  const auto &weights = *artifact.weights();
  bool absent = weights.size() != 0 && weights[0]->offset() == 0;
  for (const schema::Weight *weight : weights) {
    DSV2_RETURN_IF_ERROR(checkName("a weight", *weight->name()));
    std::string where = "weight '" + weight->name()->str() + "'";
    uint64_t offset = weight->offset(), bytes = weight->bytes();
    if (bytes == 0 || bytes > maxMemory)
      return fail(where + " has " + std::to_string(bytes) +
                  " bytes, expected 1 to 2^46");
    if ((offset == 0) != absent)
      return fail(where + " is " + (absent ? "present" : "absent") +
                  ", unlike the ones before it");
    if (absent)
      continue;
    if (offset < sizeof(FileHeader) || offset % weightAlignment != 0)
      return fail(where + " is at offset " + std::to_string(offset) +
                  ", expected a multiple of 64 behind the header");
    if (offset > weightsEnd || bytes > weightsEnd - offset)
      return fail(where + " ends behind the weights (offset " +
                  std::to_string(offset) + ", " + std::to_string(bytes) +
                  " bytes, expected to end by " + std::to_string(weightsEnd) +
                  ")");
  }
  return Status();
}

Status MeaningVerifier::verifyPlan() {
  const schema::Plan &plan = *artifact.plan();
  if (plan.arena_bytes() > maxMemory)
    return fail("plan.arena_bytes is " + std::to_string(plan.arena_bytes()) +
                ", expected at most 2^46");
  // The file places the metadata at a page; kernels read constants in place.
  if (plan.constants() &&
      reinterpret_cast<uintptr_t>(plan.constants()->data()) % weightAlignment !=
          0)
    return fail("plan.constants is not aligned to 64 bytes");
  if (plan.programs()->size() == 0)
    return fail("the plan has no program, expected at least one");
  for (const schema::Program *program : *plan.programs()) {
    DSV2_RETURN_IF_ERROR(checkName("a program", *program->name()));
    std::string name = "program '" + program->name()->str() + "'";
    DSV2_RETURN_IF_ERROR(checkRange((name + " max_query_tokens").c_str(),
                                    program->max_query_tokens(), 1, INT64_MAX));
    DSV2_RETURN_IF_ERROR(verifyChunks(*program, name));
    if (bestLogitsOffset() && !listsBestLogits(*program))
      return fail(name + " lists no best logits, expected as many as others");
    uint32_t index = 0;
    for (const schema::Dispatch *dispatch : *program->dispatches())
      DSV2_RETURN_IF_ERROR(verifyDispatch(
          *dispatch, name + " dispatch " + std::to_string(index++)));
  }
  return Status();
}

uint64_t MeaningVerifier::bestLogitsOffset() const {
  if (!artifact.gpu() || artifact.gpu()->best_logits() == 0)
    return 0;
  return LogitCandidates::offset(artifact.limits()->max_logit_rows(),
                                 artifact.model()->vocab());
}

bool MeaningVerifier::listsBestLogits(const schema::Program &program) const {
  auto isList = [&](const schema::Binding *binding) {
    return binding->kind() == schema::BindingKind::logits &&
           binding->value() == bestLogitsOffset();
  };
  return std::any_of(program.dispatches()->begin(), program.dispatches()->end(),
                     [&](const schema::Dispatch *dispatch) {
                       return std::any_of(dispatch->bindings()->begin(),
                                          dispatch->bindings()->end(), isList);
                     });
}

Status MeaningVerifier::verifyChunks(const schema::Program &program,
                                     const std::string &where) {
  if (program.chunk_step() < 0 || program.chunk_step() > maxInt32 ||
      program.chunk_rows() < program.chunk_step() ||
      program.chunk_rows() > maxInt32)
    return fail(where + " has chunks of " +
                std::to_string(program.chunk_rows()) + " rows by " +
                std::to_string(program.chunk_step()) +
                ", expected int32 numbers, the first not less");
  for (const schema::Dispatch *dispatch : *program.dispatches())
    if (dispatch->chunked() && (program.chunk_step() == 0 || !artifact.gpu()))
      return fail(where + " has a dispatch for chunks of the context, expected "
                          "only with a step of them and for a GPU");
  return Status();
}

Status MeaningVerifier::verifyDispatch(const schema::Dispatch &dispatch,
                                       const std::string &where) {
  DSV2_RETURN_IF_ERROR(checkOrdinal(where, "kernel", dispatch.kernel(),
                                    artifact.kernels()->size()));
  if (dispatch.min_tokens() < 0 ||
      dispatch.min_tokens() > dispatch.max_tokens())
    return fail(where + " runs for " + std::to_string(dispatch.min_tokens()) +
                " to " + std::to_string(dispatch.max_tokens()) +
                " tokens, expected an ascending range");
  DSV2_RETURN_IF_ERROR(verifyWorkgroups(*dispatch.workgroups(), where));
  if (artifact.gpu()) {
    uint32_t taken =
        artifact.kernels()->Get(dispatch.kernel())->gpu()->bindings();
    if (dispatch.bindings()->size() != taken)
      return fail(where + " has " +
                  std::to_string(dispatch.bindings()->size()) +
                  " bindings, expected " + std::to_string(taken));
    if (dispatch.workgroups()->indirect() >= 0)
      return fail(where + " has a count in memory, which GPUs cannot read");
  }
  // Flatbuffers checks the alignment of the length of a vector only.
  if (reinterpret_cast<uintptr_t>(dispatch.bindings()->Data()) %
          alignof(schema::Binding) !=
      0)
    return fail(where + " has bindings that are not aligned to 8 bytes");
  for (const schema::Binding *binding : *dispatch.bindings())
    DSV2_RETURN_IF_ERROR(verifyBinding(*binding, where));
  return Status();
}

int64_t MeaningVerifier::largest(schema::Dim dim) const {
  const schema::Limits &limits = *artifact.limits();
  switch (dim) {
  case schema::Dim::one:
    return 1;
  case schema::Dim::tokens:
    return limits.max_batch_tokens();
  case schema::Dim::sequences:
    return limits.max_sequences();
  case schema::Dim::context:
    return limits.max_sequences() * limits.max_context();
  case schema::Dim::logit_rows:
    return limits.max_logit_rows();
  }
  return -1;
}

Status MeaningVerifier::verifyWorkgroups(const schema::Workgroups &workgroups,
                                         const std::string &where) {
  int64_t most = largest(workgroups.dim());
  if (most < 0)
    return fail(where + " counts the unknown dimension " +
                std::to_string(static_cast<int>(workgroups.dim())));
  if (workgroups.count() < 0 || workgroups.count() > maxInt32 ||
      workgroups.tile() < 1 || workgroups.tile() > maxInt32)
    return fail(where + " has " + std::to_string(workgroups.count()) +
                " workgroups for every " + std::to_string(workgroups.tile()) +
                ", expected int32 numbers, the second positive");
  uint64_t tiles = (most + workgroups.tile() - 1) / workgroups.tile();
  if (workgroups.count() * tiles > maxWorkgroups)
    return fail(where + " may have " +
                std::to_string(workgroups.count() * tiles) +
                " workgroups, expected less than 2^31");
  int64_t indirect = workgroups.indirect();
  if (indirect >= 0 &&
      (indirect % 4 != 0 ||
       uint64_t(indirect) + 4 > artifact.plan()->arena_bytes()))
    return fail(where + " reads its count at arena offset " +
                std::to_string(indirect) +
                ", expected a multiple of 4 inside the arena");
  return Status();
}

Status MeaningVerifier::verifyBinding(const schema::Binding &binding,
                                      const std::string &where) {
  const schema::Plan &plan = *artifact.plan();
  uint64_t value = binding.value();
  switch (binding.kind()) {
  case schema::BindingKind::arena:
    return checkOrdinal(where, "arena offset", value, plan.arena_bytes());
  case schema::BindingKind::weight: {
    const auto &weights = *artifact.weights();
    DSV2_RETURN_IF_ERROR(
        checkOrdinal(where, "weight", binding.index(), weights.size()));
    return checkOrdinal(where, "weight offset", value,
                        weights[binding.index()]->bytes());
  }
  case schema::BindingKind::cache:
    return checkOrdinal(where, "cache layer", binding.index(),
                        artifact.cache()->layers());
  case schema::BindingKind::batch:
    return checkOrdinal(where, "batch field", binding.index(),
                        uint64_t(schema::BatchField::MAX) + 1);
  case schema::BindingKind::constant:
    return checkOrdinal(where, "constant offset", value,
                        plan.constants() ? plan.constants()->size() : 0);
  case schema::BindingKind::logits: {
    // Lists of the best follow the logits.
    uint64_t lists = bestLogitsOffset();
    if (value == 0 || value == lists)
      return Status();
    return fail(where + " is at offset " + std::to_string(value) +
                " of the logits, expected 0" +
                (lists ? " or " + std::to_string(lists) : ""));
  }
  }
  return fail(where + " has a binding of the unknown kind " +
              std::to_string(static_cast<int>(binding.kind())));
}

Status dsv2::verifyMeaning(const schema::Artifact &artifact,
                           uint64_t weightsEnd) {
  return MeaningVerifier(artifact, weightsEnd).verify();
}
