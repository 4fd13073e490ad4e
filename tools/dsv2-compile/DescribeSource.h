//===- DescribeSource.h - What an artifact keeps of its source --*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_TOOLS_DSV2_COMPILE_DESCRIBESOURCE_H
#define DSV2_TOOLS_DSV2_COMPILE_DESCRIBESOURCE_H

#include "lowering/Artifact/WriteArtifact.h"
#include "models/builder/ImportModel.h"

namespace mlir::dsv2 {

/// Sets the name, the config as its author wrote it, and the tokenizer.
::dsv2::Status describeSource(const ModelSource &source,
                              ArtifactContents &contents);

} // namespace mlir::dsv2

#endif // DSV2_TOOLS_DSV2_COMPILE_DESCRIBESOURCE_H
