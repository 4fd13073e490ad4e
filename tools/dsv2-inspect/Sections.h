//===- Sections.h - What dsv2-inspect shows ---------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Each section of the output as text for people and as JSON for programs.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_TOOLS_INSPECT_SECTIONS_H
#define DSV2_TOOLS_INSPECT_SECTIONS_H

#include "runtime/artifact/Artifact.h"

#include <nlohmann/json.hpp>

#include <string>

namespace dsv2 {

using Json = nlohmann::ordered_json;

/// A session to show the memory of; 0: what the artifact allows.
struct MemoryRequest {
  int64_t context = 0;
  int64_t sequences = 1;
};

Json summaryJson(const Artifact &artifact);
std::string summaryText(const Artifact &artifact);

Json weightsJson(const Artifact &artifact);
std::string weightsText(const Artifact &artifact);

Json kernelsJson(const Artifact &artifact);
std::string kernelsText(const Artifact &artifact);

Json memoryJson(const Artifact &artifact, const MemoryRequest &request);
std::string memoryText(const Artifact &artifact, const MemoryRequest &request);

Json planJson(const Artifact &artifact);
std::string planText(const Artifact &artifact);

Json configJson(const Artifact &artifact);
std::string configText(const Artifact &artifact);

Json tokenizerJson(const Artifact &artifact);
std::string tokenizerText(const Artifact &artifact);

/// "" for an absent string.
std::string text(const flatbuffers::String *string);

} // namespace dsv2

#endif // DSV2_TOOLS_INSPECT_SECTIONS_H
