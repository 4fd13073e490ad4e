//===- TokenizeLines.cpp - Tokenizes texts from standard input ------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
// tokenize-lines CHECKPOINT-DIRECTORY: reads JSON strings, one a line, and
// writes the ids of each text on a line. For comparisons with other tokenizers.
//
//===----------------------------------------------------------------------===//

#include "models/tokenizer/TokenizerReader.h"
#include "runtime/text/Tokenizer.h"

#include <nlohmann/json.hpp>

#include <cstdlib>
#include <iostream>
#include <string>

using namespace dsv2;

static int fail(const std::string &message) {
  std::cerr << "tokenize-lines: " << message << "\n";
  return EXIT_FAILURE;
}

int main(int argc, char **argv) {
  if (argc != 2)
    return fail("expected one checkpoint directory");
  Result<TokenizerModel> model = readTokenizer(argv[1]);
  if (!model.ok())
    return fail(model.status().message());
  Result<Tokenizer> tokenizer = Tokenizer::create(*std::move(model));
  if (!tokenizer.ok())
    return fail(tokenizer.status().message());

  std::ios::sync_with_stdio(false);
  std::string line, output;
  while (std::getline(std::cin, line)) {
    nlohmann::json text = nlohmann::json::parse(line, nullptr, false);
    if (!text.is_string())
      return fail("expected a JSON string on each line");
    Result<std::vector<int32_t>> ids =
        tokenizer->encode(text.get_ref<const std::string &>());
    if (!ids.ok())
      return fail(ids.status().message());
    output.clear();
    for (int32_t id : *ids)
      output.append(output.empty() ? "" : " ").append(std::to_string(id));
    std::cout << output << '\n';
  }
  return EXIT_SUCCESS;
}
