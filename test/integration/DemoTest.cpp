//===- DemoTest.cpp - The bundled model answers questions -----------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Text to text through the whole stack: sums that training never saw, in every
// weight format and on the reference target.
//
//===----------------------------------------------------------------------===//

#include "test/integration/Harness.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iostream>
#include <map>

using namespace dsv2::test;

namespace {

struct Question {
  std::string prompt; ///< "17+25="
  std::string answer; ///< "42"
};

std::vector<Question> heldOutQuestions() {
  std::ifstream file(DSV2_DEMO_MODEL "/heldout.txt");
  std::vector<Question> questions;
  for (std::string line; std::getline(file, line);) {
    size_t begin = line.find('=') + 1;
    questions.push_back({line.substr(0, begin), line.substr(begin)});
  }
  return questions;
}

/// What a model says after each prompt, many prompts a step.
class Respondent {
public:
  explicit Respondent(const std::string &flags)
      : runner(compiled(DSV2_DEMO_MODEL, flags)) {
    EXPECT_EQ(dsv2_tokenizer_create(runner.handle(), &tokenizer), nullptr);
  }
  ~Respondent() { dsv2_tokenizer_release(tokenizer); }

  std::vector<std::string> answer(const std::vector<Question> &questions) {
    std::vector<std::string> answers;
    for (size_t first = 0; first < questions.size();
         first += runner.modelInfo().max_sequences)
      answerSome(questions, first, answers);
    return answers;
  }

private:
  static constexpr size_t longestAnswer = 8;

  void answerSome(const std::vector<Question> &questions, size_t first,
                  std::vector<std::string> &answers) {
    size_t count = std::min<size_t>(runner.modelInfo().max_sequences,
                                    questions.size() - first);
    std::vector<Runner::Input> inputs;
    std::vector<size_t> asked; ///< the question of each input
    std::vector<std::vector<int32_t>> said(count);
    for (size_t i = 0; i < count; ++i) {
      inputs.push_back(
          {runner.newSequence(), encode(questions[first + i].prompt)});
      asked.push_back(i);
    }
    while (!inputs.empty()) {
      std::vector<float> logits = runner.step(inputs);
      std::vector<Runner::Input> going;
      std::vector<size_t> still;
      const float *row = logits.data();
      for (size_t i = 0; i < inputs.size(); ++i) {
        row += inputs[i].tokens.size() * runner.vocab();
        int32_t next = std::max_element(row - runner.vocab(), row) -
                       (row - runner.vocab());
        std::vector<int32_t> &words = said[asked[i]];
        if (!isEnd(next))
          words.push_back(next);
        if (isEnd(next) || words.size() == longestAnswer) {
          runner.release(inputs[i].sequence);
          continue;
        }
        going.push_back({inputs[i].sequence, {next}});
        still.push_back(asked[i]);
      }
      inputs = std::move(going);
      asked = std::move(still);
    }
    for (const std::vector<int32_t> &words : said)
      answers.push_back(decode(words));
  }

  bool isEnd(int32_t token) const {
    const dsv2_model_info_t &info = runner.modelInfo();
    return std::count(info.eos, info.eos + info.eos_count, token) != 0;
  }
  std::vector<int32_t> encode(const std::string &text) const {
    std::vector<int32_t> tokens(64);
    size_t count = 0;
    EXPECT_EQ(dsv2_tokenizer_encode(tokenizer, text.data(), text.size(),
                                    DSV2_ENCODE_ADD_SPECIAL, tokens.data(),
                                    tokens.size(), &count),
              nullptr);
    tokens.resize(count);
    return tokens;
  }
  std::string decode(const std::vector<int32_t> &tokens) const {
    std::string text(256, '\0');
    size_t bytes = 0;
    EXPECT_EQ(dsv2_tokenizer_decode(tokenizer, tokens.data(), tokens.size(),
                                    true, text.data(), text.size(), &bytes),
              nullptr);
    text.resize(bytes);
    return text;
  }

  Runner runner;
  dsv2_tokenizer_t *tokenizer = nullptr;
};

const std::vector<Question> questions = heldOutQuestions();

/// The answers of a model, asked once in a test program.
const std::vector<std::string> &answersOf(const std::string &flags) {
  static std::map<std::string, std::vector<std::string>> known;
  auto [entry, isNew] = known.try_emplace(flags);
  if (isNew)
    entry->second = Respondent(flags).answer(questions);
  return entry->second;
}

size_t rightOf(const std::string &flags) {
  const std::vector<std::string> &answers = answersOf(flags);
  size_t right = 0;
  for (size_t i = 0; i < answers.size(); ++i)
    right += answers[i] == questions[i].answer;
  return right;
}

class DemoTest : public testing::TestWithParam<std::string> {};

TEST_P(DemoTest, AnswersHeldOutQuestions) {
  ASSERT_EQ(questions.size(), 200u);
  EXPECT_GE(rightOf(GetParam()), 190u);
}

INSTANTIATE_TEST_SUITE_P(Formats, DemoTest,
                         testing::Values("--target=native", "--quantize=int8",
                                         "--quantize=mixed", "--cache=int8",
                                         "--target=reference"),
                         [](const auto &info) {
                           std::string name = info.param.substr(2);
                           name[name.find('=')] = '_';
                           return name;
                         });

// How many survive four bits is a figure, not a requirement.
TEST(DemoFiguresTest, Int4) {
  size_t right = rightOf("--quantize=int4");
  RecordProperty("right", static_cast<int>(right));
  std::cout << "int4: " << right << " of " << questions.size() << " right\n";
}

TEST(DemoFiguresTest, ReferenceAndNativeAgree) {
  const std::vector<std::string> &native = answersOf("--target=native");
  const std::vector<std::string> &reference = answersOf("--target=reference");
  size_t different = 0;
  for (size_t i = 0; i < questions.size(); ++i)
    if (native[i] != reference[i]) {
      ++different;
      std::cout << questions[i].prompt << " native " << native[i]
                << ", reference " << reference[i] << "\n";
    }
  RecordProperty("different", static_cast<int>(different));
  EXPECT_LE(different, questions.size() / 100);
}

} // namespace
