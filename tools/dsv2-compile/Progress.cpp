//===- Progress.cpp - What the compiler says while it works ---------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "tools/dsv2-compile/Progress.h"

#include "llvm/Support/Format.h"
#include "llvm/Support/Process.h"
#include "llvm/Support/raw_ostream.h"

using namespace llvm;
using namespace mlir::dsv2;

std::string mlir::dsv2::formatBytes(uint64_t bytes) {
  static constexpr const char *units[] = {"bytes", "KB", "MB", "GB", "TB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1000 && unit + 1 < std::size(units)) {
    value /= 1000;
    ++unit;
  }
  std::string text;
  raw_string_ostream(text) << format(unit == 0 ? "%.0f " : "%.1f ", value)
                           << units[unit];
  return text;
}

Progress::Progress(bool quiet)
    : quiet(quiet), isTerminal(sys::Process::StandardErrIsDisplayed()),
      last(Clock::now()), lastDraw() {}

void Progress::line(const Twine &text) {
  if (!quiet)
    errs() << text << "\n";
}

double Progress::lap() {
  Clock::time_point now = Clock::now();
  double seconds = std::chrono::duration<double>(now - last).count();
  last = now;
  return seconds;
}

void Progress::phase(StringRef name) {
  double seconds = lap();
  if (!quiet)
    errs() << "  " << left_justify(name, 10) << format("%7.2f s\n", seconds);
}

void Progress::weights(uint64_t done, uint64_t total) {
  if (quiet || !isTerminal)
    return;
  Clock::time_point now = Clock::now();
  bool isLast = done == total;
  if (!isLast && now - lastDraw < std::chrono::milliseconds(100))
    return;
  lastDraw = now;
  errs() << "\r  weights " << formatBytes(done) << " of " << formatBytes(total)
         << (isLast ? "\r\033[K" : "\033[K");
}
