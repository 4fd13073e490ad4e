//===- Perplexity.h - How well a model predicts a text ----------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_TOOLS_RUN_PERPLEXITY_H
#define DSV2_TOOLS_RUN_PERPLEXITY_H

#include "tools/common/RuntimeTool.h"

#include <cstdint>
#include <string>
#include <vector>

namespace dsv2 {

/// Tokens that are evaluated by themselves. Predictions of tokens before
/// `firstCounted` do not count.
struct Window {
  std::vector<int32_t> tokens;
  size_t firstCounted = 1;
};

/// Each whole window of `size` tokens, of which the second half counts, so that
/// no token is predicted from next to nothing. A text that fills none is one
/// window, which counts as a whole. Windows begin with `bos`, unless that is
/// negative.
std::vector<Window> windowsOf(const std::vector<int32_t> &tokens, size_t size,
                              int32_t bos);

struct Perplexity {
  int64_t tokens = 0; ///< predictions that count
  double meanLoss = 0;
  double error = 0;     ///< standard error of the mean
  double likeliest = 0; ///< share of the tokens that had the best logit

  std::string toText() const;
};

/// Evaluates the windows, `chunk` tokens a step at most (0: as many as a step
/// may hold).
Result<Perplexity> measurePerplexity(LoadedModel &model,
                                     const std::vector<Window> &windows,
                                     int64_t chunk);

} // namespace dsv2

#endif // DSV2_TOOLS_RUN_PERPLEXITY_H
