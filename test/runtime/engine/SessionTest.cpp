//===- SessionTest.cpp - Steps of a toy model -----------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/engine/Session.h"
#include "test/runtime/support/ToyArtifact.h"

#include <gtest/gtest.h>

#include <random>

using namespace dsv2;
using namespace dsv2::test;

namespace {

using Ints = std::vector<int32_t>;

class SessionTest : public testing::TestWithParam<int> {
protected:
  void SetUp() override { open(GetParam(), 0); }

  void open(int threads, int64_t contextRows) {
    std::string path = directory.path("toy.dsv2");
    Status written = writeToy(path);
    ASSERT_TRUE(written.ok()) << written.message();
    ThreadPoolOptions options;
    options.threads = threads;
    Result<std::unique_ptr<ThreadPool>> pool = ThreadPool::create(options);
    ASSERT_TRUE(pool.ok());
    Result<std::shared_ptr<const Model>> model =
        Model::load(*std::move(pool), path);
    ASSERT_TRUE(model.ok()) << model.status().message();
    Result<std::unique_ptr<Session>> created =
        Session::create(*model, {contextRows});
    ASSERT_TRUE(created.ok()) << created.status().message();
    session = *std::move(created);
  }

  static std::vector<float> row(const Logits &logits, int64_t index = 0) {
    std::span<const float> values = logits.row(index);
    return {values.begin(), values.end()};
  }

  Result<Logits> step(SequenceId id, const Ints &tokens,
                      LogitsMode mode = LogitsMode::last) {
    SequenceInput input{id, tokens, mode};
    return session->step(std::span(&input, 1));
  }

  /// Fails for the reason `expected`, and leaves everything as it was.
  void expectRefused(const std::vector<SequenceInput> &inputs, StatusCode code,
                     const char *expected) {
    int64_t free = session->cache().freePages();
    std::vector<int64_t> lengths;
    for (const SequenceInput &input : inputs)
      lengths.push_back(session->cache().find(input.sequence)
                            ? *session->cache().length(input.sequence)
                            : -1);
    Status status = session->step(inputs).status();
    EXPECT_EQ(status.code(), code) << expected;
    EXPECT_NE(status.message().find(expected), std::string::npos)
        << status.message();
    EXPECT_EQ(session->cache().freePages(), free);
    for (size_t i = 0; i < inputs.size(); ++i)
      if (lengths[i] >= 0) {
        EXPECT_EQ(*session->cache().length(inputs[i].sequence), lengths[i]);
      }
  }

  TemporaryDirectory directory;
  std::unique_ptr<Session> session;
};

Ints randomTokens(std::mt19937 &random, size_t count) {
  Ints tokens(count);
  for (int32_t &token : tokens)
    token = static_cast<int32_t>(random() % toyVocab);
  return tokens;
}

} // namespace

TEST_P(SessionTest, TokenByTokenAndAtOnce) {
  Ints tokens = {3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5};
  SequenceId slow = session->cache().create();
  Result<Logits> logits = Status(StatusCode::internal, "none");
  for (size_t i = 0; i < tokens.size(); ++i) {
    logits = step(slow, {tokens[i]});
    ASSERT_TRUE(logits.ok()) << logits.status().message();
    EXPECT_EQ(row(*logits),
              toyLogits(Ints(tokens.begin(), tokens.begin() + i + 1)));
  }
  SequenceId fast = session->cache().create();
  logits = step(fast, tokens, LogitsMode::all);
  ASSERT_TRUE(logits.ok());
  ASSERT_EQ(logits->rows, static_cast<int64_t>(tokens.size()));
  for (size_t i = 0; i < tokens.size(); ++i)
    EXPECT_EQ(row(*logits, i),
              toyLogits(Ints(tokens.begin(), tokens.begin() + i + 1)));
}

TEST_P(SessionTest, EvaluateInChunks) {
  std::mt19937 random(7);
  Ints tokens = randomTokens(random, 61);
  for (int64_t chunk : {0, 1, 3, 4, 5, 24, 1000}) {
    SequenceId id = session->cache().create();
    Result<Logits> logits = session->evaluate(id, tokens, chunk);
    ASSERT_TRUE(logits.ok()) << logits.status().message();
    EXPECT_EQ(logits->rows, 1);
    EXPECT_EQ(row(*logits), toyLogits(tokens)) << "chunk " << chunk;
    ASSERT_TRUE(session->cache().release(id).ok());
  }
}

/// Sequences of random lengths join, leave, roll back and share steps; each
/// gets what it would get alone.
TEST_P(SessionTest, RandomBatches) {
  unsigned seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  constexpr int clientCount = 12;
  open(GetParam(), clientCount * toyMaxContext);
  struct Client {
    SequenceId id;
    Ints history;
  };
  std::vector<Client> clients;
  for (int i = 0; i < clientCount; ++i)
    clients.push_back({session->cache().create(), {}});
  for (int round = 0; round < 300; ++round) {
    std::shuffle(clients.begin(), clients.end(), random);
    bool decodeOnly = random() % 2;
    std::vector<Ints> pieces;
    std::vector<SequenceInput> inputs;
    size_t count = 1 + random() % toyMaxSequences;
    for (size_t i = 0; i < count; ++i) {
      Client &client = clients[i];
      size_t room = toyMaxContext - client.history.size();
      size_t length = decodeOnly ? 1 : 1 + random() % 3;
      if (length > room) {
        size_t kept = random() % 40;
        ASSERT_TRUE(session->cache().truncate(client.id, kept).ok());
        client.history.resize(kept);
      }
      pieces.push_back(randomTokens(random, length));
      client.history.insert(client.history.end(), pieces.back().begin(),
                            pieces.back().end());
    }
    for (size_t i = 0; i < count; ++i)
      inputs.push_back({clients[i].id, pieces[i],
                        random() % 4 ? LogitsMode::last : LogitsMode::none});
    Result<Logits> logits = session->step(inputs);
    ASSERT_TRUE(logits.ok()) << logits.status().message();
    int64_t at = 0;
    for (size_t i = 0; i < count; ++i)
      if (inputs[i].logits == LogitsMode::last) {
        ASSERT_EQ(row(*logits, at++), toyLogits(clients[i].history));
      }
    ASSERT_EQ(logits->rows, at);
    if (random() % 8 == 0) {
      ASSERT_TRUE(session->cache().release(clients[0].id).ok());
      clients[0] = {session->cache().create(), {}};
    }
  }
}

TEST_P(SessionTest, LimitsAreChecked) {
  Ints one = {1}, many(toyMaxBatch + 1, 1), half(toyMaxBatch / 2 + 1, 1);
  Ints bad = {toyVocab}, negative = {-1};
  SequenceId a = session->cache().create(), b = session->cache().create();
  const auto last = LogitsMode::last;
  const auto invalid = StatusCode::invalidArgument;
  expectRefused({}, invalid, "no sequence");
  expectRefused({{a, {}, last}}, invalid, "no new tokens");
  expectRefused({{a, bad, last}}, invalid, "token id is 32, expected 0 to 31");
  expectRefused({{a, negative, last}}, invalid, "token id is -1");
  expectRefused({{a, one, last}, {999, one, last}}, invalid, "does not exist");
  expectRefused({{a, one, last}, {a, one, last}}, invalid, "twice");
  expectRefused({{a, many, last}}, invalid, "new tokens of a sequence");
  expectRefused({{a, half, last}, {b, half, last}}, invalid,
                "new tokens in a step: found 26, expected at most 24");
  Ints rows(toyMaxLogitRows + 1, 1);
  expectRefused({{a, rows, LogitsMode::all}}, invalid, "rows of logits");
  std::vector<SequenceInput> crowd;
  for (int64_t i = 0; i < toyMaxSequences + 1; ++i)
    crowd.push_back({session->cache().create(), one, last});
  expectRefused(crowd, invalid, "sequences in a step");
  // After all that the session works.
  Result<Logits> logits = step(a, {5});
  ASSERT_TRUE(logits.ok());
  EXPECT_EQ(row(*logits), toyLogits({5}));
}

TEST_P(SessionTest, ContextFull) {
  Ints tokens(toyMaxContext, 2);
  SequenceId id = session->cache().create();
  ASSERT_TRUE(session->evaluate(id, tokens).ok());
  Ints one = {1};
  expectRefused({{id, one, LogitsMode::last}}, StatusCode::exhausted,
                "context is full");
  Status status = session->evaluate(id, one).status();
  EXPECT_EQ(status.code(), StatusCode::exhausted);
  // Rolled back by one, there is room for one again.
  ASSERT_TRUE(session->cache().truncate(id, toyMaxContext - 1).ok());
  tokens.back() = 1;
  Result<Logits> logits = step(id, one);
  ASSERT_TRUE(logits.ok());
  EXPECT_EQ(row(*logits), toyLogits(tokens));
  EXPECT_FALSE(session->evaluate(id, {}).ok());
  EXPECT_FALSE(session->evaluate(id, one, -1).ok());
  EXPECT_FALSE(session->evaluate(12345, one).ok());
}

TEST_P(SessionTest, CacheFull) {
  open(GetParam(), 9); // 3 pages of 4
  EXPECT_EQ(session->cache().pageCount(), 3);
  SequenceId a = session->cache().create(), b = session->cache().create();
  Ints eight(8, 1), four(4, 1), five(5, 1);
  ASSERT_TRUE(step(a, eight).ok());
  expectRefused({{b, five, LogitsMode::last}}, StatusCode::exhausted,
                "cache is full: 2 more pages of 4 tokens are needed, 1 of 3");
  Status status = session->evaluate(b, five, 1).status();
  EXPECT_EQ(status.code(), StatusCode::exhausted);
  EXPECT_EQ(*session->cache().length(b), 0);
  EXPECT_TRUE(step(b, four).ok());
  ASSERT_TRUE(session->cache().release(a).ok());
  EXPECT_TRUE(step(b, four).ok());
}

INSTANTIATE_TEST_SUITE_P(Threads, SessionTest, testing::Values(1, 2, 3));

TEST(SessionOptionsTest, RefusesImpossibleContexts) {
  TemporaryDirectory directory;
  std::string path = directory.path("toy.dsv2");
  ASSERT_TRUE(writeToy(path).ok());
  Result<std::unique_ptr<ThreadPool>> pool = ThreadPool::create({1, false});
  ASSERT_TRUE(pool.ok());
  Result<std::shared_ptr<const Model>> model =
      Model::load(*std::move(pool), path);
  ASSERT_TRUE(model.ok());
  EXPECT_FALSE(Session::create(*model, {-1}).ok());
  EXPECT_FALSE(Session::create(*model, {int64_t(1) << 40}).ok());
}
