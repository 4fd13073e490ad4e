//===- ToyArtifact.cpp - Small artifacts for tests ------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "test/runtime/support/ToyArtifact.h"

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

using namespace dsv2;
using namespace dsv2::test;
using schema::BatchField;
using schema::BindingKind;
using schema::Dim;
using schema::Workgroups;

schema::Binding test::arenaAt(uint64_t offset) {
  return {BindingKind::arena, 0, offset};
}
schema::Binding test::weightAt(uint32_t index) {
  return {BindingKind::weight, index, 0};
}
schema::Binding test::cacheOf(uint32_t layer) {
  return {BindingKind::cache, layer, 0};
}
schema::Binding test::batch(BatchField field) {
  return {BindingKind::batch, static_cast<uint32_t>(field), 0};
}
schema::Binding test::constantAt(uint64_t offset) {
  return {BindingKind::constant, 0, offset};
}
schema::Binding test::logitsBinding() { return {BindingKind::logits, 0, 0}; }

std::unique_ptr<schema::DispatchT>
test::makeDispatch(ToyKernel kernel, Workgroups workgroups,
                   std::initializer_list<schema::Binding> bindings,
                   bool barrier) {
  auto dispatch = std::make_unique<schema::DispatchT>();
  dispatch->kernel = static_cast<uint32_t>(kernel);
  dispatch->workgroups = std::make_unique<Workgroups>(workgroups);
  dispatch->bindings = bindings;
  dispatch->barrier_before = barrier;
  return dispatch;
}

static std::unique_ptr<schema::ProgramT> makeProgram(const char *name,
                                                     int64_t maxQueryTokens) {
  auto program = std::make_unique<schema::ProgramT>();
  program->name = name;
  program->max_query_tokens = maxQueryTokens;
  const Workgroups perToken(1, 1, -1, Dim::tokens);
  program->dispatches.push_back(
      makeDispatch(ToyKernel::append, perToken,
                   {batch(BatchField::tokens), batch(BatchField::positions),
                    batch(BatchField::cache_rows), cacheOf(1)}));
  if (maxQueryTokens == 1)
    program->dispatches.push_back(makeDispatch(
        ToyKernel::sumPages, perToken,
        {batch(BatchField::positions), batch(BatchField::token_sequence),
         batch(BatchField::page_table), batch(BatchField::context_lengths),
         batch(BatchField::query_offsets), cacheOf(1), arenaAt(64)}));
  else
    program->dispatches.push_back(makeDispatch(
        ToyKernel::sumContext, perToken,
        {batch(BatchField::positions), batch(BatchField::token_sequence),
         batch(BatchField::context_rows), batch(BatchField::context_sequence),
         batch(BatchField::context_position),
         batch(BatchField::context_offsets), cacheOf(1), arenaAt(64)}));
  program->dispatches.push_back(
      makeDispatch(ToyKernel::logits, {toyVocab / 8, 1, -1, Dim::logit_rows},
                   {batch(BatchField::logit_rows), arenaAt(64), weightAt(0),
                    constantAt(64), logitsBinding()}));
  program->dispatches.back()->label = "lm_head";
  return program;
}

schema::ArtifactT test::toyMetadata() {
  schema::ArtifactT artifact;
  artifact.model = std::make_unique<schema::ModelT>();
  artifact.model->name = "toy";
  artifact.model->vocab = toyVocab;
  artifact.model->layers = 2;
  artifact.model->parameters = toyVocab;
  artifact.model->max_position = toyMaxContext;
  artifact.model->bos = 1;
  artifact.model->eos = {2};
  artifact.limits = std::make_unique<schema::LimitsT>();
  artifact.limits->max_batch_tokens = toyMaxBatch;
  artifact.limits->max_sequences = toyMaxSequences;
  artifact.limits->max_context = toyMaxContext;
  artifact.limits->max_logit_rows = toyMaxLogitRows;
  artifact.cache = std::make_unique<schema::CacheLayoutT>();
  artifact.cache->layers = 2;
  artifact.cache->latent = 1;
  artifact.cache->rope = 1;
  artifact.cache->element = schema::ElementType::f32;
  artifact.cache->page_size = toyPageSize;
  artifact.cache->row_bytes = 8;

  std::string object = readFile(DSV2_TOY_KERNELS);
  artifact.libraries.push_back(std::make_unique<schema::KernelLibraryT>());
  artifact.libraries[0]->name = "reference";
  artifact.libraries[0]->object.assign(object.begin(), object.end());
  for (const char *symbol :
       {"toy_append", "toy_sum_pages", "toy_sum_context", "toy_logits",
        "toy_mix", "toy_count", "toy_first_token"}) {
    artifact.kernels.push_back(std::make_unique<schema::KernelT>());
    artifact.kernels.back()->symbol = symbol;
  }

  artifact.plan = std::make_unique<schema::PlanT>();
  artifact.plan->arena_bytes = 1 << 16;
  artifact.plan->constants.resize(128);
  artifact.plan->programs.push_back(makeProgram("decode", 1));
  artifact.plan->programs.push_back(makeProgram("prefill", toyMaxBatch));

  artifact.weights.push_back(std::make_unique<schema::WeightT>());
  artifact.weights[0]->name = "head";
  artifact.weights[0]->type = "tensor<32xf32>";
  artifact.weights[0]->bytes = toyVocab * sizeof(float);
  artifact.build = std::make_unique<schema::BuildInfoT>();
  artifact.build->target = "toy";
  return artifact;
}

std::vector<float> test::toyWeight() {
  std::vector<float> weight(toyVocab);
  for (int64_t id = 0; id < toyVocab; ++id)
    weight[id] = static_cast<float>(id * 7 % toyVocab);
  return weight;
}

Status test::writeToy(const std::string &path,
                      const std::function<void(schema::ArtifactT &)> &change) {
  Result<ArtifactWriter> writer = ArtifactWriter::create(path);
  if (!writer.ok())
    return writer.status();
  schema::ArtifactT metadata = toyMetadata();
  std::vector<float> weight = toyWeight();
  Result<WeightSegment> segment =
      writer->addWeight(std::as_bytes(std::span(weight)));
  if (!segment.ok())
    return segment.status();
  metadata.weights[0]->offset = segment->offset;
  metadata.weights[0]->bytes = segment->bytes;
  metadata.weights[0]->hash = segment->hash;
  if (change)
    change(metadata);
  return writer->finish(metadata);
}

std::vector<float> test::toyLogits(const std::vector<int32_t> &tokens) {
  float sum = 0;
  for (size_t position = 0; position < tokens.size(); ++position)
    sum +=
        static_cast<float>(tokens[position]) * static_cast<float>(position + 1);
  std::vector<float> logits = toyWeight();
  for (float &logit : logits)
    logit += sum + 1; // exp(0)
  return logits;
}

TemporaryDirectory::TemporaryDirectory() {
  std::string pattern =
      (std::filesystem::temp_directory_path() / "dsv2-test-XXXXXX").string();
  if (char *made = ::mkdtemp(pattern.data()))
    directory = made;
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  if (!directory.empty())
    std::filesystem::remove_all(directory, ignored);
}

std::string test::readFile(const std::string &path) {
  std::ifstream stream(path, std::ios::binary);
  std::stringstream contents;
  contents << stream.rdbuf();
  return contents.str();
}

void test::writeFile(const std::string &path, const std::string &contents) {
  std::ofstream(path, std::ios::binary) << contents;
}
