//===- Progress.h - What the compiler says while it works -------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_TOOLS_DSV2_COMPILE_PROGRESS_H
#define DSV2_TOOLS_DSV2_COMPILE_PROGRESS_H

#include "llvm/ADT/StringRef.h"
#include "llvm/ADT/Twine.h"

#include <chrono>
#include <cstdint>
#include <string>

namespace mlir::dsv2 {

/// "9.1 GB", "512 KB", "17 bytes": powers of 1000, as disks are sold.
std::string formatBytes(uint64_t bytes);

/// Lines on stderr, one for each phase, and a bar for long ones when stderr is
/// a terminal.
class Progress {
public:
  explicit Progress(bool quiet);

  void line(const llvm::Twine &text);
  /// Ends the phase that began with the last call, or the construction.
  void phase(llvm::StringRef name);
  void weights(uint64_t done, uint64_t total);
  /// Seconds since construction or the last call.
  double lap();

private:
  using Clock = std::chrono::steady_clock;

  bool quiet, isTerminal;
  Clock::time_point last;
  Clock::time_point lastDraw;
};

} // namespace mlir::dsv2

#endif // DSV2_TOOLS_DSV2_COMPILE_PROGRESS_H
