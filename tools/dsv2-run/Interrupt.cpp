//===- Interrupt.cpp - Ctrl-C ends a generation ---------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "tools/dsv2-run/Interrupt.h"

using namespace dsv2;

static volatile std::sig_atomic_t seen = 0;

static void handle(int number) {
  if (seen) {
    // As if it had never been caught: the shell sees a death by signal.
    std::signal(number, SIG_DFL);
    std::raise(number);
  }
  seen = 1;
}

InterruptScope::InterruptScope() {
  seen = 0;
  struct sigaction action = {};
  action.sa_handler = handle;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, &previous);
}

InterruptScope::~InterruptScope() { sigaction(SIGINT, &previous, nullptr); }

bool InterruptScope::interrupted() { return seen != 0; }
