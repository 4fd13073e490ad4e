//===- TokenizerTable.h - The tokenizer inside an artifact ------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Between dsv2::TokenizerModel and the Tokenizer table of the metadata.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_RUNTIME_ARTIFACT_TOKENIZERTABLE_H
#define DSV2_RUNTIME_ARTIFACT_TOKENIZERTABLE_H

#include "runtime/base/Status.h"
#include "runtime/text/TokenizerModel.h"

#include <memory>

namespace dsv2 {

namespace schema {
struct Artifact;
struct TokenizerT;
} // namespace schema

/// For ArtifactT::tokenizer. The ids that end a generation are not part of the
/// table: they belong into ModelT::eos.
std::unique_ptr<schema::TokenizerT> packTokenizer(const TokenizerModel &model);

/// Fails when there is none, or its arrays do not fit together. `stopIds` comes
/// from the artifact's model.
Result<TokenizerModel> unpackTokenizer(const schema::Artifact &artifact);

} // namespace dsv2

#endif // DSV2_RUNTIME_ARTIFACT_TOKENIZERTABLE_H
