//===- Measure.cpp - Running the tests ------------------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "tools/dsv2-bench/Measure.h"

#include "runtime/api/Handles.h"

#include <algorithm>
#include <chrono>

using namespace dsv2;
using Clock = std::chrono::steady_clock;

std::string Test::name() const {
  std::string name = prompt ? "pp" + std::to_string(prompt)
                            : "tg" + std::to_string(generation);
  if (batch > 1)
    name += " b" + std::to_string(batch);
  if (depth > 0)
    name += " @ d" + std::to_string(depth);
  return name;
}

Status Bench::check(const Test &test) const {
  const dsv2_model_info_t &info = model.info;
  auto tooMany = [&](const char *what, int64_t found, int64_t most) {
    return Status(StatusCode::invalidArgument,
                  test.name() + " needs " + std::to_string(found) + " " + what +
                      ", but the artifact was compiled for at most " +
                      std::to_string(most));
  };
  if (test.context() > info.max_context)
    return tooMany("tokens of context", test.context(), info.max_context);
  int64_t most = std::min(
      {info.max_sequences, info.max_batch_tokens, info.max_logit_rows});
  if (test.batch > most)
    return tooMany("sequences in a step", test.batch, most);
  // Of a GPU's memory, the session says itself what is missing.
  if (model.model->model->gpu())
    return Status();
  uint64_t needed = sessionBytes(info, test.batch * test.context());
  if (uint64_t available = availableMemory(); available && needed > available)
    return Status(StatusCode::exhausted,
                  test.name() + " needs " + std::to_string(needed >> 20) +
                      " MiB of memory, but " + std::to_string(available >> 20) +
                      " MiB are available");
  return Status();
}

/// Any tokens do, as long as experts are chosen evenly.
int32_t Bench::nextToken() {
  random = random * 1664525u + 1013904223u;
  return static_cast<int32_t>((uint64_t(random) * uint64_t(model.info.vocab)) >>
                              32);
}

int64_t Bench::chunk() const {
  return options.chunk ? std::min(options.chunk, model.info.max_query_tokens)
                       : model.info.max_query_tokens;
}

//===----------------------------------------------------------------------===//
// Steps and the limits around them
//===----------------------------------------------------------------------===//

/// Times steps, and measures what the machine could have done meanwhile.
struct Bench::Pace {
  /// Steps that run longer than this are compared with limits of their own.
  static constexpr double longest = 0.25;

  Pace(Bench &bench, uint64_t workingSet)
      : bench(bench), workingSet(workingSet) {}

  /// Measures the limits for the first time.
  Status begin() {
    DSV2_RETURN_IF_ERROR(measureLimits());
    before = limits.back();
    return Status();
  }

  Status step(const StepShape &shape, std::span<dsv2_sequence_input_t> inputs) {
    Clock::time_point start = Clock::now();
    DSV2_RETURN_IF_ERROR(takeStatus(dsv2_session_step(
        bench.session.get(), inputs.data(), inputs.size(), nullptr)));
    std::chrono::duration<double> taken = Clock::now() - start;
    repetition.seconds += taken.count();
    unsettled += taken.count();
    steps.push_back(shape);
    return unsettled >= longest ? settle() : Status();
  }

  /// Ends a repetition.
  Result<Repetition> finish() {
    if (!steps.empty())
      DSV2_RETURN_IF_ERROR(settle());
    return std::exchange(repetition, {});
  }

  std::vector<Limits> limits;
  ProfileCosts *profile = nullptr;

private:
  Status measureLimits() {
    Result<Limits> measured = bench.roofline.measure(workingSet);
    if (!measured.ok())
      return measured.status();
    limits.push_back(*measured);
    return Status();
  }

  Status settle() {
    DSV2_RETURN_IF_ERROR(measureLimits());
    Limits around = Limits::between(before, limits.back());
    for (StepShape &shape : steps) {
      shape.touchedExperts = bench.touchedExperts;
      repetition.bound += bench.costs.bound(shape, around);
      if (profile)
        profile->add(bench.costs, shape, around);
    }
    before = limits.back();
    steps.clear();
    unsettled = 0;
    return Status();
  }

  Bench &bench;
  const uint64_t workingSet;
  Limits before;
  double unsettled = 0;
  std::vector<StepShape> steps; ///< since the limits were measured
  Repetition repetition;
};

Status Bench::prompt(const Test &test, Pace &pace) {
  std::vector<int32_t> tokens(static_cast<size_t>(test.prompt));
  for (int32_t &token : tokens)
    token = nextToken();
  StepShape shape;
  shape.context = test.depth;
  for (int64_t done = 0; done < test.prompt; done += shape.newTokens) {
    shape.newTokens = std::min(test.prompt - done, chunk());
    shape.logitRows = done + shape.newTokens == test.prompt;
    dsv2_sequence_input_t input = {sequences[0], tokens.data() + done,
                                   static_cast<size_t>(shape.newTokens),
                                   shape.logitRows ? DSV2_LOGITS_LAST
                                                   : DSV2_LOGITS_NONE};
    DSV2_RETURN_IF_ERROR(pace.step(shape, {&input, 1}));
    shape.context += shape.newTokens;
  }
  return Status();
}

Status Bench::generate(const Test &test, Pace &pace) {
  std::vector<int32_t> next(sequences.size());
  std::vector<dsv2_sequence_input_t> inputs;
  for (size_t i = 0; i < sequences.size(); ++i)
    inputs.push_back({sequences[i], &next[i], 1, DSV2_LOGITS_LAST});
  StepShape shape = {test.batch, 1, test.depth, test.batch};
  for (int64_t step = 0; step < test.generation; ++step, ++shape.context) {
    for (int32_t &token : next)
      token = nextToken();
    DSV2_RETURN_IF_ERROR(pace.step(shape, inputs));
  }
  return Status();
}

/// The same tokens every time, so that they choose the same experts.
Status Bench::run(const Test &test, Pace &pace) {
  random = 1;
  return test.prompt > 0 ? prompt(test, pace) : generate(test, pace);
}

/// Leaves the sequences as they were before run().
Status Bench::rewind(const Test &test) {
  for (dsv2_sequence_t sequence : sequences)
    DSV2_RETURN_IF_ERROR(takeStatus(
        dsv2_sequence_truncate(session.get(), sequence, test.depth)));
  return Status();
}

Status Bench::profiled(const Test &test, Pace &pace) {
  DSV2_RETURN_IF_ERROR(takeStatus(dsv2_session_profile_start(session.get())));
  Status status = run(test, pace);
  dsv2_session_profile_stop(session.get());
  DSV2_RETURN_IF_ERROR(std::move(status));
  return rewind(test);
}

//===----------------------------------------------------------------------===//
// Tests
//===----------------------------------------------------------------------===//

/// Brings a sequence to `depth` tokens. What they are changes no time, so only
/// the first are computed, unless asked otherwise.
Status Bench::fill(dsv2_sequence_t sequence, int64_t depth) {
  const int64_t page = model.info.page_size;
  const int64_t computed = (chunk() + page - 1) / page * page;
  int64_t repeated = 0;
  if (!options.computeDepth && depth > computed)
    repeated = (depth - computed) / page;
  std::vector<int32_t> tokens(static_cast<size_t>(depth - repeated * page));
  for (int32_t &token : tokens)
    token = nextToken();
  std::span<const int32_t> left = tokens;
  auto evaluate = [&](size_t count) {
    dsv2_status_t status = dsv2_session_evaluate(
        session.get(), sequence, left.data(), count, /*chunk=*/0, nullptr);
    left = left.subspan(count);
    return takeStatus(status);
  };
  if (repeated > 0) {
    DSV2_RETURN_IF_ERROR(evaluate(static_cast<size_t>(computed)));
    DSV2_RETURN_IF_ERROR(session->session->repeatPages(sequence, repeated));
  }
  return left.empty() ? Status() : evaluate(left.size());
}

Status Bench::prepare(const Test &test) {
  dsv2_session_options_t sessionOptions = DSV2_SESSION_OPTIONS_INIT;
  int64_t page = model.info.page_size;
  sessionOptions.context_rows =
      (test.context() + page - 1) / page * page * test.batch;
  dsv2_session_t *made = nullptr;
  DSV2_RETURN_IF_ERROR(takeStatus(
      dsv2_session_create(model.model.get(), &sessionOptions, &made)));
  session.reset(made);
  sequences.resize(static_cast<size_t>(test.batch));
  for (dsv2_sequence_t &sequence : sequences) {
    DSV2_RETURN_IF_ERROR(takeStatus(dsv2_sequence_create(made, &sequence)));
    DSV2_RETURN_IF_ERROR(fill(sequence, test.depth));
  }
  return Status();
}

Result<Measurement> Bench::measure(const Test &test) {
  DSV2_RETURN_IF_ERROR(check(test));
  touchedExperts = -1;
  DSV2_RETURN_IF_ERROR(prepare(test));
  StepShape first = {test.batch,
                     test.prompt ? std::min(test.prompt, chunk()) : 1,
                     test.depth, test.batch};
  Pace pace(*this, static_cast<uint64_t>(costs.bytes(first)));
  DSV2_RETURN_IF_ERROR(pace.begin());
  if (options.warmUp) {
    DSV2_RETURN_IF_ERROR(profiled(test, pace));
    DSV2_RETURN_IF_ERROR(pace.finish().status());
    touchedExperts = dsv2::touchedExperts(costs, session.get(), first.tokens());
    // A GPU records what it launches when it first runs without a profile.
    if (model.model->model->gpu()) {
      DSV2_RETURN_IF_ERROR(run(test, pace));
      DSV2_RETURN_IF_ERROR(rewind(test));
      DSV2_RETURN_IF_ERROR(pace.finish().status());
    }
  }

  Measurement result;
  result.test = test;
  result.touchedExperts = touchedExperts;
  for (int i = 0; i < options.repetitions; ++i) {
    DSV2_RETURN_IF_ERROR(run(test, pace));
    DSV2_RETURN_IF_ERROR(rewind(test));
    Result<Repetition> repetition = pace.finish();
    if (!repetition.ok())
      return repetition.status();
    result.repetitions.push_back(*repetition);
  }
  result.limits = pace.limits;
  if (options.profile) {
    ProfileCosts costsOfDispatches;
    pace.profile = &costsOfDispatches;
    DSV2_RETURN_IF_ERROR(profiled(test, pace));
    DSV2_RETURN_IF_ERROR(pace.finish().status());
    result.profile = costsOfDispatches.rows(session.get());
  }
  session.reset();
  return result;
}
