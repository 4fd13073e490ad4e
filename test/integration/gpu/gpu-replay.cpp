//===- gpu-replay.cpp - Repeats recorded kernel runs on a GPU -------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//   gpu-replay FILE.case...              each run, and how far it is off
//   gpu-replay --here FILE.case...       in this process, for a sanitizer
//   gpu-replay --compare A.npy B.npy E   whether two files of logits agree
//
// Links nothing but the runtime's driver. A kernel that faults leaves its
// process without a device, and one that hangs never gives it back. So runs are
// a child's, and another child goes on after the one that failed.
//
//===----------------------------------------------------------------------===//

#include "test/integration/gpu/Replay.h"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <poll.h>
#include <span>
#include <sys/wait.h>
#include <unistd.h>

using namespace dsv2;
using namespace dsv2::cuda;

namespace {

/// A relative error that the rounding of bf16 and another order of sums allow.
constexpr double tolerance = 1e-2;

/// A child that says nothing for so long hangs. Its first run waits for the
/// driver to start.
constexpr int secondsOfARun = 20, secondsOfTheFirst = 60;

int fail(const std::string &message) {
  std::fprintf(stderr, "gpu-replay: error: %s\n", message.c_str());
  return 1;
}

/// The rows of a file of f32 logits; empty when it is none.
std::vector<std::vector<uint8_t>> rowsOf(const char *path) {
  std::ifstream file(path, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(file)), {});
  size_t shape = text.find("'shape': (");
  if (text.compare(0, 6, "\x93NUMPY") != 0 || shape == std::string::npos)
    return {};
  size_t count = std::strtoull(text.c_str() + shape + 10, nullptr, 10);
  size_t start = text.find('\n') + 1;
  if (start == 0 || count == 0 || start >= text.size())
    return {};
  size_t bytes = (text.size() - start) / count;
  std::vector<std::vector<uint8_t>> rows;
  for (size_t i = 0; i < count; ++i, start += bytes)
    rows.emplace_back(text.begin() + static_cast<int64_t>(start),
                      text.begin() + static_cast<int64_t>(start + bytes));
  return rows;
}

/// By the median over tokens: one whose router is nearly undecided may go to
/// another expert for any rounding.
int compare(const char *a, const char *b, double limit) {
  auto found = rowsOf(a), expected = rowsOf(b);
  if (found.empty() || found.size() != expected.size() ||
      found[0].size() != expected[0].size())
    return fail("expected two .npy files of logits of one shape, found " +
                std::to_string(found.size()) + " and " +
                std::to_string(expected.size()) + " rows");
  std::vector<double> errors;
  for (size_t row = 0; row < found.size(); ++row)
    errors.push_back(errorAs(found[row], expected[row], 4));
  std::sort(errors.begin(), errors.end());
  double median = errors[errors.size() / 2];
  std::printf("%-60s %10.2e (largest %.2e) %s\n", "logits", median,
              errors.back(), median <= limit ? "ok" : "WRONG");
  return median <= limit ? 0 : 1;
}

void print(const std::string &name, const std::string &verdict) {
  std::printf("%-60s %s\n", name.c_str(), verdict.c_str());
  std::fflush(stdout);
}

dsv2::Result<std::shared_ptr<CudaDevice>> openDevice() {
  auto api = CudaApi::load();
  if (!api.ok())
    return api.status();
  return CudaDevice::open(*api, 9, 0, "sm_90a");
}

enum Outcome : char { right = 'r', wrong = 'w', broken = 'b' };

Outcome runCase(std::shared_ptr<CudaDevice> device, const char *path) {
  test::RecordedCase recorded = test::readCase(path);
  if (recorded.entry.empty()) {
    print(path, "         - WRONG: no case");
    return wrong;
  }
  dsv2::Result<double> error = replay(device, recorded);
  if (!error.ok()) {
    print(recorded.name, "         - WRONG: " + error.status().message());
    return broken;
  }
  char text[32];
  std::snprintf(text, sizeof(text), "%10.2e %s", *error,
                *error <= tolerance ? "ok" : "WRONG");
  print(recorded.name, text);
  return *error <= tolerance ? right : wrong;
}

int runHere(std::span<char *> paths) {
  auto device = openDevice();
  if (!device.ok())
    return fail(device.status().message());
  size_t count = 0;
  for (const char *path : paths)
    count += runCase(*device, path) == right;
  std::printf("%zu of %zu runs are right\n", count, paths.size());
  return count != paths.size();
}

/// Runs cases in a child until one breaks the device; the outcomes of those it
/// got to. Empty when there is no device.
std::vector<Outcome> runInChild(std::span<char *> paths) {
  int ends[2];
  if (pipe(ends) != 0)
    return {};
  pid_t child = fork();
  if (child == 0) {
    close(ends[0]);
    auto device = openDevice();
    if (!device.ok())
      _exit(fail(device.status().message()));
    for (const char *path : paths) {
      Outcome outcome = runCase(*device, path);
      if (write(ends[1], &outcome, 1) != 1 || outcome == broken)
        break;
    }
    _exit(0);
  }
  close(ends[1]);
  std::vector<Outcome> outcomes;
  int status = 0;
  while (child > 0 && outcomes.size() < paths.size()) {
    int seconds = outcomes.empty() ? secondsOfTheFirst : secondsOfARun;
    pollfd ready{ends[0], POLLIN, 0};
    if (poll(&ready, 1, seconds * 1000) == 0) {
      print(paths[outcomes.size()],
            "         - WRONG: no end after " + std::to_string(seconds) + " s");
      outcomes.push_back(broken);
      kill(child, SIGKILL);
      break;
    }
    Outcome outcome;
    if (read(ends[0], &outcome, 1) != 1)
      break;
    outcomes.push_back(outcome);
  }
  close(ends[0]);
  if (child > 0)
    waitpid(child, &status, 0);
  bool died = child > 0 && WIFSIGNALED(status) &&
              (outcomes.empty() || outcomes.back() != broken);
  if (died && outcomes.size() < paths.size()) {
    print(paths[outcomes.size()], "         - WRONG: the process died");
    outcomes.push_back(broken);
  }
  return outcomes;
}

int run(std::span<char *> paths) {
  size_t count = 0, total = paths.size();
  while (!paths.empty()) {
    std::vector<Outcome> outcomes = runInChild(paths);
    if (outcomes.empty())
      return 1;
    count += std::count(outcomes.begin(), outcomes.end(), right);
    paths = paths.subspan(outcomes.size());
  }
  std::printf("%zu of %zu runs are right\n", count, total);
  return count != total;
}

} // namespace

int main(int argc, char **argv) {
  std::span<char *> arguments(argv + 1, argv + argc);
  if (argc == 5 && std::strcmp(argv[1], "--compare") == 0)
    return compare(argv[2], argv[3], std::atof(argv[4]));
  if (argc > 1 && std::strcmp(argv[1], "--here") == 0)
    return runHere(arguments.subspan(1));
  return run(arguments);
}
