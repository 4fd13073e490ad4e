//===- TokenizerTable.cpp - The tokenizer inside an artifact --------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/artifact/TokenizerTable.h"

#include "runtime/schema/artifact_generated.h"

using namespace dsv2;

std::unique_ptr<schema::TokenizerT>
dsv2::packTokenizer(const TokenizerModel &model) {
  auto table = std::make_unique<schema::TokenizerT>();
  table->token_offsets.push_back(0);
  for (const std::string &token : model.vocabulary) {
    table->token_bytes.insert(table->token_bytes.end(), token.begin(),
                              token.end());
    table->token_offsets.push_back(
        static_cast<uint32_t>(table->token_bytes.size()));
    table->token_present.push_back(!token.empty());
  }
  for (const TokenMerge &merge : model.merges)
    table->merges.emplace_back(merge.left, merge.right, merge.merged);
  for (const AddedToken &added : model.addedTokens) {
    auto entry = std::make_unique<schema::AddedTokenT>();
    entry->id = added.id;
    entry->content = added.content;
    entry->special = added.special;
    entry->normalized = added.normalized;
    entry->lstrip = added.lstrip;
    entry->rstrip = added.rstrip;
    entry->single_word = added.singleWord;
    table->added.push_back(std::move(entry));
  }
  for (const PreTokenizerStep &step : model.preTokenizer) {
    auto entry = std::make_unique<schema::PreTokenizerStepT>();
    entry->kind = static_cast<uint8_t>(step.kind);
    entry->pattern = step.pattern;
    entry->behavior = static_cast<uint8_t>(step.behavior);
    entry->invert = step.invert;
    table->pre_tokenizer.push_back(std::move(entry));
  }
  table->add_prefix_space = model.addPrefixSpace;
  table->ignore_merges = model.ignoreMerges;
  table->add_bos = model.addBos;
  table->add_eos = model.addEos;
  table->bos = model.bosId;
  table->eos = model.eosId;
  table->chat_format = static_cast<uint8_t>(model.chatFormat);
  return table;
}

static Status malformed(const std::string &what) {
  return Status(StatusCode::dataLoss, "artifact has a malformed tokenizer: " +
                                          what + "; build it again");
}

static std::string toString(const flatbuffers::String *string) {
  return string ? string->str() : std::string();
}

static Status unpackVocabulary(const schema::Tokenizer &table,
                               TokenizerModel &model) {
  const auto *offsets = table.token_offsets();
  if (!offsets || offsets->size() == 0)
    return malformed("it has no tokens");
  size_t byteCount = table.token_bytes() ? table.token_bytes()->size() : 0;
  const auto *bytes = reinterpret_cast<const char *>(
      table.token_bytes() ? table.token_bytes()->data() : nullptr);
  size_t tokens = offsets->size() - 1;
  size_t present = table.token_present() ? table.token_present()->size() : 0;
  if (present != tokens)
    return malformed("it has " + std::to_string(tokens) + " tokens and " +
                     std::to_string(present) + " marks of their presence");
  model.vocabulary.reserve(tokens);
  for (size_t id = 0; id < tokens; ++id) {
    uint32_t begin = offsets->Get(id), end = offsets->Get(id + 1);
    if (begin > end || end > byteCount)
      return malformed("token " + std::to_string(id) +
                       " lies outside its bytes");
    if (table.token_present()->Get(id) && begin != end)
      model.vocabulary.emplace_back(bytes + begin, end - begin);
    else
      model.vocabulary.emplace_back();
  }
  return Status();
}

static Status unpackPreTokenizer(const schema::Tokenizer &table,
                                 TokenizerModel &model) {
  if (!table.pre_tokenizer())
    return Status();
  for (const schema::PreTokenizerStep *entry : *table.pre_tokenizer()) {
    if (entry->kind() > uint8_t(PreTokenizerKind::digitsGrouped) ||
        entry->behavior() > uint8_t(SplitBehavior::contiguous))
      return malformed("a pre-tokenizer step has an unknown kind");
    PreTokenizerStep step;
    step.kind = static_cast<PreTokenizerKind>(entry->kind());
    step.behavior = static_cast<SplitBehavior>(entry->behavior());
    step.invert = entry->invert();
    step.pattern = toString(entry->pattern());
    model.preTokenizer.push_back(std::move(step));
  }
  return Status();
}

Result<TokenizerModel> dsv2::unpackTokenizer(const schema::Artifact &artifact) {
  if (!artifact.tokenizer())
    return Status(StatusCode::notFound,
                  "artifact has no tokenizer; build it from a checkpoint with "
                  "a tokenizer.json, or work with token ids");
  const schema::Tokenizer &table = *artifact.tokenizer();
  TokenizerModel model;
  DSV2_RETURN_IF_ERROR(unpackVocabulary(table, model));
  DSV2_RETURN_IF_ERROR(unpackPreTokenizer(table, model));
  if (table.merges())
    for (const schema::Merge *merge : *table.merges())
      model.merges.push_back({merge->left(), merge->right(), merge->result()});
  if (table.added())
    for (const schema::AddedToken *entry : *table.added()) {
      AddedToken added;
      added.id = entry->id();
      added.content = toString(entry->content());
      added.special = entry->special();
      added.normalized = entry->normalized();
      added.lstrip = entry->lstrip();
      added.rstrip = entry->rstrip();
      added.singleWord = entry->single_word();
      model.addedTokens.push_back(std::move(added));
    }
  if (table.chat_format() > uint8_t(ChatFormatKind::v3))
    return malformed("it has an unknown chat format");
  model.addPrefixSpace = table.add_prefix_space();
  model.ignoreMerges = table.ignore_merges();
  model.addBos = table.add_bos();
  model.addEos = table.add_eos();
  model.bosId = table.bos();
  model.eosId = table.eos();
  model.chatFormat = static_cast<ChatFormatKind>(table.chat_format());
  if (artifact.model()->eos())
    model.stopIds.assign(artifact.model()->eos()->begin(),
                         artifact.model()->eos()->end());
  return model;
}
