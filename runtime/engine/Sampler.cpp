//===- Sampler.cpp - Choosing a token from logits -------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/engine/Sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

using namespace dsv2;

static constexpr float minusInfinity = -std::numeric_limits<float>::infinity();

static float withoutNaN(float logit) {
  return std::isnan(logit) ? minusInfinity : logit;
}

Result<Sampler> Sampler::create(const SamplerOptions &options) {
  auto invalid = [](const char *what, auto found, const char *expected) {
    return Status(StatusCode::invalidArgument, std::string(what) + " is " +
                                                   std::to_string(found) +
                                                   ", expected " + expected);
  };
  if (!std::isfinite(options.temperature))
    return invalid("temperature", options.temperature, "a finite number");
  if (std::isnan(options.topP))
    return invalid("top-p", options.topP, "a number");
  if (std::isnan(options.minP) || options.minP > 1)
    return invalid("min-p", options.minP, "at most 1");
  if (!std::isfinite(options.repeatPenalty) || options.repeatPenalty <= 0)
    return invalid("repeat penalty", options.repeatPenalty,
                   "a positive number");
  if (options.repeatWindow < -1)
    return invalid("repeat window", options.repeatWindow, "-1 or more tokens");
  if (options.vocab < 0)
    return invalid("vocabulary of the sampler", options.vocab, "0 or more");
  return Sampler(options);
}

void Sampler::accept(int32_t token) {
  size_t window = static_cast<size_t>(settings.repeatWindow);
  if (settings.repeatWindow < 0 || recent.size() < window) {
    recent.push_back(token);
  } else if (window != 0) {
    recent[oldest] = token;
    oldest = (oldest + 1) % window;
  }
}

void Sampler::reset() {
  draws = 0;
  recent.clear();
  oldest = 0;
}

/// The largest number of an array, or minus infinity; NaN is none. In lanes, so
/// that the compiler uses vectors.
static float largestOf(const float *values, size_t count) {
  constexpr size_t lanes = 16;
  float most[lanes];
  std::fill_n(most, lanes, minusInfinity);
  size_t i = 0;
  for (; i + lanes <= count; i += lanes)
    for (size_t lane = 0; lane < lanes; ++lane)
      most[lane] =
          values[i + lane] > most[lane] ? values[i + lane] : most[lane];
  for (; i < count; ++i)
    most[0] = values[i] > most[0] ? values[i] : most[0];
  return *std::max_element(most, most + lanes);
}

Result<int32_t> Sampler::sample(std::span<const float> logits) {
  if (settings.vocab != 0)
    logits = logits.first(
        std::min(logits.size(), static_cast<size_t>(settings.vocab)));
  logits = penalize(logits);
  largest = largestOf(logits.data(), logits.size());
  if (largest == minusInfinity)
    return Status(StatusCode::invalidArgument,
                  "cannot sample: none of " + std::to_string(logits.size()) +
                      " logits is a number above minus infinity");

  int32_t chosen = 0;
  if (settings.temperature > 0 && std::isfinite(largest)) {
    if (settings.topK > 0 && static_cast<size_t>(settings.topK) < logits.size())
      takeTopK(logits, static_cast<size_t>(settings.topK));
    else
      takeAll(logits);
    keepTopP();
    keepMinP();
    chosen = draw();
  } else {
    chosen = static_cast<int32_t>(
        std::find(logits.begin(), logits.end(), largest) - logits.begin());
  }
  accept(chosen);
  return chosen;
}

std::optional<int32_t> Sampler::sampleBest(std::span<const LogitCandidate> best,
                                           int64_t vocab) {
  if (settings.vocab != 0)
    vocab = std::min(vocab, settings.vocab);
  // A penalty below 1 would lift tokens that are not listed.
  bool isGreedy = settings.temperature <= 0;
  if (best.empty() || settings.repeatPenalty < 1 ||
      (!isGreedy && (settings.topK <= 0 || settings.topK >= vocab)))
    return std::nullopt;
  size_t needed = isGreedy ? 1 : static_cast<size_t>(settings.topK);
  // What is not listed is worse than the last of the list, penalized or not.
  Candidate last = {withoutNaN(best.back().logit), best.back().id};
  candidates.clear();
  for (const LogitCandidate &each : best) {
    bool isRecent =
        settings.repeatPenalty != 1.0f &&
        std::find(recent.begin(), recent.end(), each.id) != recent.end();
    Candidate candidate = {
        withoutNaN(isRecent ? lowered(each.logit) : each.logit), each.id};
    if (each.id < vocab && !better(last, candidate))
      candidates.push_back(candidate);
  }
  if (candidates.size() < needed)
    return std::nullopt;
  std::sort(candidates.begin(), candidates.end(), better);
  candidates.resize(needed);
  sorted = needed;
  largest = candidates.front().logit;
  if (largest == minusInfinity)
    return std::nullopt;
  int32_t chosen = candidates.front().id;
  if (!isGreedy && std::isfinite(largest)) {
    keepTopP();
    keepMinP();
    chosen = draw();
  }
  accept(chosen);
  return chosen;
}

/// Makes positive logits smaller and negative ones more negative, once for each
/// token of the window; in a copy.
std::span<const float> Sampler::penalize(std::span<const float> logits) {
  if (settings.repeatPenalty == 1.0f || recent.empty())
    return logits;
  penalized.assign(logits.begin(), logits.end());
  for (int32_t token : recent) {
    if (token < 0 || static_cast<size_t>(token) >= logits.size())
      continue;
    penalized[token] = lowered(logits[token]);
  }
  return penalized;
}

float Sampler::lowered(float logit) const {
  return logit > 0 ? logit / settings.repeatPenalty
                   : logit * settings.repeatPenalty;
}

void Sampler::takeAll(std::span<const float> logits) {
  candidates.resize(logits.size());
  for (size_t id = 0; id < logits.size(); ++id)
    candidates[id] = {withoutNaN(logits[id]), static_cast<int32_t>(id)};
  sorted = 0;
}

/// Takes the `keep` best, in order. They are a heap with the worst on top; a
/// block of logits none of which is better is passed over as a whole.
void Sampler::takeTopK(std::span<const float> logits, size_t keep) {
  candidates.clear();
  auto add = [&](size_t id) {
    candidates.push_back({withoutNaN(logits[id]), static_cast<int32_t>(id)});
  };
  size_t id = 0;
  for (; id < keep; ++id)
    add(id);
  std::make_heap(candidates.begin(), candidates.end(), better);
  constexpr size_t blockSize = 64;
  while (id < logits.size()) {
    size_t end = std::min(id + blockSize, logits.size());
    if (!(largestOf(&logits[id], end - id) > candidates.front().logit)) {
      id = end;
      continue;
    }
    for (; id < end; ++id) {
      if (!(logits[id] > candidates.front().logit))
        continue;
      std::pop_heap(candidates.begin(), candidates.end(), better);
      candidates.pop_back();
      add(id);
      std::push_heap(candidates.begin(), candidates.end(), better);
    }
  }
  std::sort_heap(candidates.begin(), candidates.end(), better);
  sorted = keep;
}

/// Keeps the most likely candidates that together reach the probability.
void Sampler::keepTopP() {
  if (settings.topP >= 1)
    return;
  double total = 0;
  for (const Candidate &candidate : candidates)
    total += std::exp(double(candidate.logit) - largest);
  double reached = 0;
  size_t keep = 0;
  do {
    // Only as many as needed are put into order.
    constexpr size_t firstBlock = 256;
    if (keep == sorted) {
      size_t next =
          std::min(candidates.size(), std::max(firstBlock, 2 * sorted));
      std::partial_sort(candidates.begin() + keep, candidates.begin() + next,
                        candidates.end(), better);
      sorted = next;
    }
    reached += std::exp(double(candidates[keep++].logit) - largest);
  } while (reached < settings.topP * total && keep < candidates.size());
  candidates.resize(keep);
}

void Sampler::keepMinP() {
  if (settings.minP <= 0)
    return;
  // The best one stays whatever the rounding: its difference is 0.
  float least = largest + std::log(settings.minP);
  std::erase_if(candidates, [&](const Candidate &candidate) {
    return candidate.logit < least;
  });
}

int32_t Sampler::draw() {
  auto weight = [&](const Candidate &candidate) {
    return std::exp((double(candidate.logit) - largest) / settings.temperature);
  };
  double total = 0;
  for (const Candidate &candidate : candidates)
    total += weight(candidate);
  double left = nextUniform() * total;
  int32_t chosen = candidates.front().id;
  for (const Candidate &candidate : candidates) {
    double share = weight(candidate);
    if (share == 0)
      continue;
    chosen = candidate.id;
    left -= share;
    if (left < 0)
      break;
  }
  return chosen;
}

/// The splitmix64 sequence: the n-th number depends on the seed and n alone.
double Sampler::nextUniform() {
  uint64_t x = settings.seed + ++draws * 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  x ^= x >> 31;
  return static_cast<double>(x >> 11) * 0x1p-53;
}
