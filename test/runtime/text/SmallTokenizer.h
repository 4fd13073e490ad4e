//===- SmallTokenizer.h - A tokenizer one can follow by hand ----*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_TEST_RUNTIME_TEXT_SMALLTOKENIZER_H
#define DSV2_TEST_RUNTIME_TEXT_SMALLTOKENIZER_H

#include "runtime/text/TokenizerModel.h"

#include <string>
#include <utility>

namespace dsv2::test {

/// Ids 0 to 255 are the bytes; 256 to 262 come from merges; control tokens
/// follow. Words take one space before them.
inline TokenizerModel smallModel() {
  TokenizerModel model;
  for (int byte = 0; byte < 256; ++byte)
    model.vocabulary.emplace_back(1, static_cast<char>(byte));
  auto merge = [&](int32_t left, int32_t right) {
    auto merged = static_cast<int32_t>(model.vocabulary.size());
    model.vocabulary.push_back(model.vocabulary[left] +
                               model.vocabulary[right]);
    model.merges.push_back({left, right, merged});
  };
  merge('l', 'l'); // 256 "ll"
  merge('h', 'e'); // 257 "he"
  merge(257, 256); // 258 "hell"
  merge(258, 'o'); // 259 "hello"
  merge(' ', 259); // 260 " hello"
  merge('a', 'a'); // 261 "aa"
  merge(261, 261); // 262 "aaaa"
  PreTokenizerStep words;
  words.pattern = " ?\\p{L}+";
  model.preTokenizer = {words};

  auto add = [&](int32_t id, std::string content, bool special) {
    AddedToken token;
    token.id = id;
    token.content = std::move(content);
    token.special = special;
    token.normalized = !special;
    model.addedTokens.push_back(token);
  };
  add(263, "<\uFF5Cbegin\uFF5C>", true);
  add(264, "<\uFF5Cend\uFF5C>", true);
  add(265, "<\uFF5CUser\uFF5C>", false);
  add(266, "<\uFF5CAssistant\uFF5C>", false);
  model.bosId = 263;
  model.eosId = 264;
  model.addBos = true;
  model.stopIds = {264};
  return model;
}

} // namespace dsv2::test

#endif // DSV2_TEST_RUNTIME_TEXT_SMALLTOKENIZER_H
