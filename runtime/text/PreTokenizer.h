//===- PreTokenizer.h - Splits text into pieces -----------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// The steps that cut a text into the pieces within which merges happen.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_RUNTIME_TEXT_PRETOKENIZER_H
#define DSV2_RUNTIME_TEXT_PRETOKENIZER_H

#include "runtime/base/Status.h"
#include "runtime/text/Regex.h"
#include "runtime/text/TokenizerModel.h"

#include <string_view>
#include <vector>

namespace dsv2 {

/// The compiled steps of a TokenizerModel.
class PreTokenizer {
public:
  static Result<PreTokenizer>
  create(const std::vector<PreTokenizerStep> &steps);

  /// Cuts `text`, well-formed UTF-8, into `pieces`: views of it, in order,
  /// none empty. Fails only where a pattern backtracks beyond all measure.
  Status split(std::string_view text, RegexScratch &scratch,
               std::vector<std::string_view> &pieces) const;

private:
  struct Step {
    Regex regex;
    SplitBehavior behavior;
    bool invert;
  };

  static Status apply(const Step &step, std::string_view text,
                      RegexScratch &scratch,
                      std::vector<std::string_view> &pieces);

  std::vector<Step> steps;
};

} // namespace dsv2

#endif // DSV2_RUNTIME_TEXT_PRETOKENIZER_H
