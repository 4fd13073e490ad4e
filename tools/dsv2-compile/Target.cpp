//===- Target.cpp - What compiling depends on the machine for -------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "tools/dsv2-compile/Target.h"

#include "lowering/NVPTX/Codegen.h"
#include "tools/common/CompilerTool.h"

#include "llvm/ADT/StringSwitch.h"
#include "llvm/Support/Path.h"

using namespace mlir;
using namespace mlir::dsv2;
using ::dsv2::Result;
using ::dsv2::Status;
using ::dsv2::StatusCode;

LogicalResult mlir::dsv2::compileError(const Twine &message) {
  reportError("dsv2-compile", message);
  return failure();
}

std::optional<CacheElement> mlir::dsv2::parseCache(StringRef name) {
  return llvm::StringSwitch<std::optional<CacheElement>>(name)
      .Case("f32", CacheElement::f32)
      .Case("bf16", CacheElement::bf16)
      .Case("int8", CacheElement::int8)
      .Case("fp8", CacheElement::fp8)
      .Default(std::nullopt);
}

Result<std::unique_ptr<Target>> Target::create(const CompileOptions &options) {
  if (options.attention != "auto" && options.attention != "latent" &&
      options.attention != "expanded")
    return Status(StatusCode::invalidArgument,
                  "invalid --attention '" + options.attention +
                      "'; expected auto, latent or expanded");
  if (!options.cache.empty() && !parseCache(options.cache))
    return Status(StatusCode::invalidArgument,
                  "invalid --cache '" + options.cache +
                      "'; expected bf16, int8, fp8 or f32");
  std::unique_ptr<Target> target =
      options.target == "reference"         ? createReferenceTarget(options)
      : options.target == nvptx::targetChip ? createGpuTarget(options)
                                            : createCpuTarget(options);
  DSV2_RETURN_IF_ERROR(target->check());
  return target;
}

int64_t Target::decodeTokens(const ::dsv2::Config &config,
                             StringRef quantize) const {
  return 8;
}

LogicalResult Target::dump(const Twine &name, StringRef text) {
  if (options.dumpDirectory.empty())
    return success();
  SmallString<128> path(options.dumpDirectory);
  llvm::sys::path::append(path, name);
  Status status = writeText(path, text);
  return status.ok() ? success() : compileError(status.message());
}
