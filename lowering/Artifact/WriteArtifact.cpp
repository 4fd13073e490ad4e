//===- WriteArtifact.cpp - A plan, its kernels and weights to a file ------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/Artifact/WriteArtifact.h"

#include "dialect/CacheRow.h"
#include "lowering/Artifact/PlanTables.h"
#include "lowering/Plan/Passes.h"
#include "lowering/X86/Kernel.h"
#include "runtime/artifact/ArtifactWriter.h"
#include "runtime/artifact/TokenizerTable.h"

using namespace mlir;
using namespace mlir::dsv2;
namespace schema = ::dsv2::schema;
using ::dsv2::ArtifactWriter;
using ::dsv2::Result;
using ::dsv2::Status;
using ::dsv2::WeightSegment;

#ifndef DSV2_VERSION
#error "the build defines DSV2_VERSION"
#endif

static std::unique_ptr<schema::ModelT>
modelTable(const ArtifactContents &contents) {
  const ::dsv2::Config &config = contents.config;
  auto table = std::make_unique<schema::ModelT>();
  table->name = contents.modelName;
  table->config_json = contents.configJson;
  table->vocab = config.vocab;
  table->layers = config.layers;
  table->parameters = parameterCount(config);
  table->activated_parameters = activatedParameterCount(config);
  table->kv_bytes_per_token =
      CacheRow(contents.cache).bytes() * contents.cache.getLayers();
  table->max_position = config.maxPosition;
  if (config.bosId)
    table->bos = *config.bosId;
  table->eos.assign(config.eosIds.begin(), config.eosIds.end());
  if (contents.tokenizer)
    for (int32_t id : contents.tokenizer->stopIds)
      if (!llvm::is_contained(table->eos, id))
        table->eos.push_back(id);
  return table;
}

static std::unique_ptr<schema::LimitsT>
limitsTable(const plan::StepLimits &limits) {
  auto table = std::make_unique<schema::LimitsT>();
  table->max_batch_tokens = limits.maxBatchTokens;
  table->max_sequences = limits.maxSequences;
  table->max_context = limits.maxContext;
  table->max_logit_rows = limits.maxLogitRows;
  return table;
}

static std::unique_ptr<schema::CacheLayoutT> cacheTable(LatentCacheType cache) {
  auto table = std::make_unique<schema::CacheLayoutT>();
  CacheRow row(cache);
  table->layers = cache.getLayers();
  table->latent = cache.getLatent();
  table->rope = cache.getRope();
  table->element = row.isInt8()          ? schema::ElementType::i8
                   : row.isFp8()         ? schema::ElementType::f8e4m3
                   : row.element.isF32() ? schema::ElementType::f32
                                         : schema::ElementType::bf16;
  table->page_size = cache.getPage();
  table->row_bytes = row.bytes();
  return table;
}

/// Kernels in the order of the first library, and the libraries.
static void addKernels(const ArtifactContents &contents,
                       schema::ArtifactT &artifact, PlanOrdinals &ordinals) {
  if (contents.kernels.empty())
    return addGpuKernels(contents.gpuKernels, artifact, ordinals);
  for (const auto &[symbol, bytes] :
       contents.kernels.front().library.codeBytes) {
    ordinals.kernels[symbol] = artifact.kernels.size();
    auto table = std::make_unique<schema::KernelT>();
    table->symbol = symbol;
    table->description = symbol;
    llvm::replace(table->description, '_', ' ');
    table->code_bytes = bytes;
    artifact.kernels.push_back(std::move(table));
  }
  for (const CompiledKernels &kernels : contents.kernels) {
    auto table = std::make_unique<schema::KernelLibraryT>();
    table->name = kernels.name;
    table->features = kernels.features;
    table->object.assign(kernels.library.object.begin(),
                         kernels.library.object.end());
    artifact.libraries.push_back(std::move(table));
  }
}

static void addPlan(ModuleOp module, schema::ArtifactT &artifact,
                    PlanOrdinals &ordinals) {
  artifact.plan = std::make_unique<schema::PlanT>();
  addConstants(module, *artifact.plan, ordinals);
  for (auto program : module.getOps<plan::ProgramOp>()) {
    artifact.plan->arena_bytes = std::max<uint64_t>(artifact.plan->arena_bytes,
                                                    plan::arenaBytes(program));
    artifact.plan->programs.push_back(programTable(program, ordinals));
  }
  artifact.plan->arena_bytes =
      std::max<uint64_t>(artifact.plan->arena_bytes, plan::bufferAlignment);
}

/// Describes every weight and, with a source, writes it.
static LogicalResult
addWeights(ArrayRef<WeightOp> weights, const ::dsv2::TensorSource *source,
           unsigned threads, const WeightProgress &progress,
           ArtifactWriter &writer, schema::ArtifactT &artifact) {
  uint64_t total = 0, done = 0;
  for (WeightOp weight : weights)
    total += weightBytes(weight.getWeightType());
  for (WeightOp weight : weights) {
    RankedTensorType type = weight.getWeightType();
    auto table = std::make_unique<schema::WeightT>();
    table->name = weight.getSymName().str();
    llvm::raw_string_ostream(table->type) << type;
    table->parameters = type.getNumElements();
    table->bytes = weightBytes(type);
    if (source) {
      Status begun = writer.beginWeight();
      if (!begun.ok())
        return emitError(weight.getLoc()) << begun.message();
      if (failed(writeWeight(weight, *source, threads,
                             [&](std::span<const std::byte> bytes) {
                               return writer.append(bytes);
                             })))
        return failure();
      Result<WeightSegment> segment = writer.endWeight();
      if (!segment.ok())
        return emitError(weight.getLoc()) << segment.status().message();
      table->offset = segment->offset;
      table->hash = segment->hash;
      done += table->bytes;
      if (progress)
        progress(done, total);
    }
    artifact.weights.push_back(std::move(table));
  }
  return success();
}

FailureOr<ArtifactSummary>
mlir::dsv2::writeArtifact(ModuleOp module, const ArtifactContents &contents,
                          const ::dsv2::TensorSource *source, StringRef path,
                          unsigned threads, const WeightProgress &progress) {
  schema::ArtifactT artifact;
  artifact.model = modelTable(contents);
  artifact.limits = limitsTable(contents.limits);
  artifact.cache = cacheTable(contents.cache);
  if (contents.tokenizer)
    artifact.tokenizer = ::dsv2::packTokenizer(*contents.tokenizer);
  artifact.build = std::make_unique<schema::BuildInfoT>();
  artifact.build->version = DSV2_VERSION;
  artifact.build->target = contents.target;
  artifact.build->weights = contents.weights;
  artifact.build->quantize = contents.quantize;

  PlanOrdinals ordinals;
  ordinals.weights = boundWeights(module);
  addKernels(contents, artifact, ordinals);
  addPlan(module, artifact, ordinals);

  Result<ArtifactWriter> writer = ArtifactWriter::create(path.str());
  if (!writer.ok())
    return emitError(module.getLoc()) << writer.status().message();
  SmallVector<WeightOp> weights;
  for (const auto &entry : ordinals.weights)
    weights.push_back(entry.second);
  if (failed(addWeights(weights, source, threads, progress, *writer, artifact)))
    return failure();
  Status finished = writer->finish(artifact);
  if (!finished.ok())
    return emitError(module.getLoc()) << finished.message();

  ArtifactSummary summary;
  summary.arenaBytes = artifact.plan->arena_bytes;
  summary.weightCount = artifact.weights.size();
  for (const auto &weight : artifact.weights)
    summary.weightBytes += weight->bytes;
  return summary;
}
