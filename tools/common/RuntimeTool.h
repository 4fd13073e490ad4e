//===- RuntimeTool.h - What the runtime's programs share --------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Command lines, errors and handles of the programs that run or read artifacts.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_TOOLS_COMMON_RUNTIMETOOL_H
#define DSV2_TOOLS_COMMON_RUNTIMETOOL_H

#include "runtime/base/Status.h"

#include <CLI/CLI.hpp>
#include <dsv2/dsv2.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace dsv2 {

/// A command line with --help and --version.
class ToolApp : public CLI::App {
public:
  ToolApp(const std::string &name, const std::string &description);
};

/// Parses the command line. A value is the status to exit with: --help and
/// --version were answered, or one line on stderr says what is wrong.
std::optional<int> parseArguments(CLI::App &app, int argc, char **argv);

/// Prints `tool: error: message` on stderr and returns the exit status, 1.
int reportError(const std::string &tool, const Status &status);

/// Runs the body of a program and returns the status to exit with: its own, or
/// 1 after reporting what went wrong, lack of memory included.
int runProgram(const std::string &tool,
               const std::function<Result<int>()> &body);

/// Fails when what was written to stdout did not arrive.
Status flushOutput();

/// Turns a status of the C API into one of C++, and releases it.
Status takeStatus(dsv2_status_t status);

/// Owning pointers to objects of the C API.
template <auto release>
struct Releaser {
  template <typename T>
  void operator()(T *object) const {
    release(object);
  }
};
using InstanceHandle =
    std::unique_ptr<dsv2_instance_t, Releaser<dsv2_instance_release>>;
using ModelHandle = std::unique_ptr<dsv2_model_t, Releaser<dsv2_model_release>>;
using SessionHandle =
    std::unique_ptr<dsv2_session_t, Releaser<dsv2_session_release>>;
using SamplerHandle =
    std::unique_ptr<dsv2_sampler_t, Releaser<dsv2_sampler_release>>;
using TokenizerHandle =
    std::unique_ptr<dsv2_tokenizer_t, Releaser<dsv2_tokenizer_release>>;
using TextStreamHandle =
    std::unique_ptr<dsv2_text_stream_t, Releaser<dsv2_text_stream_release>>;

/// A model that is ready for sessions, and what the program says about it.
struct LoadedModel {
  InstanceHandle instance;
  ModelHandle model;
  dsv2_model_info_t info;
};

struct LoadOptions {
  int threads = 0;            ///< 0: one a core
  std::string instructionSet; ///< empty: the best for this CPU
  dsv2_numa_t numa = DSV2_NUMA_INHERIT;
};

/// Adds --numa.
CLI::Option *addNumaOption(CLI::App &app, LoadOptions &options);

/// Weights that fit into memory are read at once. Says on stderr when a choice
/// in the options has no effect; `tool` begins the line.
Result<LoadedModel> loadModel(const std::string &tool, const std::string &path,
                              const LoadOptions &options);

/// Bytes a session of `contextRows` may come to use besides the weights.
uint64_t sessionBytes(const dsv2_model_info_t &info, int64_t contextRows);

/// Bytes this process can still get: free or reclaimable memory, within the
/// limits of its cgroup. 0: unknown.
uint64_t availableMemory();

} // namespace dsv2

#endif // DSV2_TOOLS_COMMON_RUNTIMETOOL_H
