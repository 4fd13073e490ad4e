//===- Options.cpp - The command line of dsv2-run -------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "tools/dsv2-run/Options.h"

#include "tools/common/RuntimeTool.h"

#include <random>

using namespace dsv2;

std::optional<int> dsv2::parseRunOptions(int argc, char **argv,
                                         RunOptions &options) {
  ToolApp app("dsv2-run",
              "Generate text with a compiled model. Text goes to standard "
              "output, everything else to standard error.");
  app.add_option("model", options.modelPath, "The artifact, a .dsv2 file")
      ->required();

  const char *input = "Input (default: standard input)";
  auto *prompt = app.add_option("-p,--prompt", options.prompt, "The prompt");
  auto *file = app.add_option("-f,--file", options.promptFile,
                              "A file with the prompt; -: standard input");
  auto *tokens = app.add_option("--tokens", options.tokens,
                                "The prompt as token ids, 1,2,3");
  auto *chat = app.add_flag("--chat", options.chat,
                            "Hold a conversation; /help lists its commands");
  auto *system = app.add_option("--system", options.systemText,
                                "What the model is told before a conversation");
  for (CLI::Option *option : {prompt, file, tokens, chat, system})
    option->group(input);
  prompt->excludes(file)->excludes(tokens)->excludes(chat);
  file->excludes(tokens)->excludes(chat);
  tokens->excludes(chat);
  system->needs(chat);

  const char *generation = "Generation";
  dsv2_sampler_options_t &sampler = options.sampler;
  app.add_option("-n,--predict", options.limit,
                 "Tokens to generate (of each answer in a conversation); -1: "
                 "until the model ends or the context is full")
      ->capture_default_str()
      ->group(generation);
  app.add_option("--temp", sampler.temperature,
                 "Temperature; 0: always the most likely token")
      ->capture_default_str()
      ->group(generation);
  app.add_option("--top-k", sampler.top_k, "Choose among so many; 0: all")
      ->capture_default_str()
      ->group(generation);
  app.add_option("--top-p", sampler.top_p,
                 "Choose among the likeliest with this probability; 1: all")
      ->capture_default_str()
      ->group(generation);
  app.add_option("--min-p", sampler.min_p,
                 "Least probability, relative to the likeliest; 0: any")
      ->capture_default_str()
      ->group(generation);
  app.add_option("--repeat-penalty", sampler.repeat_penalty,
                 "Makes tokens less likely that occurred; 1: does not")
      ->capture_default_str()
      ->group(generation);
  app.add_option("--repeat-last-n", sampler.repeat_window,
                 "Tokens the penalty looks back on; -1: all")
      ->capture_default_str()
      ->group(generation);
  app.add_option("-s,--seed", options.seed,
                 "Of the random numbers; -1: another one each time")
      ->capture_default_str()
      ->group(generation);
  app.add_flag("--ignore-eos", options.ignoreEos,
               "Never choose a token that ends the generation")
      ->group(generation);

  const char *evaluation = "Evaluation";
  auto *perplexity =
      app.add_flag("--perplexity", options.perplexity,
                   "Generate nothing, but print how well the input is "
                   "predicted: in windows of --ctx tokens (0: 512), the second "
                   "half of each")
          ->group(evaluation)
          ->excludes(chat);
  auto *byLine = app.add_flag("--by-line", options.byLine,
                              "Each line of the input is a text by itself, all "
                              "of which counts")
                     ->group(evaluation)
                     ->needs(perplexity);
  app.add_option("--count-after", options.countAfter,
                 "Of a line, only what follows this text counts")
      ->group(evaluation)
      ->needs(byLine);

  const char *execution = "Execution";
  app.add_option("-t,--threads", options.load.threads,
                 "Threads; 0: one for each core")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str()
      ->group(execution);
  app.add_option("-c,--ctx", options.context,
                 "Tokens of context; 0: as many as the artifact allows")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str()
      ->group(execution);
  app.add_option("--chunk", options.chunk,
                 "Prompt tokens in a step; 0: as many as it may hold")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str()
      ->group(execution);
  addNumaOption(app, options.load)->group(execution);
  app.add_option("--instruction-set", options.load.instructionSet,
                 "Kernels to use, such as avx2 (default: the best)")
      ->group(execution);

  const char *output = "Output";
  app.add_option("--logits-out", options.logitsPath,
                 "Write the logits of every token fed to a .npy file")
      ->group(output);
  app.add_flag("--print-tokens", options.printTokens,
               "Print token ids in place of text")
      ->group(output);
  app.add_flag("-q,--quiet", options.quiet,
               "Print neither the start-up line nor the timings")
      ->group(output);

  if (std::optional<int> exit = parseArguments(app, argc, argv))
    return exit;
  sampler.seed = options.seed >= 0 ? static_cast<uint64_t>(options.seed)
                                   : std::random_device()();
  return std::nullopt;
}
