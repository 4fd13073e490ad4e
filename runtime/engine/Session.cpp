//===- Session.cpp - Sequences, their cache, and steps --------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/engine/Session.h"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

using namespace dsv2;

static Status invalid(std::string message) {
  return Status(StatusCode::invalidArgument, std::move(message));
}

/// "`what` is `found`, expected at most `limit`".
static Status tooMany(const char *what, int64_t found, int64_t limit) {
  return invalid(std::string(what) + ": found " + std::to_string(found) +
                 ", expected at most " + std::to_string(limit) +
                 "; split the batch, or build the artifact for larger ones");
}

ExecutorBuffers Session::Memory::buffers() const {
  ExecutorBuffers buffers;
  buffers.arena = arena.data();
  buffers.cache = cache.data();
  buffers.cachePlaneBytes = cachePlaneBytes;
  buffers.batch = batch.arrays();
  buffers.logits = reinterpret_cast<float *>(logits.data());
  return buffers;
}

Result<Session::Memory> Session::allocate(const Model &model,
                                          const SessionOptions &options) {
  const schema::Artifact &metadata = model.metadata();
  const schema::Limits &limits = *metadata.limits();
  const schema::CacheLayout &layout = *metadata.cache();
  const int64_t pageSize = layout.page_size();
  // Rows are numbered by int32.
  const int64_t maxPages = std::numeric_limits<int32_t>::max() / pageSize;
  if (options.contextRows < 0 || options.contextRows > maxPages * pageSize)
    return invalid("context_rows is " + std::to_string(options.contextRows) +
                   ", expected 0 to " + std::to_string(maxPages * pageSize));
  int64_t pages = (options.contextRows + pageSize - 1) / pageSize;
  if (options.contextRows == 0) {
    int64_t pagesPerSequence = (limits.max_context() + pageSize - 1) / pageSize;
    pages = std::min(limits.max_sequences() * pagesPerSequence, maxPages);
  }

  Memory memory;
  memory.pages = pages;
  memory.cachePlaneBytes = uint64_t(pages) * pageSize * layout.row_bytes();
  auto allocate = [&](LargeBuffer &buffer, uint64_t bytes, const char *what) {
    Result<LargeBuffer> result = LargeBuffer::allocate(bytes, what);
    if (!result.ok())
      return result.status();
    buffer = *std::move(result);
    model.placement().apply(buffer.data(), buffer.size());
    return Status();
  };
  // On a GPU these belong to its executor.
  if (!model.gpu()) {
    DSV2_RETURN_IF_ERROR(allocate(memory.arena, metadata.plan()->arena_bytes(),
                                  "the working memory"));
    DSV2_RETURN_IF_ERROR(allocate(memory.cache,
                                  memory.cachePlaneBytes * layout.layers(),
                                  "the cache; ask for fewer context rows"));
  }
  DSV2_RETURN_IF_ERROR(allocate(memory.logits,
                                uint64_t(limits.max_logit_rows()) *
                                    metadata.model()->vocab() * sizeof(float),
                                "the logits"));
  Result<BatchBuilder> batch = BatchBuilder::create(limits, pageSize);
  if (!batch.ok())
    return batch.status();
  memory.batch = *std::move(batch);
  return memory;
}

Result<std::unique_ptr<StepRunner>> Session::makeRunner(const Model &model,
                                                        const Memory &memory) {
  if (!model.gpu())
    return std::unique_ptr<StepRunner>(std::make_unique<Executor>(
        model.artifact(), *model.kernels(), model.threads(), memory.buffers()));
  cuda::HostBuffers host;
  for (size_t field = 0; field < batchFieldCount; ++field)
    host.batch[field] = memory.batch.arrays()[field];
  host.capacity = memory.batch.sizes();
  host.logits = reinterpret_cast<float *>(memory.logits.data());
  Result<std::unique_ptr<cuda::CudaExecutor>> made = cuda::CudaExecutor::create(
      model.artifact(), model.gpu(),
      memory.pages * model.metadata().cache()->page_size(), host);
  if (!made.ok())
    return made.status();
  return std::unique_ptr<StepRunner>(*std::move(made));
}

Result<std::unique_ptr<Session>>
Session::create(std::shared_ptr<const Model> model,
                const SessionOptions &options) {
  Result<Memory> memory = allocate(*model, options);
  if (!memory.ok())
    return memory.status();
  Result<std::unique_ptr<StepRunner>> engine = makeRunner(*model, *memory);
  if (!engine.ok())
    return engine.status();
  return std::unique_ptr<Session>(
      new Session(std::move(model), *std::move(memory), *std::move(engine)));
}

Session::Session(std::shared_ptr<const Model> model, Memory taken,
                 std::unique_ptr<StepRunner> runner)
    : owner(std::move(model)), memory(std::move(taken)),
      pages(memory.pages, owner->metadata().cache()->page_size(),
            owner->metadata().limits()->max_context()),
      engine(std::move(runner)), maxQueryTokens(owner->maxQueryTokens()) {
  for (const schema::Program *program : *owner->metadata().plan()->programs()) {
    Phase phase;
    phase.maxQueryTokens = program->max_query_tokens();
    for (const schema::Dispatch *dispatch : *program->dispatches())
      for (const schema::Binding *binding : *dispatch->bindings())
        phase.needContext |=
            binding->kind() == schema::BindingKind::batch &&
            (binding->index() == uint32_t(schema::BatchField::context_rows) ||
             binding->index() ==
                 uint32_t(schema::BatchField::context_sequence) ||
             binding->index() ==
                 uint32_t(schema::BatchField::context_position));
    phases.push_back(phase);
  }
}

Status Session::checkTokens(SequenceId sequence,
                            std::span<const int32_t> tokens,
                            int64_t length) const {
  const schema::Artifact &metadata = owner->metadata();
  if (tokens.empty())
    return invalid("sequence " + std::to_string(sequence) +
                   " has no new tokens, expected at least one");
  int64_t count = static_cast<int64_t>(tokens.size());
  int64_t maxContext = metadata.limits()->max_context();
  if (count > maxContext - length)
    return Status(StatusCode::exhausted,
                  "context is full: sequence " + std::to_string(sequence) +
                      " has " + std::to_string(length) + " tokens and " +
                      std::to_string(count) + " new ones, expected at most " +
                      std::to_string(maxContext) +
                      "; truncate it, or build the artifact with a larger "
                      "--max-context");
  int64_t vocab = metadata.model()->vocab();
  for (int32_t token : tokens)
    if (token < 0 || token >= vocab)
      return invalid("token id is " + std::to_string(token) +
                     ", expected 0 to " + std::to_string(vocab - 1));
  return Status();
}

Status Session::checkPages(int64_t needed) const {
  if (needed <= pages.freePages())
    return Status();
  return Status(StatusCode::exhausted,
                "cache is full: " + std::to_string(needed) + " more pages of " +
                    std::to_string(pages.pageSize()) + " tokens are needed, " +
                    std::to_string(pages.freePages()) + " of " +
                    std::to_string(pages.pageCount()) +
                    " are free; release or truncate sequences, or create the "
                    "session with more context rows");
}

Status Session::check(std::span<const SequenceInput> inputs) {
  const schema::Limits &limits = *owner->metadata().limits();
  if (inputs.empty())
    return invalid("the batch has no sequence, expected at least one");
  int64_t count = static_cast<int64_t>(inputs.size());
  if (count > limits.max_sequences())
    return tooMany("sequences in a step", count, limits.max_sequences());

  ++steps;
  int64_t tokens = 0, logitRows = 0, needed = 0;
  for (const SequenceInput &input : inputs) {
    PagedCache::Sequence *sequence = pages.find(input.sequence);
    if (!sequence)
      return invalid("sequence " + std::to_string(input.sequence) +
                     " does not exist in this session; create one first");
    if (std::exchange(sequence->mark, steps) == steps)
      return invalid("sequence " + std::to_string(input.sequence) +
                     " is in the batch twice, expected once; join its tokens");
    DSV2_RETURN_IF_ERROR(
        checkTokens(input.sequence, input.tokens, sequence->length));
    int64_t query = static_cast<int64_t>(input.tokens.size());
    if (query > maxQueryTokens)
      return tooMany("new tokens of a sequence", query, maxQueryTokens);
    tokens += query;
    logitRows += input.logitRows();
    needed += pages.pagesNeeded(*sequence, query);
  }
  if (tokens > limits.max_batch_tokens())
    return tooMany("new tokens in a step", tokens, limits.max_batch_tokens());
  if (logitRows > limits.max_logit_rows())
    return tooMany("rows of logits", logitRows, limits.max_logit_rows());
  return checkPages(needed);
}

Result<Logits> Session::step(std::span<const SequenceInput> inputs,
                             bool leavesLogits) {
  DSV2_RETURN_IF_ERROR(check(inputs));
  last = {};
  int64_t longest = 0;
  for (const SequenceInput &input : inputs) {
    int64_t query = static_cast<int64_t>(input.tokens.size());
    pages.grow(*pages.find(input.sequence), query);
    longest = std::max(longest, query);
  }
  size_t phase = 0;
  while (phases[phase].maxQueryTokens < longest)
    ++phase;
  StepSizes sizes =
      memory.batch.build(inputs, pages, phases[phase].needContext);
  sizes.leavesLogits = leavesLogits;
  if (Status ran = engine->step(phase, sizes); !ran.ok()) {
    // The sequences are what they were; what the step wrote lies behind them.
    for (const SequenceInput &input : inputs) {
      int64_t length = pages.find(input.sequence)->length;
      DSV2_RETURN_IF_ERROR(pages.truncate(
          input.sequence, length - static_cast<int64_t>(input.tokens.size())));
    }
    return ran;
  }
  last = Logits{reinterpret_cast<const float *>(memory.logits.data()),
                sizes.logitRows, owner->metadata().model()->vocab()};
  isLeft = leavesLogits;
  return last;
}

Result<int32_t> Session::sample(Sampler &sampler, int64_t row) {
  if (row < 0 || row >= last.rows)
    return invalid("row of logits is " + std::to_string(row) +
                   ", expected one of the " + std::to_string(last.rows) +
                   " that the last step computed");
  if (isLeft) {
    if (std::optional<int32_t> token =
            sampler.sampleBest(engine->bestLogits(row), last.vocab))
      return *token;
    DSV2_RETURN_IF_ERROR(engine->fetchLogits(row));
  }
  return sampler.sample(last.row(row));
}

Result<Logits> Session::evaluate(SequenceId id, std::span<const int32_t> tokens,
                                 int64_t chunk, bool leavesLogits) {
  const PagedCache::Sequence *sequence = pages.find(id);
  if (!sequence)
    return invalid("sequence " + std::to_string(id) +
                   " does not exist in this session; create one first");
  if (chunk < 0)
    return invalid("chunk is " + std::to_string(chunk) +
                   ", expected 0 or more tokens");
  // Checked as a whole, so that no chunk fails after others have run.
  DSV2_RETURN_IF_ERROR(checkTokens(id, tokens, sequence->length));
  DSV2_RETURN_IF_ERROR(checkPages(
      pages.pagesNeeded(*sequence, static_cast<int64_t>(tokens.size()))));
  if (chunk == 0 || chunk > maxQueryTokens)
    chunk = maxQueryTokens;
  const int64_t before = sequence->length;
  for (;;) {
    size_t count = std::min<size_t>(tokens.size(), chunk);
    bool isLast = count == tokens.size();
    SequenceInput input{id, tokens.first(count),
                        isLast ? LogitsMode::last : LogitsMode::none};
    Result<Logits> logits = step(std::span(&input, 1), leavesLogits);
    if (!logits.ok())
      DSV2_RETURN_IF_ERROR(pages.truncate(id, before));
    if (isLast || !logits.ok())
      return logits;
    tokens = tokens.subspan(count);
  }
}

Status Session::repeatPages(SequenceId id, int64_t count) {
  PagedCache::Sequence *sequence = pages.find(id);
  const int64_t pageSize = pages.pageSize();
  if (!sequence || sequence->length == 0 || sequence->length % pageSize != 0)
    return invalid("sequence " + std::to_string(id) +
                   " cannot be repeated, expected one of whole pages");
  int64_t most = (pages.maxContext() - sequence->length) / pageSize;
  if (count < 0 || count > most)
    return tooMany("pages to repeat", count, most);
  DSV2_RETURN_IF_ERROR(checkPages(count));
  const size_t given = sequence->pages.size();
  pages.grow(*sequence, count * pageSize);
  for (size_t i = given; i < sequence->pages.size(); ++i)
    DSV2_RETURN_IF_ERROR(
        engine->copyPage(sequence->pages[i], sequence->pages[i % given]));
  return Status();
}
