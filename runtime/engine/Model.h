//===- Model.h - An artifact that is ready to run ---------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_RUNTIME_ENGINE_MODEL_H
#define DSV2_RUNTIME_ENGINE_MODEL_H

#include "runtime/artifact/Artifact.h"
#include "runtime/drivers/cpu/KernelLibrary.h"
#include "runtime/drivers/cpu/ThreadPool.h"

#include <memory>
#include <string>

namespace dsv2 {

struct ModelOptions {
  /// Compares the hashes of weights too large for that to be done always.
  bool verifyWeights = false;
  /// The kernel library to use; empty: the best that this CPU can run.
  std::string instructionSet;
};

/// Immutable; shared by the sessions that run it.
class Model {
public:
  static Result<std::shared_ptr<const Model>>
  load(std::shared_ptr<ThreadPool> pool, const std::string &path,
       const ModelOptions &options = {});

  const Artifact &artifact() const { return loaded; }
  const schema::Artifact &metadata() const { return loaded.metadata(); }
  const KernelLibrary &kernels() const { return library; }
  ThreadPool &threads() const { return *pool; }

  /// The most new tokens of one sequence that a step can take.
  int64_t maxQueryTokens() const;

private:
  Model(std::shared_ptr<ThreadPool> pool, Artifact artifact,
        KernelLibrary library)
      : pool(std::move(pool)), loaded(std::move(artifact)),
        library(std::move(library)) {}

  std::shared_ptr<ThreadPool> pool;
  Artifact loaded;
  KernelLibrary library;
};

} // namespace dsv2

#endif // DSV2_RUNTIME_ENGINE_MODEL_H
