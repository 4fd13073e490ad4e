//===- Tokenizer.cpp - Text to tokens and back ----------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/text/Tokenizer.h"

#include "runtime/text/StreamingDecoder.h"
#include "runtime/text/Utf8.h"

#include <algorithm>
#include <utility>

using namespace dsv2;

namespace {

/// Ids index arrays; this is far above any vocabulary.
constexpr int32_t maxTokenId = (1 << 22) - 1;

/// Pieces are indexed with 32 bits; no model reads a text near this size.
constexpr size_t maxTextBytes = size_t(1) << 30;

Status checkId(const char *what, int32_t id, size_t size, bool optional) {
  if ((optional && id == -1) || (id >= 0 && static_cast<size_t>(id) < size))
    return {};
  return Status(StatusCode::dataLoss,
                std::string("expected the ") + what + " token to be one of " +
                    std::to_string(size) + " ids, but it is " +
                    std::to_string(id));
}

} // namespace

Tokenizer::Tokenizer(TokenizerModel model, PreTokenizer preTokenizer,
                     AddedTokenMatcher addedTokens, BytePairEncoder encoder)
    : model(std::move(model)), preTokenizer(std::move(preTokenizer)),
      addedTokens(std::move(addedTokens)), encoder(std::move(encoder)) {}

Result<Tokenizer> Tokenizer::create(TokenizerModel model) {
  size_t size = model.vocabulary.size();
  for (const AddedToken &token : model.addedTokens) {
    if (token.id < 0 || token.id > maxTokenId)
      return Status(StatusCode::dataLoss,
                    "expected the ids of added tokens to lie between 0 and " +
                        std::to_string(maxTokenId) + ", but one is " +
                        std::to_string(token.id));
    if (size_t at = findInvalidUtf8(token.content);
        at != std::string_view::npos)
      return Status(StatusCode::dataLoss,
                    "expected added token " + std::to_string(token.id) +
                        " to be UTF-8, but it is not at byte " +
                        std::to_string(at));
    size = std::max(size, static_cast<size_t>(token.id) + 1);
  }
  DSV2_RETURN_IF_ERROR(checkId("BOS", model.bosId, size, !model.addBos));
  DSV2_RETURN_IF_ERROR(checkId("EOS", model.eosId, size, !model.addEos));
  for (int32_t id : model.stopIds)
    DSV2_RETURN_IF_ERROR(checkId("stop", id, size, /*optional=*/false));

  if (model.chatFormat > ChatFormatKind::v3)
    return Status(StatusCode::incompatible,
                  "expected a known chat format, but found number " +
                      std::to_string(static_cast<int>(model.chatFormat)) +
                      "; it may need a newer version");

  Result<PreTokenizer> preTokenizer = PreTokenizer::create(model.preTokenizer);
  if (!preTokenizer.ok())
    return preTokenizer.status();
  Result<AddedTokenMatcher> addedTokens =
      AddedTokenMatcher::create(model.addedTokens);
  if (!addedTokens.ok())
    return addedTokens.status();
  // Before the added tokens join the vocabulary: no merge makes one of them.
  Result<BytePairEncoder> encoder = BytePairEncoder::create(model);
  if (!encoder.ok())
    return encoder.status();

  model.vocabulary.resize(size);
  std::vector<bool> special(size);
  for (const AddedToken &token : model.addedTokens) {
    model.vocabulary[token.id] = token.content;
    special[token.id] = isControlToken(token);
  }
  Tokenizer tokenizer(std::move(model), *std::move(preTokenizer),
                      *std::move(addedTokens), *std::move(encoder));
  tokenizer.special = std::move(special);
  return tokenizer;
}

Status Tokenizer::encodeText(std::string_view text, RegexScratch &scratch,
                             std::vector<int32_t> &ids) const {
  std::string prefixed;
  if (model.addPrefixSpace && !text.starts_with(' ')) {
    prefixed.reserve(text.size() + 1);
    prefixed.append(" ").append(text);
    text = prefixed;
  }
  std::vector<std::string_view> pieces;
  DSV2_RETURN_IF_ERROR(preTokenizer.split(text, scratch, pieces));
  for (std::string_view piece : pieces)
    DSV2_RETURN_IF_ERROR(encoder.encode(piece, ids));
  return {};
}

Result<std::vector<int32_t>>
Tokenizer::encode(std::string_view text, const EncodeOptions &options) const {
  if (text.size() > maxTextBytes)
    return Status(StatusCode::exhausted,
                  "expected a text of at most 1 GiB, but it has " +
                      std::to_string(text.size()) +
                      " bytes; tokenize it in parts");
  if (size_t at = findInvalidUtf8(text); at != std::string_view::npos)
    return Status(StatusCode::invalidArgument,
                  "expected UTF-8 text, but byte " + std::to_string(at) +
                      " begins no whole character; convert the text to UTF-8");
  RegexScratch scratch;
  std::vector<int32_t> ids;
  if (options.addBos && model.addBos)
    ids.push_back(model.bosId);
  for (const TextSegment &segment :
       addedTokens.segment(text, options.parseSpecial, scratch)) {
    if (segment.id >= 0)
      ids.push_back(segment.id);
    else
      DSV2_RETURN_IF_ERROR(encodeText(segment.text, scratch, ids));
  }
  if (options.addBos && model.addEos)
    ids.push_back(model.eosId);
  return ids;
}

std::string Tokenizer::decode(std::span<const int32_t> ids,
                              bool skipSpecial) const {
  StreamingDecoder decoder(*this, skipSpecial);
  std::string text;
  for (int32_t id : ids)
    text += decoder.add(id);
  text += decoder.flush();
  return text;
}

std::string_view Tokenizer::idToBytes(int32_t id) const {
  if (id < 0 || static_cast<size_t>(id) >= model.vocabulary.size())
    return {};
  return model.vocabulary[id];
}

bool Tokenizer::isSpecial(int32_t id) const {
  return id >= 0 && static_cast<size_t>(id) < special.size() && special[id];
}

std::optional<int32_t>
Tokenizer::findAddedToken(std::string_view content) const {
  for (const AddedToken &token : model.addedTokens)
    if (token.content == content)
      return token.id;
  return std::nullopt;
}
