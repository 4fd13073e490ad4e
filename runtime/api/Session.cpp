//===- Session.cpp - Sessions of the C API --------------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/api/Handles.h"

using namespace dsv2;
using namespace dsv2::api;

static void write(const Logits &logits, dsv2_logits_t *out) {
  if (out)
    *out = {logits.data, logits.rows, logits.vocab};
}

dsv2_status_t dsv2_session_create(dsv2_model_t *model,
                                  const dsv2_session_options_t *options,
                                  dsv2_session_t **out_session) {
  return guarded([&] {
    DSV2_REQUIRE(model);
    DSV2_REQUIRE(out_session);
    dsv2_session_options_t given = DSV2_SESSION_OPTIONS_INIT;
    DSV2_RETURN_IF_ERROR(readOptions(options, given));
    SessionOptions sessionOptions;
    sessionOptions.contextRows = given.context_rows;
    Result<std::unique_ptr<Session>> session =
        Session::create(model->model, sessionOptions);
    if (!session.ok())
      return session.status();
    auto handle = std::make_unique<dsv2_session>();
    handle->session = *std::move(session);
    handle->inputs.reserve(model->model->metadata().limits()->max_sequences());
    *out_session = handle.release();
    return Status();
  });
}

void dsv2_session_release(dsv2_session_t *session) { delete session; }

int64_t dsv2_session_context_rows(const dsv2_session_t *session) {
  if (!session)
    return 0;
  const PagedCache &cache = session->session->cache();
  return cache.pageCount() * cache.pageSize();
}

int64_t dsv2_session_free_context_rows(const dsv2_session_t *session) {
  if (!session)
    return 0;
  const PagedCache &cache = session->session->cache();
  return cache.freePages() * cache.pageSize();
}

dsv2_status_t dsv2_sequence_create(dsv2_session_t *session,
                                   dsv2_sequence_t *out_sequence) {
  return guarded([&] {
    DSV2_REQUIRE(session);
    DSV2_REQUIRE(out_sequence);
    *out_sequence = session->session->cache().create();
    return Status();
  });
}

dsv2_status_t dsv2_sequence_release(dsv2_session_t *session,
                                    dsv2_sequence_t sequence) {
  return guarded([&] {
    DSV2_REQUIRE(session);
    return session->session->cache().release(sequence);
  });
}

dsv2_status_t dsv2_sequence_truncate(dsv2_session_t *session,
                                     dsv2_sequence_t sequence, int64_t length) {
  return guarded([&] {
    DSV2_REQUIRE(session);
    return session->session->cache().truncate(sequence, length);
  });
}

dsv2_status_t dsv2_sequence_length(const dsv2_session_t *session,
                                   dsv2_sequence_t sequence,
                                   int64_t *out_length) {
  return guarded([&] {
    DSV2_REQUIRE(session);
    DSV2_REQUIRE(out_length);
    Result<int64_t> length =
        std::as_const(*session->session).cache().length(sequence);
    if (!length.ok())
      return length.status();
    *out_length = *length;
    return Status();
  });
}

dsv2_status_t dsv2_session_step(dsv2_session_t *session,
                                const dsv2_sequence_input_t *inputs,
                                size_t input_count, dsv2_logits_t *out_logits) {
  return guarded([&] {
    DSV2_REQUIRE(session);
    DSV2_REQUIRE(inputs || input_count == 0);
    session->inputs.clear();
    for (size_t i = 0; i < input_count; ++i) {
      const dsv2_sequence_input_t &input = inputs[i];
      DSV2_REQUIRE(input.tokens || input.token_count == 0);
      if (input.logits < DSV2_LOGITS_NONE || input.logits > DSV2_LOGITS_ALL)
        return Status(StatusCode::invalidArgument,
                      "logits mode is " + std::to_string(input.logits) +
                          ", expected DSV2_LOGITS_NONE, _LAST or _ALL");
      session->inputs.push_back({input.sequence,
                                 {input.tokens, input.token_count},
                                 static_cast<LogitsMode>(input.logits)});
    }
    Result<Logits> logits = session->session->step(
        session->inputs, /*leavesLogits=*/out_logits == nullptr);
    if (!logits.ok())
      return logits.status();
    write(*logits, out_logits);
    return Status();
  });
}

dsv2_status_t dsv2_session_evaluate(dsv2_session_t *session,
                                    dsv2_sequence_t sequence,
                                    const int32_t *tokens, size_t token_count,
                                    size_t chunk, dsv2_logits_t *out_logits) {
  return guarded([&] {
    DSV2_REQUIRE(session);
    DSV2_REQUIRE(tokens || token_count == 0);
    Result<Logits> logits = session->session->evaluate(
        sequence, {tokens, token_count},
        static_cast<int64_t>(std::min<size_t>(chunk, INT32_MAX)),
        /*leavesLogits=*/out_logits == nullptr);
    if (!logits.ok())
      return logits.status();
    write(*logits, out_logits);
    return Status();
  });
}

dsv2_status_t dsv2_session_profile_start(dsv2_session_t *session) {
  return guarded([&] {
    DSV2_REQUIRE(session);
    session->session->runner().startProfile();
    return Status();
  });
}

void dsv2_session_profile_stop(dsv2_session_t *session) {
  if (session)
    session->session->runner().stopProfile();
}

size_t dsv2_session_profile_count(const dsv2_session_t *session) {
  size_t count = 0;
  if (session)
    for (const schema::Program *program :
         *session->session->model().metadata().plan()->programs())
      count += program->dispatches()->size();
  return count;
}

dsv2_status_t dsv2_session_profile(const dsv2_session_t *session, size_t index,
                                   dsv2_profile_entry_t *out_entry) {
  return guarded([&] {
    DSV2_REQUIRE(session);
    DSV2_REQUIRE(out_entry);
    const Session &owner = *session->session;
    const schema::Artifact &metadata = owner.model().metadata();
    const auto &programs = *metadata.plan()->programs();
    size_t left = index;
    for (flatbuffers::uoffset_t p = 0; p < programs.size(); ++p) {
      const auto &dispatches = *programs[p]->dispatches();
      if (left >= dispatches.size()) {
        left -= dispatches.size();
        continue;
      }
      const schema::Dispatch &dispatch =
          *dispatches[static_cast<flatbuffers::uoffset_t>(left)];
      const schema::Kernel &kernel =
          *metadata.kernels()->Get(dispatch.kernel());
      const auto &times = owner.runner().profile(p);
      DispatchProfile time = times.empty() ? DispatchProfile() : times[left];
      auto text = [](const flatbuffers::String *string) {
        return string ? string->c_str() : "";
      };
      dsv2_profile_entry_t entry = {};
      entry.program = text(programs[p]->name());
      entry.label = text(dispatch.label());
      entry.kernel = text(kernel.symbol());
      entry.description = text(kernel.description());
      entry.runs = time.runs;
      entry.nanoseconds = time.nanoseconds;
      entry.workgroups = time.workgroups;
      return writeInfo(entry, out_entry);
    }
    return Status(StatusCode::invalidArgument,
                  "profile entry " + std::to_string(index) +
                      " does not exist, expected less than " +
                      std::to_string(dsv2_session_profile_count(session)));
  });
}
