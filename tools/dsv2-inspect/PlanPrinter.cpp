//===- PlanPrinter.cpp - The programs of an artifact ----------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Prints programs as the plan dialect does, with arena offsets for buffers.
//
//===----------------------------------------------------------------------===//

#include "tools/dsv2-inspect/Sections.h"

#include <limits>

using namespace dsv2;
using schema::BindingKind;

static constexpr int64_t unlimited = std::numeric_limits<int64_t>::max();

static std::string withOffset(std::string name, uint64_t offset) {
  return offset == 0 ? name : name + " + " + std::to_string(offset);
}

static std::string bindingText(const schema::Artifact &metadata,
                               const schema::Binding &binding) {
  switch (binding.kind()) {
  case BindingKind::arena:
    return "arena(" + std::to_string(binding.value()) + ")";
  case BindingKind::weight:
    return "weight(" +
           withOffset(
               "@" + metadata.weights()->Get(binding.index())->name()->str(),
               binding.value()) +
           ")";
  case BindingKind::cache:
    return "cache(" + std::to_string(binding.index()) + ")";
  case BindingKind::batch:
    return std::string("batch(") +
           schema::EnumNameBatchField(
               static_cast<schema::BatchField>(binding.index())) +
           ")";
  case BindingKind::constant:
    return "constant(" + std::to_string(binding.value()) + ")";
  case BindingKind::logits:
    return withOffset("logits", binding.value());
  }
  return "unknown";
}

static std::string workgroupsText(const schema::Workgroups &groups) {
  std::string text = "<" + std::to_string(groups.count()) + " x " +
                     schema::EnumNameDim(groups.dim()) + " by " +
                     std::to_string(groups.tile());
  if (groups.indirect() >= 0)
    text += " times arena(" + std::to_string(groups.indirect()) + ")";
  return text + ">";
}

static std::string rangeText(const schema::Dispatch &dispatch) {
  if (dispatch.min_tokens() == 0 && dispatch.max_tokens() == unlimited)
    return "";
  std::string text = " {tokens from " + std::to_string(dispatch.min_tokens());
  if (dispatch.max_tokens() != unlimited)
    text += " to " + std::to_string(dispatch.max_tokens());
  return text + "}";
}

static std::string quoted(const std::string &text) {
  return Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
}

static std::string programText(const schema::Artifact &metadata,
                               const schema::Program &program) {
  std::string result = "plan.program @" + program.name()->str();
  if (program.max_query_tokens() != unlimited)
    result += " max_query_tokens " + std::to_string(program.max_query_tokens());
  if (!text(program.attention()).empty())
    result += " attention " + quoted(text(program.attention()));
  if (program.chunk_step())
    result += " chunks by " + std::to_string(program.chunk_step()) + " of " +
              std::to_string(program.chunk_rows()) + " rows";
  result += " {\n";
  bool isFirst = true;
  for (const schema::Dispatch *dispatch : *program.dispatches()) {
    if (dispatch->barrier_before() && !isFirst)
      result += "  plan.barrier\n";
    isFirst = false;
    const schema::Kernel &kernel = *metadata.kernels()->Get(dispatch->kernel());
    result +=
        dispatch->chunked() ? "  plan.dispatch chunked @" : "  plan.dispatch @";
    result += kernel.symbol()->str() + " " + quoted(text(dispatch->label())) +
              " " + workgroupsText(*dispatch->workgroups()) + " (";
    for (uint32_t i = 0; i < dispatch->bindings()->size(); ++i)
      result += (i ? ", " : "") +
                bindingText(metadata, *dispatch->bindings()->Get(i));
    result += ")" + rangeText(*dispatch) + "\n";
  }
  return result + "}\n";
}

std::string dsv2::planText(const Artifact &artifact) {
  const schema::Artifact &metadata = artifact.metadata();
  std::string result;
  for (const schema::Program *program : *metadata.plan()->programs())
    result += (result.empty() ? "" : "\n") + programText(metadata, *program);
  return result;
}

static Json dispatchJson(const schema::Artifact &metadata,
                         const schema::Dispatch &dispatch) {
  const schema::Workgroups &groups = *dispatch.workgroups();
  Json bindings = Json::array();
  for (const schema::Binding *binding : *dispatch.bindings())
    bindings.push_back(bindingText(metadata, *binding));
  Json result = {
      {"kernel", metadata.kernels()->Get(dispatch.kernel())->symbol()->str()},
      {"label", text(dispatch.label())},
      {"workgroups",
       {{"count", groups.count()},
        {"dim", schema::EnumNameDim(groups.dim())},
        {"tile", groups.tile()}}},
      {"bindings", bindings},
      {"barrier_before", dispatch.barrier_before()}};
  if (dispatch.chunked())
    result["chunked"] = true;
  if (groups.indirect() >= 0)
    result["workgroups"]["indirect"] = groups.indirect();
  if (dispatch.min_tokens() != 0)
    result["min_tokens"] = dispatch.min_tokens();
  if (dispatch.max_tokens() != unlimited)
    result["max_tokens"] = dispatch.max_tokens();
  return result;
}

Json dsv2::planJson(const Artifact &artifact) {
  const schema::Artifact &metadata = artifact.metadata();
  Json programs = Json::array();
  for (const schema::Program *program : *metadata.plan()->programs()) {
    Json dispatches = Json::array();
    for (const schema::Dispatch *dispatch : *program->dispatches())
      dispatches.push_back(dispatchJson(metadata, *dispatch));
    Json entry = {{"name", program->name()->str()},
                  {"attention", text(program->attention())}};
    if (program->chunk_step())
      entry["chunks"] = {{"step", program->chunk_step()},
                         {"rows", program->chunk_rows()}};
    if (program->max_query_tokens() != unlimited)
      entry["max_query_tokens"] = program->max_query_tokens();
    entry["dispatches"] = dispatches;
    programs.push_back(entry);
  }
  return {{"arena_bytes", metadata.plan()->arena_bytes()},
          {"programs", programs}};
}
