//===- RuntimeTool.cpp - What the runtime's programs share ----------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "tools/common/RuntimeTool.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <map>
#include <new>
#include <system_error>

using namespace dsv2;

//===----------------------------------------------------------------------===//
// Command line and errors
//===----------------------------------------------------------------------===//

ToolApp::ToolApp(const std::string &name, const std::string &description)
    : CLI::App(description, name) {
  set_version_flag("--version", "dsv2 " + std::string(dsv2_version()));
}

/// CLI11 may use several lines; a shell user should see one.
static std::string oneLine(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  while (!text.empty() && (text.back() == ' ' || text.back() == '.'))
    text.pop_back();
  return text;
}

std::optional<int> dsv2::parseArguments(CLI::App &app, int argc, char **argv) {
  std::string problem;
  try {
    app.parse(argc, argv);
    return std::nullopt;
  } catch (const CLI::CallForHelp &) {
    std::fputs(app.help().c_str(), stdout);
  } catch (const CLI::CallForVersion &version) {
    std::printf("%s\n", version.what());
  } catch (const CLI::ExtrasError &) {
    std::vector<std::string> extras = app.remaining();
    problem = "unknown argument '" + (extras.empty() ? "" : extras[0]) + "'";
  } catch (const CLI::Error &error) {
    problem = oneLine(error.what());
  }
  if (problem.empty()) {
    Status written = flushOutput();
    return written.ok() ? 0 : reportError(app.get_name(), written);
  }
  std::fprintf(stderr, "%s: error: %s; run with --help\n",
               app.get_name().c_str(), problem.c_str());
  return 1;
}

int dsv2::reportError(const std::string &tool, const Status &status) {
  std::fprintf(stderr, "%s: error: %s\n", tool.c_str(),
               status.message().c_str());
  return 1;
}

int dsv2::runProgram(const std::string &tool,
                     const std::function<Result<int>()> &body) {
  try {
    Result<int> result = body();
    return result.ok() ? *result : reportError(tool, result.status());
  } catch (const std::bad_alloc &) {
    return reportError(tool, Status(StatusCode::exhausted,
                                    "not enough memory for this input"));
  } catch (const std::exception &error) {
    return reportError(tool, Status(StatusCode::internal, error.what()));
  }
}

Status dsv2::flushOutput() {
  errno = 0;
  if (std::fflush(stdout) == 0 && !std::ferror(stdout))
    return Status();
  int error = errno ? errno : EIO;
  return Status(error == ENOSPC ? StatusCode::exhausted : StatusCode::ioError,
                "cannot write to standard output: " +
                    std::generic_category().message(error));
}

Status dsv2::takeStatus(dsv2_status_t status) {
  if (!status)
    return Status();
  StatusCode code = StatusCode::internal;
  switch (dsv2_status_code(status)) {
  case DSV2_INVALID_ARGUMENT:
    code = StatusCode::invalidArgument;
    break;
  case DSV2_NOT_FOUND:
    code = StatusCode::notFound;
    break;
  case DSV2_DATA_LOSS:
    code = StatusCode::dataLoss;
    break;
  case DSV2_INCOMPATIBLE:
    code = StatusCode::incompatible;
    break;
  case DSV2_EXHAUSTED:
    code = StatusCode::exhausted;
    break;
  case DSV2_IO_ERROR:
    code = StatusCode::ioError;
    break;
  case DSV2_OK:
  case DSV2_INTERNAL:
    break;
  }
  Status taken(code, dsv2_status_message(status));
  dsv2_status_release(status);
  return taken;
}

//===----------------------------------------------------------------------===//
// Models
//===----------------------------------------------------------------------===//

CLI::Option *dsv2::addNumaOption(CLI::App &app, LoadOptions &options) {
  static const std::map<std::string, dsv2_numa_t> modes = {
      {"none", DSV2_NUMA_INHERIT},
      {"interleave", DSV2_NUMA_INTERLEAVE},
      {"local", DSV2_NUMA_LOCAL}};
  return app
      .add_option("--numa", options.numa,
                  "Memory nodes that weights and cache lie on: none (as the "
                  "system does it), interleave (on all in turn) or local (to "
                  "the thread that writes first)")
      ->transform(CLI::Transformer(modes).description(""))
      ->type_name("none|interleave|local");
}

/// Weights of this size and the rest of the machine fit into memory together.
static bool fitsMemory(const std::string &path) {
  std::error_code error;
  uint64_t bytes = std::filesystem::file_size(path, error);
  return !error && bytes < availableMemory() / 10 * 9;
}

Result<LoadedModel> dsv2::loadModel(const std::string &tool,
                                    const std::string &path,
                                    const LoadOptions &options) {
  LoadedModel loaded;
  dsv2_instance_options_t instanceOptions = DSV2_INSTANCE_OPTIONS_INIT;
  instanceOptions.threads = options.threads;
  instanceOptions.numa = options.numa;
  dsv2_instance_t *instance = nullptr;
  DSV2_RETURN_IF_ERROR(
      takeStatus(dsv2_instance_create(&instanceOptions, &instance)));
  loaded.instance.reset(instance);
  if (options.numa != DSV2_NUMA_INHERIT &&
      dsv2_instance_numa_nodes(instance) < 2)
    std::fprintf(stderr,
                 "%s: note: this machine has one memory node, --numa changes "
                 "nothing\n",
                 tool.c_str());

  dsv2_model_options_t modelOptions = DSV2_MODEL_OPTIONS_INIT;
  modelOptions.populate = fitsMemory(path);
  if (!options.instructionSet.empty())
    modelOptions.instruction_set = options.instructionSet.c_str();
  dsv2_model_t *model = nullptr;
  DSV2_RETURN_IF_ERROR(takeStatus(
      dsv2_model_load(instance, path.c_str(), &modelOptions, &model)));
  loaded.model.reset(model);

  loaded.info = DSV2_MODEL_INFO_INIT;
  DSV2_RETURN_IF_ERROR(takeStatus(dsv2_model_info(model, &loaded.info)));
  return loaded;
}

uint64_t dsv2::sessionBytes(const dsv2_model_info_t &info,
                            int64_t contextRows) {
  int64_t pages = (contextRows + info.page_size - 1) / info.page_size;
  return info.arena_bytes +
         static_cast<uint64_t>(pages * info.page_size) *
             info.kv_bytes_per_token +
         static_cast<uint64_t>(info.max_logit_rows * info.vocab) *
             sizeof(float);
}
