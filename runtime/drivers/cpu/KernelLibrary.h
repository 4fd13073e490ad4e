//===- KernelLibrary.h - The compiled kernels of an artifact ----*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Chooses among the instruction sets of an artifact and makes its kernels
// callable: the ELF object is loaded from memory, no file is written.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_RUNTIME_DRIVERS_CPU_KERNELLIBRARY_H
#define DSV2_RUNTIME_DRIVERS_CPU_KERNELLIBRARY_H

#include "runtime/base/Status.h"

#include <cstdint>
#include <string>
#include <vector>

namespace dsv2 {

namespace schema {
struct Artifact;
} // namespace schema

/// `dims` are the sizes of the step: {T, B, S, R}.
using KernelFunction = void (*)(void *const *bindings, const int64_t *dims,
                                int64_t workgroup);

class KernelLibrary {
public:
  /// The index of the first library whose needs `cpuFeatures` covers, or that
  /// of the one called `name` when that is not empty.
  static Result<uint32_t> choose(const schema::Artifact &artifact,
                                 uint64_t cpuFeatures,
                                 const std::string &name = {});

  /// Loads library `index` and finds every kernel of the artifact in it.
  static Result<KernelLibrary> load(const schema::Artifact &artifact,
                                    uint32_t index);

  KernelLibrary(KernelLibrary &&other) noexcept;
  KernelLibrary &operator=(KernelLibrary &&other) noexcept;
  ~KernelLibrary();

  /// By kernel index of the artifact.
  const std::vector<KernelFunction> &kernels() const { return functions; }
  const std::string &name() const { return libraryName; }

private:
  KernelLibrary() = default;

  void *handle = nullptr;
  // Held open: the loader tells libraries apart by their path, and this one's
  // is the number of the descriptor.
  int descriptor = -1;
  std::string libraryName;
  std::vector<KernelFunction> functions;
};

} // namespace dsv2

#endif // DSV2_RUNTIME_DRIVERS_CPU_KERNELLIBRARY_H
