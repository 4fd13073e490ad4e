//===- Model.cpp - Models of the C API ------------------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/api/Handles.h"

using namespace dsv2;
using namespace dsv2::api;

/// Strings of a flatbuffer are terminated, and live as long as the model.
static const char *text(const flatbuffers::String *string) {
  return string ? string->c_str() : "";
}

dsv2_status_t dsv2_model_load(dsv2_instance_t *instance, const char *path,
                              const dsv2_model_options_t *options,
                              dsv2_model_t **out_model) {
  return guarded([&] {
    DSV2_REQUIRE(instance);
    DSV2_REQUIRE(path);
    DSV2_REQUIRE(out_model);
    dsv2_model_options_t given = DSV2_MODEL_OPTIONS_INIT;
    DSV2_RETURN_IF_ERROR(readOptions(options, given));
    ModelOptions modelOptions;
    modelOptions.verifyWeights = given.verify_weights;
    modelOptions.populate = given.populate;
    modelOptions.placement = instance->placement;
    if (given.instruction_set)
      modelOptions.instructionSet = given.instruction_set;
    Result<std::shared_ptr<const Model>> model =
        Model::load(instance->pool, path, modelOptions);
    if (!model.ok())
      return model.status();
    *out_model = new dsv2_model{*std::move(model)};
    return Status();
  });
}

void dsv2_model_release(dsv2_model_t *model) { delete model; }

dsv2_status_t dsv2_model_info(const dsv2_model_t *model,
                              dsv2_model_info_t *out_info) {
  return guarded([&] {
    DSV2_REQUIRE(model);
    DSV2_REQUIRE(out_info);
    const schema::Artifact &metadata = model->model->metadata();
    const schema::Model &about = *metadata.model();
    const schema::Limits &limits = *metadata.limits();
    const schema::BuildInfo &build = *metadata.build();
    dsv2_model_info_t info = {};
    info.name = text(about.name());
    info.config_json = text(about.config_json());
    info.instruction_set = model->model->kernelTarget();
    info.target = text(build.target());
    info.weights = text(build.weights());
    info.quantize = text(build.quantize());
    info.vocab = about.vocab();
    info.layers = about.layers();
    info.parameters = about.parameters();
    info.activated_parameters = about.activated_parameters();
    info.kv_bytes_per_token = about.kv_bytes_per_token();
    info.weight_bytes = model->model->artifact().weightBytes();
    info.arena_bytes = metadata.plan()->arena_bytes();
    info.max_position = about.max_position();
    info.page_size = metadata.cache()->page_size();
    info.bos = about.bos();
    info.eos = about.eos() ? about.eos()->data() : nullptr;
    info.eos_count = about.eos() ? about.eos()->size() : 0;
    info.max_batch_tokens = limits.max_batch_tokens();
    info.max_sequences = limits.max_sequences();
    info.max_context = limits.max_context();
    info.max_logit_rows = limits.max_logit_rows();
    info.max_query_tokens = model->model->maxQueryTokens();
    info.program_count = metadata.plan()->programs()->size();
    info.has_tokenizer = metadata.tokenizer() != nullptr;
    return writeInfo(info, out_info);
  });
}

dsv2_status_t dsv2_model_program(const dsv2_model_t *model, size_t index,
                                 dsv2_program_info_t *out_info) {
  return guarded([&] {
    DSV2_REQUIRE(model);
    DSV2_REQUIRE(out_info);
    const auto &programs = *model->model->metadata().plan()->programs();
    if (index >= programs.size())
      return Status(StatusCode::invalidArgument,
                    "program " + std::to_string(index) +
                        " does not exist, expected less than " +
                        std::to_string(programs.size()));
    const schema::Program &program =
        *programs[static_cast<flatbuffers::uoffset_t>(index)];
    dsv2_program_info_t info = {};
    info.name = text(program.name());
    info.attention = text(program.attention());
    info.max_query_tokens = program.max_query_tokens();
    info.dispatch_count = program.dispatches()->size();
    return writeInfo(info, out_info);
  });
}
