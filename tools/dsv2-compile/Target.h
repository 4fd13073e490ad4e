//===- Target.h - What compiling depends on the machine for -----*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// A family of machines: the options it takes, how model IR is prepared for its
// kernels, and how those become code. Reports its own errors.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_TOOLS_DSV2_COMPILE_TARGET_H
#define DSV2_TOOLS_DSV2_COMPILE_TARGET_H

#include "lowering/Artifact/WriteArtifact.h"
#include "models/builder/ImportModel.h"
#include "tools/dsv2-compile/CompileModel.h"
#include "tools/dsv2-compile/Progress.h"

#include "mlir/Pass/PassManager.h"

#include <memory>

namespace mlir::dsv2 {

class Target {
public:
  virtual ~Target() = default;

  /// The target that the options name, if it takes the others. They must
  /// outlive it.
  static ::dsv2::Result<std::unique_ptr<Target>>
  create(const CompileOptions &options);

  /// Elements of the cache unless the options say.
  virtual CacheElement usualCache() const { return CacheElement::bf16; }
  /// Whether weights may be given fp8: x86-64 has no kernels for it.
  virtual bool multipliesFp8() const { return true; }
  /// Most tokens of a context unless the options or the model say.
  virtual int64_t usualContext() const { return 32768; }
  /// Options of dsv2-absorb-up-projections: the form of attention, and whose
  /// rates choose it.
  virtual ::dsv2::Result<std::string>
  absorbOptions(const ::dsv2::Config &config,
                const plan::StepLimits &limits) const {
    return "form=" + options.attention;
  }
  /// Query tokens of a sequence that the program of few takes at most.
  /// `quantize` is that of dsv2-quantize-weights.
  virtual int64_t decodeTokens(const ::dsv2::Config &config,
                               StringRef quantize) const;

  /// Adds the passes that choose the formats of kernels.
  virtual void addPreparation(OpPassManager &pm) const = 0;
  /// Adds programs to `module` and forms their kernels; `fillsWeights` when the
  /// artifact has no weights.
  virtual LogicalResult formPrograms(OwningOpRef<ModuleOp> &module,
                                     const plan::StepLimits &limits,
                                     bool fillsWeights) = 0;
  /// The kernels as they were formed, for one who reads IR.
  virtual ModuleOp kernels() = 0;
  virtual LogicalResult compileKernels(ArtifactContents &contents,
                                       Progress &progress) = 0;
  /// A line about compiled kernels.
  virtual std::string describeKernels(const ArtifactContents &contents) = 0;

protected:
  explicit Target(const CompileOptions &options) : options(options) {}
  /// Says what is wrong with the options.
  virtual ::dsv2::Status check() = 0;
  /// Writes a file for --dump-dir, if there is one.
  LogicalResult dump(const Twine &name, StringRef text);

  const CompileOptions &options;
};

std::unique_ptr<Target> createCpuTarget(const CompileOptions &options);
std::unique_ptr<Target> createReferenceTarget(const CompileOptions &options);
std::unique_ptr<Target> createGpuTarget(const CompileOptions &options);

/// Reports an error of the program.
LogicalResult compileError(const Twine &message);

/// The elements that --cache names; nullopt for none.
std::optional<CacheElement> parseCache(StringRef name);

} // namespace mlir::dsv2

#endif // DSV2_TOOLS_DSV2_COMPILE_TARGET_H
