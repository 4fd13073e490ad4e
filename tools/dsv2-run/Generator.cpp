//===- Generator.cpp - One sequence that grows token by token -------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "tools/dsv2-run/Generator.h"

#include "tools/dsv2-run/Interrupt.h"

#include <algorithm>
#include <limits>

using namespace dsv2;
using Clock = std::chrono::steady_clock;

Result<Generator> Generator::create(LoadedModel &model,
                                    const RunOptions &options,
                                    int64_t samplerVocab,
                                    std::vector<int32_t> stopIds) {
  const dsv2_model_info_t &info = model.info;
  Generator generator;
  generator.context = options.context ? options.context : info.max_context;
  if (generator.context > info.max_context)
    return Status(StatusCode::invalidArgument,
                  "--ctx is " + std::to_string(generator.context) +
                      ", but the artifact was compiled for at most " +
                      std::to_string(info.max_context) +
                      " tokens; lower it, or compile with a longer context");
  generator.chunk = info.max_query_tokens;
  if (options.chunk)
    generator.chunk = std::min(generator.chunk, options.chunk);
  if (!options.logitsPath.empty()) {
    generator.chunk = std::min(generator.chunk, info.max_logit_rows);
    Result<NpyWriter> file = NpyWriter::create(options.logitsPath, info.vocab);
    if (!file.ok())
      return file.status();
    generator.logitsFile = *std::move(file);
  }
  generator.limit = options.limit;
  generator.ignoreEos = options.ignoreEos;
  generator.stopIds = std::move(stopIds);

  dsv2_session_options_t sessionOptions = DSV2_SESSION_OPTIONS_INIT;
  sessionOptions.context_rows = generator.context;
  dsv2_session_t *session = nullptr;
  DSV2_RETURN_IF_ERROR(takeStatus(
      dsv2_session_create(model.model.get(), &sessionOptions, &session)));
  generator.session.reset(session);
  DSV2_RETURN_IF_ERROR(
      takeStatus(dsv2_sequence_create(session, &generator.sequence)));

  dsv2_sampler_options_t samplerOptions = options.sampler;
  samplerOptions.vocab = samplerVocab;
  dsv2_sampler_t *sampler = nullptr;
  DSV2_RETURN_IF_ERROR(
      takeStatus(dsv2_sampler_create(&samplerOptions, &sampler)));
  generator.sampler.reset(sampler);
  return generator;
}

bool Generator::isStop(int32_t token) const {
  return std::find(stopIds.begin(), stopIds.end(), token) != stopIds.end();
}

Status Generator::step(std::span<const int32_t> tokens, bool isLast) {
  dsv2_logits_mode_t mode = logitsFile ? DSV2_LOGITS_ALL
                            : isLast   ? DSV2_LOGITS_LAST
                                       : DSV2_LOGITS_NONE;
  dsv2_sequence_input_t input = {sequence, tokens.data(), tokens.size(), mode};
  // What is only sampled from stays where it was computed.
  bool reads = logitsFile || ignoreEos;
  DSV2_RETURN_IF_ERROR(takeStatus(
      dsv2_session_step(session.get(), &input, 1, reads ? &logits : nullptr)));
  lastRow =
      mode == DSV2_LOGITS_ALL ? static_cast<int64_t>(tokens.size()) - 1 : 0;
  if (logitsFile)
    DSV2_RETURN_IF_ERROR(logitsFile->append(
        {logits.data, static_cast<size_t>(logits.rows * logits.vocab)}));
  return Status();
}

/// Leaves the rest of the tokens when it is interrupted.
Status Generator::evaluate(std::span<const int32_t> tokens) {
  Clock::time_point start = Clock::now();
  while (!tokens.empty() && !InterruptScope::interrupted()) {
    size_t count = std::min(tokens.size(), static_cast<size_t>(chunk));
    DSV2_RETURN_IF_ERROR(step(tokens.first(count), count == tokens.size()));
    length += static_cast<int64_t>(count);
    prompts.tokens += static_cast<int64_t>(count);
    tokens = tokens.subspan(count);
  }
  prompts.time += Clock::now() - start;
  return Status();
}

Result<int32_t> Generator::sample() {
  int32_t token = 0;
  if (!ignoreEos) {
    DSV2_RETURN_IF_ERROR(takeStatus(
        dsv2_session_sample(session.get(), lastRow, sampler.get(), &token)));
    return token;
  }
  const float *row = logits.data + lastRow * logits.vocab;
  maskedLogits.assign(row, row + logits.vocab);
  for (int32_t id : stopIds)
    if (id >= 0 && id < logits.vocab)
      maskedLogits[id] = -std::numeric_limits<float>::infinity();
  DSV2_RETURN_IF_ERROR(takeStatus(dsv2_sampler_sample(
      sampler.get(), maskedLogits.data(), logits.vocab, &token)));
  return token;
}

Result<Finish> Generator::generate(std::span<const int32_t> prompt,
                                   const std::function<Status(int32_t)> &take) {
  std::vector<int32_t> tokens;
  if (pending)
    tokens.push_back(*pending);
  tokens.insert(tokens.end(), prompt.begin(), prompt.end());
  auto count = static_cast<int64_t>(tokens.size());
  if (count == 0)
    return Status(StatusCode::invalidArgument,
                  "the prompt is empty, expected at least one token");
  if (count > context - length) {
    std::string holds = "the context holds " + std::to_string(context);
    if (length > 0)
      holds += ", of which " + std::to_string(length) + " are taken";
    return Status(StatusCode::exhausted,
                  "the prompt has " + std::to_string(count) + " tokens, but " +
                      holds + "; shorten it or raise --ctx");
  }

  int64_t before = length;
  Status fed = evaluate(tokens);
  if (!fed.ok() || InterruptScope::interrupted()) {
    // A conversation goes on as if the message had not been sent.
    length = before;
    DSV2_RETURN_IF_ERROR(
        takeStatus(dsv2_sequence_truncate(session.get(), sequence, length)));
    if (!fed.ok())
      return fed;
    return Finish::interrupted;
  }
  pending.reset();
  DSV2_RETURN_IF_ERROR(takeStatus(
      dsv2_sampler_accept(sampler.get(), prompt.data(), prompt.size())));

  for (int64_t made = 0; limit < 0 || made < limit; ++made) {
    if (made > 0) {
      if (length == context)
        return Finish::contextFull;
      if (InterruptScope::interrupted())
        return Finish::interrupted;
      Clock::time_point start = Clock::now();
      DSV2_RETURN_IF_ERROR(step({&*pending, 1}, true));
      generated.time += Clock::now() - start;
      ++generated.tokens;
      ++length;
      pending.reset();
    }
    Clock::time_point start = Clock::now();
    Result<int32_t> token = sample();
    generated.time += Clock::now() - start;
    if (!token.ok())
      return token.status();
    if (isStop(*token))
      return Finish::stop;
    DSV2_RETURN_IF_ERROR(take(*token));
    pending = *token;
  }
  return Finish::limit;
}

Status Generator::reset() {
  pending.reset();
  length = 0;
  dsv2_sampler_reset(sampler.get());
  return takeStatus(dsv2_sequence_truncate(session.get(), sequence, 0));
}

Status Generator::finishLogits() {
  return logitsFile ? logitsFile->commit() : Status();
}
