//===- Summary.cpp - An artifact at a glance ------------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/drivers/cpu/CpuFeatures.h"
#include "tools/common/Format.h"
#include "tools/dsv2-inspect/Sections.h"
#include "tools/dsv2-inspect/WeightParts.h"

#include <algorithm>
#include <limits>
#include <map>

using namespace dsv2;

std::string dsv2::text(const flatbuffers::String *string) {
  return string ? string->str() : "";
}

namespace {

/// The bytes of a file by what they are for.
struct Parts {
  FormatTotals weights;                        ///< by number format
  std::map<std::string, FormatTotals> classes; ///< by what they are for
  uint64_t kernels = 0, constants = 0, metadata = 0;
};

} // namespace

static Parts partsOf(const Artifact &artifact) {
  const schema::Artifact &metadata = artifact.metadata();
  Parts parts;
  parts.classes = weightParts(artifact);
  for (const auto &[part, formats] : parts.classes)
    for (const auto &[format, some] : formats) {
      FormatTotal &total = parts.weights[format];
      total.weights += some.weights;
      total.parameters += some.parameters;
      total.bytes += some.bytes;
    }
  for (const schema::KernelLibrary *library : *metadata.libraries())
    parts.kernels += library->object()->size();
  for (const schema::Kernel *kernel : *metadata.kernels())
    if (const schema::GpuKernel *gpu = kernel->gpu())
      parts.kernels +=
          gpu->ptx()->size() + (gpu->cubin() ? gpu->cubin()->size() : 0);
  if (metadata.plan()->constants())
    parts.constants = metadata.plan()->constants()->size();
  parts.metadata =
      artifact.header().metadataBytes - parts.kernels - parts.constants;
  return parts;
}

/// Whether this machine can run a library.
static bool isSupported(const schema::KernelLibrary &library) {
  return (library.features() & ~detectCpuFeatures()) == 0;
}

static bool isUnlimited(int64_t tokens) {
  return tokens == std::numeric_limits<int64_t>::max();
}

Json dsv2::summaryJson(const Artifact &artifact) {
  const schema::Artifact &metadata = artifact.metadata();
  const schema::Model &model = *metadata.model();
  const schema::Limits &limits = *metadata.limits();
  const schema::CacheLayout &cache = *metadata.cache();
  const schema::BuildInfo &build = *metadata.build();
  Parts parts = partsOf(artifact);
  Json weights = Json::array(), classes = Json::array();
  for (const auto &[format, total] : parts.weights)
    weights.push_back({{"format", format},
                       {"weights", total.weights},
                       {"parameters", total.parameters},
                       {"bytes", total.bytes}});
  for (const auto &[name, formats] : parts.classes)
    for (const auto &[format, total] : formats)
      classes.push_back({{"class", name},
                         {"format", format},
                         {"weights", total.weights},
                         {"parameters", total.parameters},
                         {"bytes", total.bytes},
                         {"bits_per_weight", total.bitsPerParameter()}});
  Json phases = Json::array();
  for (const schema::Program *program : *metadata.plan()->programs())
    phases.push_back(
        {{"name", program->name()->str()},
         {"attention", text(program->attention())},
         {"max_query_tokens", isUnlimited(program->max_query_tokens())
                                  ? Json()
                                  : Json(program->max_query_tokens())},
         {"dispatches", program->dispatches()->size()}});
  Json sets = Json::array();
  for (const schema::KernelLibrary *library : *metadata.libraries())
    sets.push_back({{"name", library->name()->str()},
                    {"features", cpuFeatureNames(library->features())},
                    {"bytes", library->object()->size()},
                    {"supported", isSupported(*library)}});
  Json gpu;
  if (metadata.gpu())
    gpu = metadata.gpu()->name()->str();
  return {
      {"file", artifact.path()},
      {"version", metadata.version()},
      {"model",
       {{"name", text(model.name())},
        {"layers", model.layers()},
        {"vocab", model.vocab()},
        {"parameters", model.parameters()},
        {"activated_parameters", model.activated_parameters()},
        {"max_position", model.max_position()},
        {"tokenizer", metadata.tokenizer() != nullptr}}},
      {"bytes",
       {{"file", artifact.fileBytes()},
        {"weights", artifact.weightBytes()},
        {"weights_present", artifact.hasWeights()},
        {"weights_by_format", weights},
        {"weights_by_class", classes},
        {"kernels", parts.kernels},
        {"constants", parts.constants},
        {"metadata", parts.metadata},
        {"arena", metadata.plan()->arena_bytes()},
        {"kv_per_token", model.kv_bytes_per_token()}}},
      {"cache",
       {{"element", schema::EnumNameElementType(cache.element())},
        {"latent", cache.latent()},
        {"rope", cache.rope()},
        {"page_size", cache.page_size()}}},
      {"limits",
       {{"max_batch_tokens", limits.max_batch_tokens()},
        {"max_sequences", limits.max_sequences()},
        {"max_context", limits.max_context()},
        {"max_logit_rows", limits.max_logit_rows()}}},
      {"phases", phases},
      {"instruction_sets", sets},
      {"gpu", gpu},
      {"build",
       {{"version", text(build.version())},
        {"target", text(build.target())},
        {"weights", text(build.weights())},
        {"quantize", text(build.quantize())}}},
  };
}

static std::string orNone(const std::string &text) {
  return text.empty() ? "none" : text;
}

/// Names and values in two columns.
static void add(std::vector<std::vector<std::string>> &rows,
                const std::string &name, const std::string &value) {
  rows.push_back({name, value});
}

static std::string phasesText(const schema::Artifact &metadata) {
  std::vector<std::vector<std::string>> rows;
  for (const schema::Program *program : *metadata.plan()->programs()) {
    std::string longest =
        isUnlimited(program->max_query_tokens())
            ? "any number of"
            : "up to " + std::to_string(program->max_query_tokens());
    rows.push_back(
        {"  " + program->name()->str(),
         orNone(text(program->attention())) + " attention",
         longest + " new tokens of a sequence",
         std::to_string(program->dispatches()->size()) + " dispatches"});
  }
  return "phases\n" + formatColumns(rows, "llll");
}

static std::string classesText(const Parts &parts) {
  std::vector<std::vector<std::string>> rows;
  for (const auto &[name, formats] : parts.classes)
    for (const auto &[format, total] : formats)
      rows.push_back(
          {"  " + name, format,
           dsv2::format("%.2f bits a weight", total.bitsPerParameter()),
           formatBytes(total.bytes)});
  return "weights\n" + formatColumns(rows, "llrr");
}

static std::string setsText(const schema::Artifact &metadata) {
  if (const schema::GpuTarget *gpu = metadata.gpu()) {
    bool assembled = std::all_of(
        metadata.kernels()->begin(), metadata.kernels()->end(),
        [](const schema::Kernel *kernel) { return kernel->gpu()->cubin(); });
    return "GPU\n" +
           formatColumns({{"  " + gpu->name()->str(),
                           assembled ? "PTX and machine code"
                                     : "PTX, compiled when it is loaded"}},
                         "ll");
  }
  std::vector<std::vector<std::string>> rows;
  for (const schema::KernelLibrary *library : *metadata.libraries())
    rows.push_back({"  " + library->name()->str(),
                    formatBytes(library->object()->size()),
                    isSupported(*library) ? "runs here" : "not on this CPU",
                    orNone(cpuFeatureNames(library->features()))});
  return "instruction sets\n" + formatColumns(rows, "lrll");
}

std::string dsv2::summaryText(const Artifact &artifact) {
  const schema::Artifact &metadata = artifact.metadata();
  const schema::Model &model = *metadata.model();
  const schema::Limits &limits = *metadata.limits();
  const schema::CacheLayout &cache = *metadata.cache();
  const schema::BuildInfo &build = *metadata.build();
  Parts parts = partsOf(artifact);
  std::vector<std::vector<std::string>> rows;
  add(rows, "model", orNone(text(model.name())));
  add(rows, "parameters",
      formatCount(model.parameters()) + " (" +
          formatCount(model.activated_parameters()) + " for each token)");
  add(rows, "layers", std::to_string(model.layers()));
  add(rows, "vocabulary",
      std::to_string(model.vocab()) +
          (metadata.tokenizer() ? "" : ", without tokenizer"));
  add(rows, "file", formatBytes(artifact.fileBytes()));
  add(rows, "  weights",
      formatBytes(artifact.weightBytes()) +
          (artifact.hasWeights() ? "" : ", not in the file"));
  for (const auto &[format, total] : parts.weights)
    add(rows, "    " + format,
        formatBytes(total.bytes) + " in " + std::to_string(total.weights) +
            ", " + formatCount(total.parameters) + " parameters");
  add(rows, "  kernels", formatBytes(parts.kernels));
  add(rows, "  constants", formatBytes(parts.constants));
  add(rows, "  metadata", formatBytes(parts.metadata));
  add(rows, "arena", formatBytes(metadata.plan()->arena_bytes()));
  add(rows, "cache",
      std::to_string(model.kv_bytes_per_token()) +
          " bytes a token: " + std::to_string(cache.layers()) + " layers of (" +
          std::to_string(cache.latent()) + " + " +
          std::to_string(cache.rope()) + ") " +
          schema::EnumNameElementType(cache.element()) + ", pages of " +
          std::to_string(cache.page_size()));
  add(rows, "limits",
      std::to_string(limits.max_context()) + " tokens of context, " +
          std::to_string(limits.max_sequences()) + " sequences, " +
          std::to_string(limits.max_batch_tokens()) + " new tokens and " +
          std::to_string(limits.max_logit_rows()) + " rows of logits a step");
  add(rows, "built",
      "by dsv2 " + orNone(text(build.version())) + " for " +
          orNone(text(build.target())) + ", weights " +
          orNone(text(build.weights())) + ", quantization " +
          orNone(text(build.quantize())));
  return formatColumns(rows, "ll") + classesText(parts) + phasesText(metadata) +
         setsText(metadata);
}
