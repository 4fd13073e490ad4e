//===- TerminalTest.cpp - dsv2-run on a terminal --------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "test/tools/run/RunTest.h"

#include <cstdlib>

#include <csignal>
#include <poll.h>
#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace dsv2;
using namespace dsv2::test;

namespace {

/// A program whose standard streams are a terminal of ours.
class Terminal {
public:
  explicit Terminal(const std::string &command) {
    child = ::forkpty(&master, nullptr, nullptr, nullptr);
    if (child == 0) {
      ::setenv("TERM", "vt100", 1);
      ::execl("/bin/sh", "sh", "-c", ("exec " + command).c_str(), nullptr);
      ::_exit(127);
    }
  }
  ~Terminal() { ::close(master); }

  void type(const std::string &keys) {
    ASSERT_EQ(::write(master, keys.data(), keys.size()),
              static_cast<ssize_t>(keys.size()));
  }
  /// Reads until `text` comes after what was read before.
  bool await(const std::string &text) {
    for (;;) {
      size_t found = seen.find(text, position);
      if (found != std::string::npos) {
        position = found + text.size();
        return true;
      }
      if (!readMore())
        return false;
    }
  }
  /// The status as a shell reports it. A program that does not end is killed.
  int finish() {
    while (readMore())
      ;
    if (!hasEnded)
      ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  const std::string &output() const { return seen; }

private:
  bool readMore(int milliseconds = 20'000) {
    pollfd ready = {master, POLLIN, 0};
    char buffer[4096];
    if (hasEnded || ::poll(&ready, 1, milliseconds) <= 0)
      return false;
    ssize_t count = ::read(master, buffer, sizeof(buffer));
    if (count <= 0) { // the other side is closed
      hasEnded = true;
      return false;
    }
    seen.append(buffer, static_cast<size_t>(count));
    return true;
  }

  int master = -1;
  pid_t child = -1;
  bool hasEnded = false;
  std::string seen;
  size_t position = 0;
};

using TerminalTest = RunTest;

} // namespace

TEST_F(TerminalTest, EditsAndRemembers) {
  std::string logits = directory.path("logits.npy");
  Terminal terminal(DSV2_RUN " " + text +
                    " --chat -n 1 --temp 0 -t 1 -q --logits-out " + logits);
  ASSERT_TRUE(terminal.await("> ")) << terminal.output();
  terminal.type("ac\x1b[Db\r"); // the left arrow
  ASSERT_TRUE(terminal.await("\nf\r\n")) << terminal.output();
  ASSERT_TRUE(terminal.await("> ")) << terminal.output();
  terminal.type("\x1b[A\r"); // the arrow up brings the line back
  ASSERT_TRUE(terminal.await("\nf\r\n")) << terminal.output();
  ASSERT_TRUE(terminal.await("> ")) << terminal.output();
  terminal.type("\x04"); // Ctrl-D
  EXPECT_EQ(terminal.finish(), 0) << terminal.output();
  // Two turns with three letters each: <bos> <User> abc <Assistant>, then
  // f <eos> <User> abc <Assistant>.
  EXPECT_EQ(readFile(logits).size(), 128 + (6 + 7) * toyVocab * sizeof(float))
      << terminal.output();
}

TEST_F(TerminalTest, EndsAfterAnAnswer) {
  Terminal terminal(DSV2_RUN " " + text + " --chat -n 1 --temp 0 -t 1 -q");
  // All at once: the terminal takes Ctrl-D before the editor asks for a line.
  terminal.type("abc\r\x04");
  EXPECT_EQ(terminal.finish(), 0) << terminal.output();
  EXPECT_NE(terminal.output().find("\nf\r\n"), std::string::npos)
      << terminal.output();
}

TEST_F(TerminalTest, InterruptAtPrompt) {
  Terminal terminal(DSV2_RUN " " + text + " --chat -t 1 -q");
  ASSERT_TRUE(terminal.await("> ")) << terminal.output();
  terminal.type("\x03"); // Ctrl-C
  EXPECT_EQ(terminal.finish(), 130) << terminal.output();
}

TEST_F(TerminalTest, NeedsPrompt) {
  Terminal terminal(DSV2_RUN " " + text + " -t 1 -q");
  EXPECT_EQ(terminal.finish(), 1);
  EXPECT_NE(terminal.output().find("expected a prompt"), std::string::npos);
}
