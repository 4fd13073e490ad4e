//===- Measure.cpp - Running the tests ------------------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "tools/dsv2-bench/Measure.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <map>

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
  for (dsv2_sequence_t &sequence : sequences)
    DSV2_RETURN_IF_ERROR(takeStatus(dsv2_sequence_create(made, &sequence)));
  tokens.resize(static_cast<size_t>(std::max(test.prompt, test.depth)));
  for (int32_t &token : tokens)
    token = nextToken();
  return fill(test);
}

/// Brings every sequence to `depth` tokens.
Status Bench::fill(const Test &test) {
  if (test.depth == 0)
    return Status();
  for (dsv2_sequence_t sequence : sequences)
    DSV2_RETURN_IF_ERROR(takeStatus(dsv2_session_evaluate(
        session.get(), sequence, tokens.data(), static_cast<size_t>(test.depth),
        /*chunk=*/0, nullptr)));
  return Status();
}

Status Bench::generate(const Test &test) {
  std::vector<int32_t> next(sequences.size());
  std::vector<dsv2_sequence_input_t> inputs;
  for (size_t i = 0; i < sequences.size(); ++i)
    inputs.push_back({sequences[i], &next[i], 1, DSV2_LOGITS_LAST});
  dsv2_logits_t logits;
  for (int64_t step = 0; step < test.generation; ++step) {
    for (int32_t &token : next)
      token = nextToken();
    DSV2_RETURN_IF_ERROR(takeStatus(dsv2_session_step(
        session.get(), inputs.data(), inputs.size(), &logits)));
  }
  return Status();
}

/// One repetition.
Status Bench::run(const Test &test) {
  if (test.prompt > 0) {
    dsv2_logits_t logits;
    return takeStatus(
        dsv2_session_evaluate(session.get(), sequences[0], tokens.data(),
                              static_cast<size_t>(test.prompt),
                              static_cast<size_t>(chunk()), &logits));
  }
  return generate(test);
}

/// Leaves the sequences as they were before run().
Status Bench::rewind(const Test &test) {
  for (dsv2_sequence_t sequence : sequences)
    DSV2_RETURN_IF_ERROR(takeStatus(
        dsv2_sequence_truncate(session.get(), sequence, test.depth)));
  return Status();
}

double Bench::leastTime(const Test &test, const Limits &limits) const {
  double time = 0;
  StepShape shape;
  shape.context = test.depth;
  for (int64_t left = test.prompt; left > 0; left -= shape.newTokens) {
    shape.newTokens = std::min(left, chunk());
    shape.logitRows = left == shape.newTokens;
    time += costs.cost(shape).leastTime(limits);
    shape.context += shape.newTokens;
  }
  shape = {test.batch, 1, test.depth, test.batch};
  for (int64_t step = 0; step < test.generation; ++step, ++shape.context)
    time += costs.cost(shape).leastTime(limits);
  return time;
}

/// What the first step moves; the others hardly differ.
uint64_t Bench::stepBytes(const Test &test) const {
  StepShape shape = {test.batch,
                     test.prompt ? std::min(test.prompt, chunk()) : 1,
                     test.depth, test.batch};
  return static_cast<uint64_t>(costs.cost(shape).bytes);
}

static Limits average(const Limits &a, const Limits &b) {
  Limits result;
  result.readBytes = (a.readBytes + b.readBytes) / 2;
  for (size_t type = 0; type < dotTypeCount; ++type)
    result.operations[type] = (a.operations[type] + b.operations[type]) / 2;
  return result;
}

Result<Measurement> Bench::measure(const Test &test) {
  DSV2_RETURN_IF_ERROR(check(test));
  DSV2_RETURN_IF_ERROR(prepare(test));
  if (options.warmUp)
    DSV2_RETURN_IF_ERROR(run(test));
  DSV2_RETURN_IF_ERROR(rewind(test));

  Measurement result;
  result.test = test;
  uint64_t workingSet = stepBytes(test);
  result.limits.push_back(roofline.measure(workingSet));
  for (int i = 0; i < options.repetitions; ++i) {
    Clock::time_point start = Clock::now();
    DSV2_RETURN_IF_ERROR(run(test));
    std::chrono::duration<double> taken = Clock::now() - start;
    DSV2_RETURN_IF_ERROR(rewind(test));
    result.seconds.push_back(taken.count());
    result.limits.push_back(roofline.measure(workingSet));
    result.bounds.push_back(
        leastTime(test, average(result.limits[i], result.limits[i + 1])));
  }
  if (options.profile) {
    DSV2_RETURN_IF_ERROR(takeStatus(dsv2_session_profile_start(session.get())));
    DSV2_RETURN_IF_ERROR(run(test));
    dsv2_session_profile_stop(session.get());
    result.profile = collectProfile();
  }
  session.reset();
  return result;
}

/// "layers.12.q" to "layers.*.q".
static std::string withoutLayer(const std::string &label) {
  std::string result;
  for (size_t at = 0; at <= label.size();) {
    size_t dot = std::min(label.find('.', at), label.size());
    std::string part = label.substr(at, dot - at);
    bool isNumber = !part.empty() &&
                    part.find_first_not_of("0123456789") == std::string::npos;
    result += (at ? "." : "") + (isNumber ? "*" : part);
    at = dot + 1;
  }
  return result;
}

std::vector<ProfileRow> Bench::collectProfile() const {
  std::map<std::array<std::string, 3>, ProfileRow> rows;
  size_t count = dsv2_session_profile_count(session.get());
  for (size_t i = 0; i < count; ++i) {
    dsv2_profile_entry_t entry = DSV2_PROFILE_ENTRY_INIT;
    if (!takeStatus(dsv2_session_profile(session.get(), i, &entry)).ok() ||
        entry.runs == 0)
      continue;
    std::string label = withoutLayer(entry.label);
    ProfileRow &row = rows[{entry.program, entry.kernel, label}];
    row.program = entry.program;
    row.kernel = entry.kernel;
    row.label = label;
    row.runs += entry.runs;
    row.nanoseconds += entry.nanoseconds;
  }
  std::vector<ProfileRow> sorted;
  for (auto &[key, row] : rows)
    sorted.push_back(std::move(row));
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const ProfileRow &a, const ProfileRow &b) {
                     return a.nanoseconds > b.nanoseconds;
                   });
  return sorted;
}
