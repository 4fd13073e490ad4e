//===- Perplexity.cpp - How well a model predicts a text ------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "tools/dsv2-run/Perplexity.h"

#include "tools/common/Format.h"

#include <algorithm>
#include <cmath>

using namespace dsv2;

std::vector<Window> dsv2::windowsOf(const std::vector<int32_t> &tokens,
                                    size_t size, int32_t bos) {
  size_t extra = bos >= 0 ? 1 : 0, step = size - extra;
  std::vector<Window> windows;
  auto add = [&](size_t first, size_t count, size_t firstCounted) {
    Window window;
    if (bos >= 0)
      window.tokens.push_back(bos);
    window.tokens.insert(window.tokens.end(), tokens.begin() + first,
                         tokens.begin() + first + count);
    window.firstCounted = firstCounted;
    windows.push_back(std::move(window));
  };
  for (size_t first = 0; step != 0 && first + step <= tokens.size();
       first += step)
    add(first, step, std::max<size_t>(size / 2, 1));
  if (windows.empty())
    add(0, tokens.size(), 1);
  return windows;
}

namespace {
/// Of each prediction that counts.
struct Predictions {
  std::vector<double> losses;
  int64_t likeliest = 0;

  /// Adds the negative logarithm of the probability of `token`.
  void add(const float *logits, int64_t vocab, int32_t token) {
    float largest = *std::max_element(logits, logits + vocab);
    double sum = 0;
    for (int64_t i = 0; i < vocab; ++i)
      sum += std::exp(static_cast<double>(logits[i] - largest));
    losses.push_back(std::log(sum) -
                     static_cast<double>(logits[token] - largest));
    likeliest += logits[token] == largest;
  }
};
} // namespace

/// Adds the predictions of a window that count.
static Status evaluate(dsv2_session_t *session, const Window &window,
                       size_t chunk, Predictions &predictions) {
  dsv2_sequence_t sequence = 0;
  DSV2_RETURN_IF_ERROR(takeStatus(dsv2_sequence_create(session, &sequence)));
  const std::vector<int32_t> &tokens = window.tokens;
  for (size_t first = 0; first < tokens.size(); first += chunk) {
    size_t count = std::min(chunk, tokens.size() - first);
    dsv2_sequence_input_t input = {sequence, tokens.data() + first, count,
                                   DSV2_LOGITS_ALL};
    dsv2_logits_t logits = {};
    DSV2_RETURN_IF_ERROR(
        takeStatus(dsv2_session_step(session, &input, 1, &logits)));
    for (size_t i = 0; i < count; ++i) {
      size_t next = first + i + 1;
      if (next < window.firstCounted || next >= tokens.size())
        continue;
      int32_t token = tokens[next];
      if (token < 0 || token >= logits.vocab)
        return Status(StatusCode::invalidArgument,
                      "token " + std::to_string(token) +
                          " is not in the vocabulary of " +
                          std::to_string(logits.vocab));
      predictions.add(logits.data + i * logits.vocab, logits.vocab, token);
    }
  }
  return takeStatus(dsv2_sequence_release(session, sequence));
}

Result<Perplexity> dsv2::measurePerplexity(LoadedModel &model,
                                           const std::vector<Window> &windows,
                                           int64_t chunk) {
  size_t longest = 0;
  for (const Window &window : windows)
    longest = std::max(longest, window.tokens.size());
  if (static_cast<int64_t>(longest) > model.info.max_context)
    return Status(StatusCode::invalidArgument,
                  "a window has " + std::to_string(longest) +
                      " tokens, but the artifact is for " +
                      std::to_string(model.info.max_context) +
                      "; compile it with a larger --max-context");
  dsv2_session_options_t sessionOptions = DSV2_SESSION_OPTIONS_INIT;
  sessionOptions.context_rows =
      static_cast<int64_t>(std::max<size_t>(longest, 1));
  dsv2_session_t *created = nullptr;
  DSV2_RETURN_IF_ERROR(takeStatus(
      dsv2_session_create(model.model.get(), &sessionOptions, &created)));
  SessionHandle session(created);

  int64_t most =
      std::min(model.info.max_batch_tokens, model.info.max_logit_rows);
  size_t step = static_cast<size_t>(chunk == 0 ? most : std::min(chunk, most));
  Predictions predictions;
  for (const Window &window : windows)
    DSV2_RETURN_IF_ERROR(evaluate(session.get(), window, step, predictions));
  const std::vector<double> &losses = predictions.losses;
  if (losses.empty())
    return Status(StatusCode::invalidArgument,
                  "--perplexity expects a text of two tokens or more");

  Perplexity result;
  result.tokens = static_cast<int64_t>(losses.size());
  auto count = static_cast<double>(losses.size());
  result.likeliest = static_cast<double>(predictions.likeliest) / count;
  for (double loss : losses)
    result.meanLoss += loss / count;
  double squares = 0;
  for (double loss : losses)
    squares += (loss - result.meanLoss) * (loss - result.meanLoss);
  if (losses.size() > 1)
    result.error = std::sqrt(squares / (count - 1) / count);
  return result;
}

std::string Perplexity::toText() const {
  return format("perplexity %.4f, mean loss %.5f +- %.5f, %.2f %% likeliest, "
                "over %lld tokens",
                std::exp(meanLoss), meanLoss, error, 100 * likeliest,
                static_cast<long long>(tokens));
}
