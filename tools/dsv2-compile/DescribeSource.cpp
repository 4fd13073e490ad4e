//===- DescribeSource.cpp - What an artifact keeps of its source ----------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "tools/dsv2-compile/DescribeSource.h"

#include "models/BuiltinConfigs.h"
#include "models/tokenizer/GgufTokenizer.h"
#include "models/tokenizer/TokenizerReader.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"

using namespace mlir;
using namespace mlir::dsv2;
using ::dsv2::Result;

static std::string configText(const ModelSource &source) {
  if (auto json = ::dsv2::findBuiltinConfig(source.name))
    return std::string(*json);
  if (source.gguf)
    return source.gguf->configJson();
  SmallString<128> path(source.name);
  if (source.checkpoint)
    llvm::sys::path::append(path, "config.json");
  auto buffer = llvm::MemoryBuffer::getFile(path);
  return buffer ? (*buffer)->getBuffer().str() : std::string();
}

static Result<std::optional<::dsv2::TokenizerModel>>
readTokenizerOf(const ModelSource &source) {
  if (source.gguf)
    return ::dsv2::readGgufTokenizer(source.gguf->contents(), source.name);
  if (!source.checkpoint ||
      !llvm::sys::fs::exists(source.name + "/tokenizer.json"))
    return std::optional<::dsv2::TokenizerModel>();
  Result<::dsv2::TokenizerModel> tokenizer = ::dsv2::readTokenizer(source.name);
  if (!tokenizer.ok())
    return tokenizer.status();
  return std::optional<::dsv2::TokenizerModel>(*std::move(tokenizer));
}

/// The file or folder without the number of a part and the extension of it.
static std::string modelName(const ModelSource &source) {
  StringRef name = source.name;
  name.consume_back("/");
  name = llvm::sys::path::stem(name);
  size_t part = name.rfind("-of-");
  if (source.gguf && part != StringRef::npos)
    name = name.take_front(name.take_front(part).rfind('-'));
  return name.str();
}

::dsv2::Status mlir::dsv2::describeSource(const ModelSource &source,
                                          ArtifactContents &contents) {
  contents.modelName = modelName(source);
  contents.configJson = configText(source);
  contents.config = source.config;
  Result<std::optional<::dsv2::TokenizerModel>> tokenizer =
      readTokenizerOf(source);
  if (!tokenizer.ok())
    return tokenizer.status();
  contents.tokenizer = *std::move(tokenizer);
  return ::dsv2::Status();
}
