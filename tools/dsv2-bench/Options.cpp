//===- Options.cpp - The command line of dsv2-bench -----------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "tools/dsv2-bench/Options.h"

#include "tools/common/RuntimeTool.h"

#include <charconv>
#include <map>

using namespace dsv2;

//===----------------------------------------------------------------------===//
// Numbers
//===----------------------------------------------------------------------===//

namespace {

/// first[-last[*factor|+step]]
struct Range {
  int64_t first = 0, last = 0, step = 1;
  bool multiply = false;
};

} // namespace

static std::optional<Range> parseRange(std::string_view text) {
  constexpr int64_t largest = int64_t(1) << 40;
  const char *at = text.data(), *end = at + text.size();
  auto number = [&](int64_t &value) {
    auto [next, error] = std::from_chars(at, end, value);
    at = next;
    return error == std::errc() && value >= 0 && value <= largest;
  };
  auto accept = [&](char wanted) {
    if (at == end || *at != wanted)
      return false;
    ++at;
    return true;
  };
  Range range;
  if (!number(range.first))
    return std::nullopt;
  range.last = range.first;
  if (accept('-')) {
    if (!number(range.last) || range.last < range.first)
      return std::nullopt;
    range.multiply = accept('*');
    if ((range.multiply || accept('+')) && !number(range.step))
      return std::nullopt;
    // It must come to an end.
    if (range.step < 1 ||
        (range.multiply && (range.step < 2 || range.first < 1)))
      return std::nullopt;
  }
  if (at != end)
    return std::nullopt;
  return range;
}

Result<std::vector<int64_t>> dsv2::parseNumbers(const std::string &text,
                                                const std::string &what) {
  constexpr size_t most = 1000;
  std::vector<int64_t> numbers;
  for (size_t start = 0; start <= text.size();) {
    size_t comma = std::min(text.find(',', start), text.size());
    std::string part = text.substr(start, comma - start);
    start = comma + 1;
    std::optional<Range> range = parseRange(part);
    if (!range)
      return Status(StatusCode::invalidArgument,
                    what + " expects numbers such as 1,2,4 or 1-8*2, found '" +
                        part + "'");
    for (int64_t value = range->first; value <= range->last;
         value = range->multiply ? value * range->step : value + range->step) {
      if (numbers.size() == most)
        return Status(StatusCode::invalidArgument,
                      what + " '" + part + "' gives more than 1000 values");
      numbers.push_back(value);
    }
  }
  return numbers;
}

//===----------------------------------------------------------------------===//
// Options
//===----------------------------------------------------------------------===//

std::optional<int> dsv2::parseBenchOptions(int argc, char **argv,
                                           BenchOptions &options) {
  ToolApp app("dsv2-bench",
              "Measure a compiled model, next to what the machine could do. "
              "Numbers may be lists and ranges: 1,2,4 or 1-8*2 or 10-50+10.");
  app.footer(
      "The bound is the larger of two times: the bytes that a test needs, over "
      "the rate at which all threads read memory; and the multiplications that "
      "it needs, over the rate of the instructions for their format. Counted "
      "are the weights in their formats, only experts that tokens chose (as "
      "counted while warming up), the cache, and the form of attention that "
      "takes less time. Both rates are measured in bursts right before and "
      "after each repetition, and every 250 ms between its steps, outside of "
      "what is timed. share is the median over the repetitions of bound time "
      "over time taken. serial_bound_ts and serial_share, in records, and the "
      "bounds of --profile allow reading and multiplying to overlap only "
      "inside of a dispatch. On a GPU, the rates are those of copies in its "
      "memory, bytes read and written, and of a product of large matrices in "
      "bf16 by cuBLASLt; without that library, only bytes bound a test. "
      "Records "
      "have the names of llama-bench.");
  struct List {
    const char *name;
    std::string text;
    std::vector<int64_t> *values;
    int64_t least, most;
  };
  constexpr int64_t any = int64_t(1) << 40;
  List lists[] = {
      {"-p,--n-prompt", "512", &options.prompts, 0, any},
      {"-n,--n-gen", "128", &options.generations, 0, any},
      {"-d,--n-depth", "0", &options.depths, 0, any},
      {"-t,--threads", "0", &options.threads, 0, 1024},
      {"--npl,--batch", "1", &options.batches, 1, any},
  };
  const char *descriptions[] = {
      "Tokens of the prompt (pp tests); 0: none",
      "Tokens to generate (tg tests); 0: none",
      "Tokens in the context before the test",
      "Threads; 0: one for each core",
      "Sequences that generate together in tg tests",
  };
  app.add_option("model", options.modelPath, "The artifact, a .dsv2 file")
      ->required();
  for (size_t i = 0; i < std::size(lists); ++i)
    app.add_option(lists[i].name, lists[i].text, descriptions[i])
        ->capture_default_str()
        ->type_name("LIST");
  app.add_option("-r,--repetitions", options.repetitions,
                 "Times each test is run")
      ->check(CLI::Range(1, 10000))
      ->capture_default_str();
  app.add_option("--chunk", options.chunk,
                 "Prompt tokens in a step; 0: as many as it may hold")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--instruction-set", options.load.instructionSet,
                 "Kernels to use, such as avx2 (default: the best)");
  addNumaOption(app, options.load);
  app.add_flag("--profile", options.profile,
               "Also print time, work and bound of each kind of dispatch, from "
               "one more repetition");
  app.add_flag("--compute-depth", options.computeDepth,
               "Compute the whole context before a test, not just its first "
               "part, of which the rest is copies");
  app.add_flag("!--no-warmup", options.warmUp,
               "Do not run each test once before it is measured");
  const std::map<std::string, OutputFormat> formats = {
      {"md", OutputFormat::markdown},
      {"json", OutputFormat::json},
      {"jsonl", OutputFormat::jsonLines},
      {"csv", OutputFormat::csv}};
  std::string output = "md";
  app.add_option("-o,--output", output, "md, json, jsonl or csv")
      ->check(CLI::IsMember({"md", "json", "jsonl", "csv"}))
      ->capture_default_str();
  app.add_option("--records", options.records,
                 "Also append a line of JSON for each test to this file")
      ->type_name("FILE");
  // The spelling of llama-batched-bench.
  std::vector<char *> arguments(argv, argv + argc);
  char longName[] = "--npl";
  for (char *&argument : arguments)
    if (std::string_view(argument) == "-npl")
      argument = longName;
  arguments.push_back(nullptr);
  if (std::optional<int> exit = parseArguments(app, argc, arguments.data()))
    return exit;

  options.output = formats.at(output);
  for (List &list : lists) {
    std::string name = list.name;
    name = name.substr(name.rfind("--"));
    Result<std::vector<int64_t>> numbers = parseNumbers(list.text, name);
    if (!numbers.ok())
      return reportError(app.get_name(), numbers.status());
    for (int64_t number : *numbers)
      if (number < list.least || number > list.most)
        return reportError(app.get_name(),
                           Status(StatusCode::invalidArgument,
                                  name + " is " + std::to_string(number) +
                                      ", expected " +
                                      std::to_string(list.least) + " to " +
                                      std::to_string(list.most)));
    *list.values = *std::move(numbers);
  }
  return std::nullopt;
}
