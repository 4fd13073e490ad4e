//===- Interrupt.h - Ctrl-C ends a generation -------------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_TOOLS_RUN_INTERRUPT_H
#define DSV2_TOOLS_RUN_INTERRUPT_H

#include <csignal>

namespace dsv2 {

/// While it exists, the first SIGINT is noted and the second ends the program.
class InterruptScope {
public:
  InterruptScope();
  ~InterruptScope();
  InterruptScope(const InterruptScope &) = delete;
  InterruptScope &operator=(const InterruptScope &) = delete;

  static bool interrupted();

private:
  struct sigaction previous;
};

} // namespace dsv2

#endif // DSV2_TOOLS_RUN_INTERRUPT_H
