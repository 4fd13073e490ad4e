//===- Tables.cpp - Weights, kernels, memory and texts of an artifact -----===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/base/LogitCandidate.h"
#include "runtime/text/TokenizerModel.h"
#include "tools/common/Format.h"
#include "tools/common/WeightType.h"
#include "tools/dsv2-inspect/Sections.h"

#include <algorithm>

using namespace dsv2;

using Rows = std::vector<std::vector<std::string>>;

//===----------------------------------------------------------------------===//
// Weights
//===----------------------------------------------------------------------===//

Json dsv2::weightsJson(const Artifact &artifact) {
  Json weights = Json::array();
  for (const schema::Weight *weight : *artifact.metadata().weights()) {
    std::string type = weight->type()->str();
    weights.push_back(
        {{"name", weight->name()->str()},
         {"type", type},
         {"format", parseWeightType(type).format},
         {"parameters", weight->parameters()},
         {"bytes", weight->bytes()},
         {"offset", weight->offset()},
         {"hash", format("%016llx", static_cast<long long>(weight->hash()))}});
  }
  return weights;
}

std::string dsv2::weightsText(const Artifact &artifact) {
  Rows rows = {{"weight", "bytes", "offset", "type"}};
  for (const schema::Weight *weight : *artifact.metadata().weights())
    rows.push_back({weight->name()->str(), std::to_string(weight->bytes()),
                    std::to_string(weight->offset()), weight->type()->str()});
  return formatColumns(rows, "lrrl");
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

namespace {
struct Memory {
  int64_t context, sequences, cacheRows;
  uint64_t weights, arena, cache, logits;
  uint64_t session() const { return arena + cache + logits; }
};
} // namespace

static Memory memoryOf(const Artifact &artifact, const MemoryRequest &request) {
  const schema::Artifact &metadata = artifact.metadata();
  const schema::Limits &limits = *metadata.limits();
  const schema::CacheLayout &cache = *metadata.cache();
  Memory memory;
  memory.context = request.context ? request.context : limits.max_context();
  memory.sequences = request.sequences;
  int64_t page = cache.page_size();
  memory.cacheRows =
      (memory.context + page - 1) / page * page * memory.sequences;
  memory.weights = artifact.weightBytes();
  memory.arena = metadata.plan()->arena_bytes();
  memory.cache = static_cast<uint64_t>(memory.cacheRows) * cache.layers() *
                 cache.row_bytes();
  memory.logits = static_cast<uint64_t>(limits.max_logit_rows() *
                                        metadata.model()->vocab()) *
                  sizeof(float);
  if (uint64_t most = metadata.gpu() ? metadata.gpu()->best_logits() : 0)
    memory.logits = LogitCandidates::totalBytes(
        limits.max_logit_rows(), metadata.model()->vocab(), most);
  return memory;
}

Json dsv2::memoryJson(const Artifact &artifact, const MemoryRequest &request) {
  Memory memory = memoryOf(artifact, request);
  return {{"context", memory.context},      {"sequences", memory.sequences},
          {"cache_rows", memory.cacheRows}, {"weights", memory.weights},
          {"arena", memory.arena},          {"cache", memory.cache},
          {"logits", memory.logits},        {"session", memory.session()}};
}

std::string dsv2::memoryText(const Artifact &artifact,
                             const MemoryRequest &request) {
  Memory memory = memoryOf(artifact, request);
  Rows rows = {{"weights", formatBytes(memory.weights),
                artifact.metadata().gpu() ? "copied to the GPU, shared"
                                          : "mapped, shared"},
               {"arena", formatBytes(memory.arena), "for each session"},
               {"cache", formatBytes(memory.cache),
                std::to_string(memory.sequences) + " sequences of " +
                    std::to_string(memory.context) + " tokens"},
               {"logits", formatBytes(memory.logits), "for each session"},
               {"session", formatBytes(memory.session()),
                "arena, cache and logits; taken when used"}};
  return formatColumns(rows, "lrl");
}

//===----------------------------------------------------------------------===//
// Config and tokenizer
//===----------------------------------------------------------------------===//

Json dsv2::configJson(const Artifact &artifact) {
  std::string config = text(artifact.metadata().model()->config_json());
  Json parsed = Json::parse(config, nullptr, /*allow_exceptions=*/false);
  return parsed.is_discarded() ? Json(config) : parsed;
}

std::string dsv2::configText(const Artifact &artifact) {
  std::string config = text(artifact.metadata().model()->config_json());
  if (config.empty())
    return "the artifact has no config\n";
  return config.back() == '\n' ? config : config + "\n";
}

static const char *chatFormatName(uint8_t kind) {
  switch (static_cast<ChatFormatKind>(kind)) {
  case ChatFormatKind::none:
    return "none";
  case ChatFormatKind::raw:
    return "raw";
  case ChatFormatKind::v2Chat:
    return "v2";
  case ChatFormatKind::v25:
    return "v2.5";
  case ChatFormatKind::v3:
    return "v3";
  }
  return "unknown";
}

template <typename T>
static uint64_t sizeOf(const T *vector) {
  return vector ? vector->size() : 0;
}

Json dsv2::tokenizerJson(const Artifact &artifact) {
  const schema::Tokenizer *tokenizer = artifact.metadata().tokenizer();
  if (!tokenizer)
    return Json();
  uint64_t tokens = 0;
  if (tokenizer->token_present())
    tokens = static_cast<uint64_t>(std::count_if(
        tokenizer->token_present()->begin(), tokenizer->token_present()->end(),
        [](bool present) { return present; }));
  Json added = Json::array(), steps = Json::array(), eos = Json::array();
  if (tokenizer->added())
    for (const schema::AddedToken *token : *tokenizer->added())
      added.push_back({{"id", token->id()},
                       {"content", text(token->content())},
                       {"special", token->special()}});
  if (tokenizer->pre_tokenizer())
    for (const schema::PreTokenizerStep *step : *tokenizer->pre_tokenizer())
      steps.push_back(text(step->pattern()));
  if (artifact.metadata().model()->eos())
    for (int32_t id : *artifact.metadata().model()->eos())
      eos.push_back(id);
  return {{"tokens", tokens},
          {"merges", sizeOf(tokenizer->merges())},
          {"bos", tokenizer->bos()},
          {"eos", tokenizer->eos()},
          {"ends_generation", eos},
          {"add_bos", tokenizer->add_bos()},
          {"add_eos", tokenizer->add_eos()},
          {"chat_format", chatFormatName(tokenizer->chat_format())},
          {"pre_tokenizer", steps},
          {"added_tokens", added}};
}

std::string dsv2::tokenizerText(const Artifact &artifact) {
  Json tokenizer = tokenizerJson(artifact);
  if (tokenizer.is_null())
    return "the artifact has no tokenizer\n";
  // Patterns may hold bytes that are not UTF-8.
  auto shown = [](const Json &value) {
    return value.is_string()
               ? value.get<std::string>()
               : value.dump(-1, ' ', false, Json::error_handler_t::replace);
  };
  Rows rows;
  for (const auto &[name, value] : tokenizer.items())
    if (!value.is_array())
      rows.push_back({name, shown(value)});
    else
      for (const Json &entry : value)
        rows.push_back({name, shown(entry)});
  return formatColumns(rows, "ll");
}
