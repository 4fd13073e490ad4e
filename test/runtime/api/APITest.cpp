//===- APITest.cpp - The C API --------------------------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/artifact/TokenizerTable.h"
#include "test/runtime/support/ToyArtifact.h"

#include <dsv2/dsv2.h>
#include <gtest/gtest.h>

#include <thread>

using namespace dsv2;
using namespace dsv2::test;

extern "C" int loadInC(const char *path);

namespace {

using Ints = std::vector<int32_t>;

void expectOk(dsv2_status_t status) {
  EXPECT_EQ(status, nullptr) << dsv2_status_message(status);
  dsv2_status_release(status);
}

void expectFails(dsv2_status_t status, dsv2_status_code_t code,
                 const char *message) {
  ASSERT_NE(status, nullptr) << "expected: " << message;
  EXPECT_EQ(dsv2_status_code(status), code);
  EXPECT_NE(std::string(dsv2_status_message(status)).find(message),
            std::string::npos)
      << dsv2_status_message(status);
  dsv2_status_release(status);
}

TokenizerModel byteTokenizer() {
  TokenizerModel model;
  // All bytes would do; these are enough for the test.
  model.vocabulary = {"<bos>", "<eos>", "a", "b", " ", "ab", "\xc3", "\xa9"};
  model.merges = {{2, 3, 5}};
  model.addedTokens.push_back({0, "<bos>", true, false, false, false, false});
  model.addedTokens.push_back({1, "<eos>", true, false, false, false, false});
  model.bosId = 0;
  model.eosId = 1;
  model.addBos = true;
  model.stopIds = {1};
  model.chatFormat = ChatFormatKind::raw;
  return model;
}

class APITest : public testing::Test {
protected:
  void SetUp() override {
    path = directory.path("toy.dsv2");
    Status written = writeToy(path, [](schema::ArtifactT &artifact) {
      artifact.tokenizer = packTokenizer(byteTokenizer());
      artifact.model->eos = {1};
    });
    ASSERT_TRUE(written.ok()) << written.message();
    dsv2_instance_options_t options = DSV2_INSTANCE_OPTIONS_INIT;
    options.threads = 2;
    expectOk(dsv2_instance_create(&options, &instance));
    expectOk(dsv2_model_load(instance, path.c_str(), nullptr, &model));
    expectOk(dsv2_session_create(model, nullptr, &session));
  }
  void TearDown() override {
    // In the order that shows that handles share ownership.
    dsv2_instance_release(instance);
    dsv2_model_release(model);
    dsv2_session_release(session);
  }

  static void expectLogits(const dsv2_logits_t &logits, const Ints &tokens) {
    ASSERT_EQ(logits.rows, 1);
    ASSERT_EQ(logits.vocab, toyVocab);
    EXPECT_EQ(std::vector<float>(logits.data, logits.data + toyVocab),
              toyLogits(tokens));
  }

  TemporaryDirectory directory;
  std::string path;
  dsv2_instance_t *instance = nullptr;
  dsv2_model_t *model = nullptr;
  dsv2_session_t *session = nullptr;
};

} // namespace

TEST_F(APITest, WorksFromC) {
  EXPECT_EQ(loadInC(path.c_str()), DSV2_OK);
  EXPECT_EQ(loadInC("/no/such/file.dsv2"), DSV2_NOT_FOUND);
}

TEST_F(APITest, Info) {
  EXPECT_STREQ(dsv2_version(), "0.1.0");
  EXPECT_EQ(dsv2_instance_threads(instance), 2);
  dsv2_model_info_t info = DSV2_MODEL_INFO_INIT;
  expectOk(dsv2_model_info(model, &info));
  EXPECT_STREQ(info.name, "toy");
  EXPECT_STREQ(info.instruction_set, "reference");
  EXPECT_STREQ(info.target, "toy");
  EXPECT_STREQ(info.quantize, "");
  EXPECT_EQ(info.vocab, toyVocab);
  EXPECT_EQ(info.layers, 2);
  EXPECT_EQ(info.weight_bytes, toyVocab * sizeof(float));
  EXPECT_EQ(info.page_size, toyPageSize);
  EXPECT_EQ(info.bos, 1);
  ASSERT_EQ(info.eos_count, 1u);
  EXPECT_EQ(info.eos[0], 1);
  EXPECT_EQ(info.max_batch_tokens, toyMaxBatch);
  EXPECT_EQ(info.max_query_tokens, toyMaxBatch);
  EXPECT_TRUE(info.has_tokenizer);
  ASSERT_EQ(info.program_count, 2u);
  dsv2_program_info_t program = DSV2_PROGRAM_INFO_INIT;
  expectOk(dsv2_model_program(model, 1, &program));
  EXPECT_STREQ(program.name, "prefill");
  EXPECT_EQ(program.dispatch_count, 3u);
  expectFails(dsv2_model_program(model, 2, &program), DSV2_INVALID_ARGUMENT,
              "program 2");
}

/// A caller built against an older header has shorter structs.
TEST_F(APITest, OlderStructs) {
  dsv2_model_info_t info = DSV2_MODEL_INFO_INIT;
  info.struct_size = offsetof(dsv2_model_info_t, config_json);
  const char untouched = 0;
  info.config_json = &untouched;
  expectOk(dsv2_model_info(model, &info));
  EXPECT_STREQ(info.name, "toy");
  EXPECT_EQ(info.config_json, &untouched);
  info.struct_size = 0;
  expectFails(dsv2_model_info(model, &info), DSV2_INVALID_ARGUMENT,
              "struct_size");
  dsv2_session_options_t options = {};
  dsv2_session_t *other = nullptr;
  expectFails(dsv2_session_create(model, &options, &other),
              DSV2_INVALID_ARGUMENT, "struct_size");
  EXPECT_EQ(other, nullptr);
}

TEST_F(APITest, StepsAndSequences) {
  dsv2_sequence_t a, b;
  expectOk(dsv2_sequence_create(session, &a));
  expectOk(dsv2_sequence_create(session, &b));
  int64_t rows = dsv2_session_context_rows(session);
  EXPECT_EQ(dsv2_session_free_context_rows(session), rows);

  Ints prompt = {3, 1, 4, 1, 5};
  dsv2_logits_t logits;
  expectOk(dsv2_session_evaluate(session, a, prompt.data(), prompt.size(), 2,
                                 &logits));
  expectLogits(logits, prompt);
  EXPECT_EQ(dsv2_session_free_context_rows(session), rows - 2 * toyPageSize);

  int32_t one = 7;
  dsv2_sequence_input_t inputs[] = {{b, prompt.data(), 2, DSV2_LOGITS_NONE},
                                    {a, &one, 1, DSV2_LOGITS_LAST}};
  expectOk(dsv2_session_step(session, inputs, 2, &logits));
  expectLogits(logits, {3, 1, 4, 1, 5, 7});
  int64_t length;
  expectOk(dsv2_sequence_length(session, b, &length));
  EXPECT_EQ(length, 2);

  expectOk(dsv2_sequence_truncate(session, a, 1));
  inputs[0] = {a, &one, 1, DSV2_LOGITS_LAST};
  expectOk(dsv2_session_step(session, inputs, 1, &logits));
  expectLogits(logits, {3, 7});
  expectOk(dsv2_session_step(session, inputs, 1, nullptr));

  expectFails(dsv2_session_step(session, nullptr, 0, &logits),
              DSV2_INVALID_ARGUMENT, "no sequence");
  inputs[0].logits = static_cast<dsv2_logits_mode_t>(9);
  expectFails(dsv2_session_step(session, inputs, 1, &logits),
              DSV2_INVALID_ARGUMENT, "logits mode is 9");
  inputs[0] = {a, nullptr, 1, DSV2_LOGITS_LAST};
  expectFails(dsv2_session_step(session, inputs, 1, &logits),
              DSV2_INVALID_ARGUMENT, "NULL");
  expectOk(dsv2_sequence_release(session, a));
  expectOk(dsv2_sequence_release(session, b));
  EXPECT_EQ(dsv2_session_free_context_rows(session), rows);
  expectFails(dsv2_sequence_release(session, a), DSV2_INVALID_ARGUMENT,
              "does not exist");
}

TEST_F(APITest, SessionsOfOneInstanceInSeveralThreads) {
  auto work = [&](int32_t seed) {
    dsv2_session_t *own = nullptr;
    expectOk(dsv2_session_create(model, nullptr, &own));
    dsv2_sequence_t sequence;
    expectOk(dsv2_sequence_create(own, &sequence));
    Ints history;
    for (int i = 0; i < 60; ++i) {
      history.push_back((seed * 5 + i) % toyVocab);
      dsv2_sequence_input_t input = {sequence, &history.back(), 1,
                                     DSV2_LOGITS_LAST};
      dsv2_logits_t logits;
      expectOk(dsv2_session_step(own, &input, 1, &logits));
      expectLogits(logits, history);
    }
    dsv2_session_release(own);
  };
  std::thread first(work, 1), second(work, 2);
  work(3);
  first.join();
  second.join();
}

TEST_F(APITest, Profile) {
  EXPECT_EQ(dsv2_session_profile_count(session), 6u);
  expectOk(dsv2_session_profile_start(session));
  dsv2_sequence_t sequence;
  expectOk(dsv2_sequence_create(session, &sequence));
  Ints prompt = {1, 2, 3};
  expectOk(
      dsv2_session_evaluate(session, sequence, prompt.data(), 3, 0, nullptr));
  dsv2_session_profile_stop(session);
  dsv2_profile_entry_t entry = DSV2_PROFILE_ENTRY_INIT;
  expectOk(dsv2_session_profile(session, 5, &entry));
  EXPECT_STREQ(entry.program, "prefill");
  EXPECT_STREQ(entry.label, "lm_head");
  EXPECT_STREQ(entry.kernel, "toy_logits");
  EXPECT_EQ(entry.runs, 1u);
  EXPECT_EQ(entry.workgroups, 4u);
  expectFails(dsv2_session_profile(session, 6, &entry), DSV2_INVALID_ARGUMENT,
              "profile entry 6");
}

TEST_F(APITest, Sampler) {
  dsv2_sampler_options_t options = DSV2_SAMPLER_OPTIONS_INIT;
  options.temperature = 0;
  dsv2_sampler_t *sampler = nullptr;
  expectOk(dsv2_sampler_create(&options, &sampler));
  float logits[] = {0, 2, 1};
  int32_t token = -1;
  expectOk(dsv2_sampler_sample(sampler, logits, 3, &token));
  EXPECT_EQ(token, 1);
  expectFails(dsv2_sampler_sample(sampler, logits, 0, &token),
              DSV2_INVALID_ARGUMENT, "vocab is 0");
  expectOk(dsv2_sampler_accept(sampler, &token, 1));
  dsv2_sampler_reset(sampler);
  dsv2_sampler_release(sampler);
  options.repeat_penalty = -1;
  expectFails(dsv2_sampler_create(&options, &sampler), DSV2_INVALID_ARGUMENT,
              "repeat penalty");
}

TEST_F(APITest, SamplesFromTheLastStep) {
  dsv2_sampler_options_t options = DSV2_SAMPLER_OPTIONS_INIT;
  options.temperature = 0;
  dsv2_sampler_t *sampler = nullptr;
  expectOk(dsv2_sampler_create(&options, &sampler));
  dsv2_sequence_t sequence;
  expectOk(dsv2_sequence_create(session, &sequence));
  int32_t token = -1, expected = -1;
  expectFails(dsv2_session_sample(session, 0, sampler, &token),
              DSV2_INVALID_ARGUMENT, "expected one of the 0");
  Ints prompt = {1, 2, 3};
  dsv2_sequence_input_t input = {sequence, prompt.data(), 3, DSV2_LOGITS_ALL};
  dsv2_logits_t logits;
  expectOk(dsv2_session_step(session, &input, 1, &logits));
  for (int64_t row = 0; row < 3; ++row) {
    expectOk(dsv2_sampler_sample(sampler, logits.data + row * logits.vocab,
                                 logits.vocab, &expected));
    expectOk(dsv2_session_sample(session, row, sampler, &token));
    EXPECT_EQ(token, expected);
  }
  expectFails(dsv2_session_sample(session, 3, sampler, &token),
              DSV2_INVALID_ARGUMENT, "row of logits is 3");
  expectOk(
      dsv2_session_evaluate(session, sequence, prompt.data(), 1, 0, nullptr));
  expectOk(dsv2_session_sample(session, 0, sampler, &token));
  dsv2_sampler_release(sampler);
}

TEST_F(APITest, Text) {
  dsv2_tokenizer_t *tokenizer = nullptr;
  expectOk(dsv2_tokenizer_create(model, &tokenizer));
  EXPECT_EQ(dsv2_tokenizer_vocab(tokenizer), 8);
  EXPECT_TRUE(dsv2_tokenizer_is_special(tokenizer, 1));
  EXPECT_FALSE(dsv2_tokenizer_is_special(tokenizer, 2));
  size_t count = 0;
  EXPECT_EQ(dsv2_tokenizer_stop_ids(tokenizer, &count)[0], 1);
  EXPECT_EQ(count, 1u);
  const char *token = dsv2_tokenizer_token(tokenizer, 5, &count);
  EXPECT_EQ(std::string(token, count), "ab");
  dsv2_tokenizer_token(tokenizer, 99, &count);
  EXPECT_EQ(count, 0u);

  const std::string text = "ab \xc3\xa9<eos>";
  expectFails(
      dsv2_tokenizer_encode(tokenizer, text.data(), text.size(),
                            DSV2_ENCODE_ADD_SPECIAL | DSV2_ENCODE_PARSE_SPECIAL,
                            nullptr, 0, &count),
      DSV2_EXHAUSTED, "expected at least 6");
  Ints ids(count);
  expectOk(
      dsv2_tokenizer_encode(tokenizer, text.data(), text.size(),
                            DSV2_ENCODE_ADD_SPECIAL | DSV2_ENCODE_PARSE_SPECIAL,
                            ids.data(), ids.size(), &count));
  EXPECT_EQ(ids, Ints({0, 5, 4, 6, 7, 1}));

  char decoded[32];
  expectOk(dsv2_tokenizer_decode(tokenizer, ids.data(), ids.size(), true,
                                 decoded, sizeof(decoded), &count));
  EXPECT_EQ(std::string(decoded, count), "ab \xc3\xa9");

  dsv2_chat_message_t message = {"user", "ab", 2};
  ASSERT_TRUE(dsv2_tokenizer_has_chat(tokenizer));
  expectOk(dsv2_tokenizer_encode_chat(tokenizer, &message, 1, DSV2_CHAT_WHOLE,
                                      ids.data(), ids.size(), &count));
  EXPECT_EQ(Ints(ids.begin(), ids.begin() + count), Ints({0, 5}));
  message.role = "narrator";
  expectFails(dsv2_tokenizer_encode_chat(tokenizer, &message, 1, 0, ids.data(),
                                         ids.size(), &count),
              DSV2_INVALID_ARGUMENT, "role is 'narrator'");

  dsv2_text_stream_t *stream = nullptr;
  expectOk(dsv2_text_stream_create(tokenizer, true, &stream));
  // The stream keeps what it needs.
  dsv2_tokenizer_release(tokenizer);
  const char *piece = nullptr;
  expectOk(dsv2_text_stream_push(stream, 6, &piece, &count));
  EXPECT_EQ(count, 0u);
  expectOk(dsv2_text_stream_push(stream, 7, &piece, &count));
  EXPECT_EQ(std::string(piece, count), "\xc3\xa9");
  expectOk(dsv2_text_stream_push(stream, 6, &piece, &count));
  expectOk(dsv2_text_stream_finish(stream, &piece, &count));
  EXPECT_STREQ(piece, "\xef\xbf\xbd");
  dsv2_text_stream_release(stream);
}

TEST_F(APITest, MissingArguments) {
  const auto invalid = DSV2_INVALID_ARGUMENT;
  expectFails(dsv2_instance_create(nullptr, nullptr), invalid, "out_instance");
  expectFails(dsv2_model_load(nullptr, "x", nullptr, &model), invalid,
              "instance is NULL");
  expectFails(dsv2_model_load(instance, nullptr, nullptr, &model), invalid,
              "path is NULL");
  expectFails(dsv2_session_create(nullptr, nullptr, &session), invalid,
              "model is NULL");
  expectFails(dsv2_sequence_create(session, nullptr), invalid, "out_sequence");
  expectFails(dsv2_session_step(nullptr, nullptr, 0, nullptr), invalid,
              "session is NULL");
  expectFails(dsv2_tokenizer_create(nullptr, nullptr), invalid, "model");
  dsv2_instance_release(nullptr);
  dsv2_model_release(nullptr);
  dsv2_session_release(nullptr);
  dsv2_sampler_release(nullptr);
  dsv2_tokenizer_release(nullptr);
  dsv2_text_stream_release(nullptr);
  dsv2_status_release(nullptr);
  EXPECT_EQ(dsv2_status_code(nullptr), DSV2_OK);
  EXPECT_STREQ(dsv2_status_message(nullptr), "");
}

TEST_F(APITest, LoadFailures) {
  dsv2_model_t *none = nullptr;
  std::string other = directory.path("other.dsv2");
  ASSERT_TRUE(writeToy(other, [](schema::ArtifactT &artifact) {
                artifact.libraries[0]->name = "future";
                artifact.libraries[0]->features = uint64_t(1) << 50;
              }).ok());
  expectFails(dsv2_model_load(instance, other.c_str(), nullptr, &none),
              DSV2_INCOMPATIBLE, "other.dsv2': this CPU lacks bit 50");
  ASSERT_TRUE(writeToy(other, [](schema::ArtifactT &artifact) {
                artifact.weights[0]->offset = 0;
              }).ok());
  expectFails(dsv2_model_load(instance, other.c_str(), nullptr, &none),
              DSV2_INCOMPATIBLE, "--weights=none");
  writeFile(other, "GGUF");
  expectFails(dsv2_model_load(instance, other.c_str(), nullptr, &none),
              DSV2_DATA_LOSS, "expected a .dsv2 artifact");
  dsv2_model_options_t options = DSV2_MODEL_OPTIONS_INIT;
  options.instruction_set = "avx9";
  expectFails(dsv2_model_load(instance, path.c_str(), &options, &none),
              DSV2_NOT_FOUND, "'avx9', expected one of: reference");
  EXPECT_EQ(none, nullptr);
}
