//===- dsv2-run.cpp - Generate text with a compiled model -----------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "tools/common/Format.h"
#include "tools/common/RuntimeTool.h"
#include "tools/dsv2-run/Chat.h"
#include "tools/dsv2-run/Generator.h"
#include "tools/dsv2-run/Interrupt.h"
#include "tools/dsv2-run/Options.h"
#include "tools/dsv2-run/Perplexity.h"
#include "tools/dsv2-run/TokenOutput.h"

#include <cerrno>
#include <cstdio>
#include <string_view>
#include <system_error>

#include <unistd.h>

using namespace dsv2;

namespace {

using Clock = std::chrono::steady_clock;

class Run {
public:
  explicit Run(const RunOptions &options) : options(options) {}

  /// The status to exit with, or what went wrong.
  Result<int> perform();

private:
  Status load();
  Status checkMemory(int64_t context) const;
  std::vector<int32_t> stopIds() const;
  Result<std::string> readPrompt() const;
  Result<std::vector<int32_t>> encode(std::string_view text,
                                      uint32_t flags) const;
  Result<std::vector<int32_t>> promptTokens() const;
  Result<std::vector<Window>> windows() const;
  Result<int> evaluate();
  Status checkInput() const;
  void printStart(int64_t context) const;
  void printTimings(const Generator &generator) const;

  const RunOptions &options;
  Clock::time_point start = Clock::now();
  Clock::duration loadTime = {};
  LoadedModel model;
  TokenizerHandle tokenizer; ///< null: the artifact has none
};

} // namespace

//===----------------------------------------------------------------------===//
// Start
//===----------------------------------------------------------------------===//

Status Run::load() {
  Result<LoadedModel> loaded =
      loadModel("dsv2-run", options.modelPath, options.load);
  if (!loaded.ok())
    return loaded.status();
  model = *std::move(loaded);
  if (model.info.has_tokenizer) {
    dsv2_tokenizer_t *made = nullptr;
    DSV2_RETURN_IF_ERROR(
        takeStatus(dsv2_tokenizer_create(model.model.get(), &made)));
    tokenizer.reset(made);
  }
  return Status();
}

/// Weights may come and go with the page cache; the rest must fit.
Status Run::checkMemory(int64_t context) const {
  // A GPU's driver looks at the GPU's memory.
  if (std::string_view(model.info.instruction_set).starts_with("sm_"))
    return Status();
  uint64_t available = availableMemory();
  uint64_t needed = sessionBytes(model.info, context);
  if (available != 0 && needed > available)
    return Status(StatusCode::exhausted,
                  "a context of " + std::to_string(context) + " tokens needs " +
                      formatBytes(needed) + " of memory, but " +
                      formatBytes(available) + " is available; lower --ctx");
  if (available != 0 && needed + model.info.weight_bytes > available &&
      !options.quiet)
    std::fprintf(stderr,
                 "dsv2-run: warning: weights and context need %s, but %s of "
                 "memory is available; weights will be read again and again\n",
                 formatBytes(needed + model.info.weight_bytes).c_str(),
                 formatBytes(available).c_str());
  return Status();
}

void Run::printStart(int64_t context) const {
  const dsv2_model_info_t &info = model.info;
  std::fprintf(
      stderr,
      "dsv2-run: %s, %s parameters | %s | %d threads | context %lld | memory: "
      "%s weights + %s session | seed %llu\n",
      *info.name ? info.name : "model", formatCount(info.parameters).c_str(),
      info.instruction_set, dsv2_instance_threads(model.instance.get()),
      static_cast<long long>(context), formatBytes(info.weight_bytes).c_str(),
      formatBytes(sessionBytes(info, context)).c_str(),
      static_cast<unsigned long long>(options.sampler.seed));
}

std::vector<int32_t> Run::stopIds() const {
  std::vector<int32_t> ids(model.info.eos,
                           model.info.eos + model.info.eos_count);
  if (tokenizer) {
    size_t count = 0;
    const int32_t *more = dsv2_tokenizer_stop_ids(tokenizer.get(), &count);
    ids.insert(ids.end(), more, more + count);
  }
  return ids;
}

//===----------------------------------------------------------------------===//
// The prompt
//===----------------------------------------------------------------------===//

Status Run::checkInput() const {
  if (options.chat && !tokenizer)
    return Status(StatusCode::invalidArgument,
                  "--chat needs a tokenizer, but the artifact has none; "
                  "compile it from a checkpoint with one, or use --tokens");
  if (options.chat && !dsv2_tokenizer_has_chat(tokenizer.get()))
    return Status(StatusCode::invalidArgument,
                  "--chat needs a chat format, but the model has none; use "
                  "--prompt to complete text");
  if (!options.chat && options.tokens.empty() && !tokenizer)
    return Status(StatusCode::invalidArgument,
                  "a text prompt needs a tokenizer, but the artifact has "
                  "none; give token ids with --tokens");
  return Status();
}

static Result<std::string> readAll(std::FILE *file, const std::string &name) {
  std::string text;
  char buffer[65536];
  while (size_t count = std::fread(buffer, 1, sizeof(buffer), file))
    text.append(buffer, count);
  if (std::ferror(file))
    return Status(StatusCode::ioError,
                  "cannot read the prompt from " + name + ": " +
                      std::generic_category().message(errno));
  return text;
}

Result<std::string> Run::readPrompt() const {
  if (options.prompt)
    return *options.prompt;
  if (options.promptFile.empty() && isatty(STDIN_FILENO))
    return Status(StatusCode::invalidArgument,
                  "expected a prompt; give one with --prompt, --file or "
                  "--tokens, or talk with --chat");
  if (options.promptFile.empty() || options.promptFile == "-")
    return readAll(stdin, "standard input");
  std::unique_ptr<std::FILE, int (*)(std::FILE *)> file(
      std::fopen(options.promptFile.c_str(), "rb"), std::fclose);
  if (!file)
    return Status(StatusCode::notFound,
                  "cannot open the prompt '" + options.promptFile +
                      "': " + std::generic_category().message(errno));
  return readAll(file.get(), "'" + options.promptFile + "'");
}

Result<std::vector<int32_t>> Run::promptTokens() const {
  if (!options.tokens.empty())
    return parseIds(options.tokens, "--tokens");
  Result<std::string> text = readPrompt();
  if (!text.ok())
    return text.status();
  return encode(*text, DSV2_ENCODE_ADD_SPECIAL | DSV2_ENCODE_PARSE_SPECIAL);
}

Result<std::vector<int32_t>> Run::encode(std::string_view text,
                                         uint32_t flags) const {
  // A text has at most as many tokens as bytes, and the added ones.
  std::vector<int32_t> tokens(text.size() + 8);
  size_t count = 0;
  DSV2_RETURN_IF_ERROR(takeStatus(
      dsv2_tokenizer_encode(tokenizer.get(), text.data(), text.size(), flags,
                            tokens.data(), tokens.size(), &count)));
  tokens.resize(count);
  return tokens;
}

//===----------------------------------------------------------------------===//
// Perplexity
//===----------------------------------------------------------------------===//

/// What is evaluated of the input. Token ids are taken as they are, a text is
/// given its tokenizer's BOS in each window.
Result<std::vector<Window>> Run::windows() const {
  constexpr int64_t usual = 512;
  auto size = static_cast<size_t>(
      options.context ? options.context
                      : std::min(usual, model.info.max_context));
  if (!options.tokens.empty()) {
    Result<std::vector<int32_t>> tokens = parseIds(options.tokens, "--tokens");
    if (!tokens.ok())
      return tokens.status();
    return windowsOf(*tokens, size, -1);
  }
  Result<std::string> text = readPrompt();
  if (!text.ok())
    return text.status();
  // What is added to an empty text is the BOS of the tokenizer, if it has one.
  Result<std::vector<int32_t>> added = encode("", DSV2_ENCODE_ADD_SPECIAL);
  if (!added.ok())
    return added.status();
  bool hasBos = !added->empty();
  int32_t bos = hasBos ? added->front() : -1;
  if (!options.byLine) {
    Result<std::vector<int32_t>> tokens = encode(*text, DSV2_ENCODE_PLAIN);
    if (!tokens.ok())
      return tokens.status();
    return windowsOf(*tokens, size, bos);
  }
  std::vector<Window> result;
  for (size_t begin = 0; begin < text->size();) {
    size_t end = std::min(text->find('\n', begin), text->size());
    std::string_view line = std::string_view(*text).substr(begin, end - begin);
    begin = end + 1;
    size_t counted = line.find(options.countAfter);
    if (counted == std::string_view::npos)
      continue;
    Result<std::vector<int32_t>> tokens = encode(line, DSV2_ENCODE_PLAIN);
    if (!tokens.ok())
      return tokens.status();
    Result<std::vector<int32_t>> before = encode(
        line.substr(0, counted + options.countAfter.size()), DSV2_ENCODE_PLAIN);
    if (!before.ok())
      return before.status();
    // Larger than the line, so that it is one window.
    Window window = windowsOf(*tokens, tokens->size() + 2, bos).front();
    if (!options.countAfter.empty())
      window.firstCounted += before->size() - (hasBos ? 0 : 1);
    result.push_back(std::move(window));
  }
  return result;
}

Result<int> Run::evaluate() {
  Result<std::vector<Window>> texts = windows();
  if (!texts.ok())
    return texts.status();
  Result<Perplexity> result = measurePerplexity(model, *texts, options.chunk);
  if (!result.ok())
    return result.status();
  std::printf("%s\n", result->toText().c_str());
  DSV2_RETURN_IF_ERROR(flushOutput());
  return 0;
}

//===----------------------------------------------------------------------===//
// The run
//===----------------------------------------------------------------------===//

static double milliseconds(Clock::duration time) {
  return std::chrono::duration<double, std::milli>(time).count();
}

static void printWork(const char *what, const Generator::Work &work,
                      const char *unit) {
  double time = milliseconds(work.time);
  auto count = static_cast<double>(work.tokens);
  std::fprintf(stderr,
               "%16s = %10.2f ms / %5lld %s (%8.2f ms per token, %8.2f tokens "
               "per second)\n",
               what, time, static_cast<long long>(work.tokens), unit,
               work.tokens ? time / count : 0.0,
               time > 0 ? count * 1000 / time : 0.0);
}

void Run::printTimings(const Generator &generator) const {
  const Generator::Work &prompt = generator.promptWork();
  const Generator::Work &generated = generator.generationWork();
  std::fprintf(stderr, "%16s = %10.2f ms\n", "load time",
               milliseconds(loadTime));
  printWork("prompt eval time", prompt, "tokens");
  printWork("eval time", generated, "runs  ");
  std::fprintf(stderr, "%16s = %10.2f ms / %5lld tokens\n", "total time",
               milliseconds(Clock::now() - start),
               static_cast<long long>(prompt.tokens + generated.tokens));
}

Result<int> Run::perform() {
  DSV2_RETURN_IF_ERROR(load());
  DSV2_RETURN_IF_ERROR(checkInput());
  if (options.perplexity)
    return evaluate();
  std::vector<int32_t> prompt;
  if (!options.chat) {
    Result<std::vector<int32_t>> tokens = promptTokens();
    if (!tokens.ok())
      return tokens.status();
    prompt = *std::move(tokens);
  }
  DSV2_RETURN_IF_ERROR(
      checkMemory(options.context ? options.context : model.info.max_context));
  Result<Generator> generator = Generator::create(
      model, options, tokenizer ? dsv2_tokenizer_vocab(tokenizer.get()) : 0,
      stopIds());
  if (!generator.ok())
    return generator.status();
  Result<TokenOutput> output =
      TokenOutput::create(options.printTokens ? nullptr : tokenizer.get());
  if (!output.ok())
    return output.status();
  loadTime = Clock::now() - start;
  if (!options.quiet)
    printStart(generator->contextSize());

  Finish finish = Finish::stop;
  if (options.chat) {
    DSV2_RETURN_IF_ERROR(holdConversation(*generator, *output, tokenizer.get(),
                                          options.systemText));
  } else {
    InterruptScope interrupt;
    Result<Finish> result = generator->generate(
        prompt, [&](int32_t token) { return output->write(token); });
    if (!result.ok())
      return result.status();
    finish = *result;
    DSV2_RETURN_IF_ERROR(output->finish());
    if (finish == Finish::contextFull)
      std::fprintf(stderr,
                   "dsv2-run: stopped: the context of %lld tokens is full\n",
                   static_cast<long long>(generator->contextSize()));
  }
  DSV2_RETURN_IF_ERROR(generator->finishLogits());
  if (!options.quiet)
    printTimings(*generator);
  // As a shell reports a program that Ctrl-C ended.
  return finish == Finish::interrupted ? 130 : 0;
}

int main(int argc, char **argv) {
  RunOptions options;
  if (std::optional<int> exit = parseRunOptions(argc, argv, options))
    return *exit;
  return runProgram("dsv2-run", [&] { return Run(options).perform(); });
}
