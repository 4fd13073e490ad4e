//===- Report.cpp - Measurements as tables and records --------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "tools/dsv2-bench/Report.h"

#include "runtime/api/Handles.h"
#include "tools/common/Format.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <numeric>

using namespace dsv2;
using Json = nlohmann::ordered_json;

Statistics dsv2::statisticsOf(std::vector<double> values) {
  Statistics result;
  if (values.empty())
    return result;
  auto count = static_cast<double>(values.size());
  result.mean = std::accumulate(values.begin(), values.end(), 0.0) / count;
  double squares = 0;
  for (double value : values)
    squares += (value - result.mean) * (value - result.mean);
  if (values.size() > 1)
    result.deviation = std::sqrt(squares / (count - 1));
  std::sort(values.begin(), values.end());
  size_t middle = values.size() / 2;
  result.median = values.size() % 2 ? values[middle]
                                    : (values[middle - 1] + values[middle]) / 2;
  return result;
}

//===----------------------------------------------------------------------===//
// One measurement
//===----------------------------------------------------------------------===//

namespace {

/// Everything that is derived from the samples.
struct Figures {
  std::vector<double> rates, boundRates, shares, nanoseconds;
  std::vector<double> serialBoundRates, serialShares;
  Statistics rate, boundRate, share, time, serialBoundRate, serialShare;
};

} // namespace

static Figures figuresOf(const Measurement &measurement) {
  Figures figures;
  auto tokens = static_cast<double>(measurement.test.tokens());
  for (const Repetition &repetition : measurement.repetitions) {
    figures.nanoseconds.push_back(repetition.seconds * 1e9);
    figures.rates.push_back(tokens / repetition.seconds);
    const StepBound &bound = repetition.bound;
    if (bound.time <= 0)
      continue;
    figures.boundRates.push_back(tokens / bound.time);
    figures.shares.push_back(bound.time / repetition.seconds);
    figures.serialBoundRates.push_back(tokens / bound.serialTime);
    figures.serialShares.push_back(bound.serialTime / repetition.seconds);
  }
  figures.rate = statisticsOf(figures.rates);
  figures.boundRate = statisticsOf(figures.boundRates);
  figures.share = statisticsOf(figures.shares);
  figures.serialBoundRate = statisticsOf(figures.serialBoundRates);
  figures.serialShare = statisticsOf(figures.serialShares);
  figures.time = statisticsOf(figures.nanoseconds);
  return figures;
}

static std::string modelType(const dsv2_model_info_t &info) {
  std::string type = *info.name ? info.name : "model";
  return *info.quantize ? type + " " + info.quantize : type;
}

static std::string cpuName() {
  std::ifstream file("/proc/cpuinfo");
  std::string line;
  while (std::getline(file, line))
    if (line.rfind("model name", 0) == 0 && line.find(": ") < line.size())
      return line.substr(line.find(": ") + 2);
  return "";
}

/// Empty when CPUs run the model.
static std::string gpuName(const LoadedModel &model) {
  const auto &gpu = model.model->model->gpu();
  return gpu ? gpu->device->name() : "";
}

static std::string timeNow() {
  std::time_t now = std::time(nullptr);
  std::tm parts = {};
  gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

static Json wholeNumbers(const std::vector<double> &values) {
  Json numbers = Json::array();
  for (double value : values)
    numbers.push_back(std::llround(value));
  return numbers;
}

static double operations(const ProfileRow &row, DotType type) {
  return row.cost.operations[static_cast<size_t>(type)];
}

static Json record(const std::string &path, const LoadedModel &model,
                   const Measurement &measurement) {
  const dsv2_model_info_t &info = model.info;
  const Test &test = measurement.test;
  Figures figures = figuresOf(measurement);
  std::vector<double> reads;
  std::array<std::vector<double>, dotTypeCount> dots;
  for (const Limits &limits : measurement.limits) {
    reads.push_back(limits.readBytes / 1e9);
    for (size_t type = 0; type < dotTypeCount; ++type)
      dots[type].push_back(limits.operations[type] / 1e9);
  }
  // What was not measured is null.
  auto dot = [&](DotType type) {
    double median = statisticsOf(dots[static_cast<size_t>(type)]).median;
    return median > 0 ? Json(median) : Json();
  };
  std::string gpu = gpuName(model);
  Json result = {
      {"build_commit", dsv2_version()},
      {"cpu_info", cpuName()},
      {"gpu_info", gpu},
      {"backends", gpu.empty() ? "CPU" : "CUDA"},
      {"instruction_set", info.instruction_set},
      {"model_filename", path},
      {"model_type", modelType(info)},
      {"model_size", info.weight_bytes},
      {"model_n_params", info.parameters},
      {"n_batch", info.max_batch_tokens},
      {"n_ubatch", info.max_query_tokens},
      {"n_threads", dsv2_instance_threads(model.instance.get())},
      {"n_prompt", test.prompt},
      {"n_gen", test.generation},
      {"n_depth", test.depth},
      {"n_sequences", test.batch},
      {"test", test.name()},
      {"test_time", timeNow()},
      {"avg_ns", std::llround(figures.time.mean)},
      {"stddev_ns", std::llround(figures.time.deviation)},
      {"median_ns", std::llround(figures.time.median)},
      {"avg_ts", figures.rate.mean},
      {"stddev_ts", figures.rate.deviation},
      {"median_ts", figures.rate.median},
      {"bound_ts", figures.boundRate.median},
      {"share", figures.share.median},
      {"serial_bound_ts", figures.serialBoundRate.median},
      {"serial_share", figures.serialShare.median},
      {"touched_experts", measurement.touchedExperts},
      {"read_gbps", statisticsOf(reads).median},
      {"int8_gops", dot(DotType::int8)},
      {"bf16_gflops", dot(DotType::bf16)},
      {"f32_gflops", dot(DotType::f32)},
      {"samples_ns", wholeNumbers(figures.nanoseconds)},
      {"samples_ts", figures.rates},
      {"samples_share", figures.shares},
  };
  if (!measurement.profile.empty()) {
    Json rows = Json::array();
    for (const ProfileRow &row : measurement.profile)
      rows.push_back({{"program", row.program},
                      {"kernel", row.kernel},
                      {"label", row.label},
                      {"runs", row.runs},
                      {"ns", row.nanoseconds},
                      {"bytes", row.cost.bytes},
                      {"int8_ops", operations(row, DotType::int8)},
                      {"bf16_ops", operations(row, DotType::bf16)},
                      {"f32_ops", operations(row, DotType::f32)},
                      {"bound_ns", row.leastTime * 1e9}});
    result["profile"] = rows;
  }
  return result;
}

static std::string dump(const Json &json, int indent) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

/// Lists have no place in a table, except for the samples' own file formats.
static std::string csvLine(const Json &record, bool names) {
  std::string line;
  for (const auto &[name, value] : record.items()) {
    if (value.is_array())
      continue;
    std::string cell = names               ? name
                       : value.is_string() ? value.get<std::string>()
                                           : value.dump();
    std::string quoted = "\"";
    for (char letter : cell)
      quoted += letter == '"' ? "\"\"" : std::string(1, letter);
    line += (line.empty() ? "" : ",") + quoted + "\"";
  }
  return line + "\n";
}

//===----------------------------------------------------------------------===//
// The output
//===----------------------------------------------------------------------===//

Status Report::begin() {
  if (format == OutputFormat::markdown)
    std::fputs("| model | size | params | backend | threads | test | t/s | "
               "bound t/s | share |\n"
               "| :-- | --: | --: | :-- | --: | :-- | --: | --: | --: |\n",
               stdout);
  if (format == OutputFormat::json)
    std::fputs("[", stdout);
  return flushOutput();
}

Status Report::appendRecord(const std::string &line) const {
  std::ofstream file(recordsPath, std::ios::app);
  file << line;
  file.close();
  return file ? Status()
              : Status(StatusCode::ioError,
                       "cannot append to '" + recordsPath +
                           "'; name a file that can be written");
}

Status Report::add(const LoadedModel &model, const Measurement &measurement) {
  const dsv2_model_info_t &info = model.info;
  int threads = dsv2_instance_threads(model.instance.get());
  Figures figures = figuresOf(measurement);
  // Nothing is faster than the machine: the bound itself was disturbed.
  constexpr double tolerance = 1.05;
  if (figures.share.median > tolerance)
    std::fprintf(stderr,
                 "dsv2-bench: warning: the bound of %s is too low to be true; "
                 "other processes disturbed it, run again on an idle machine\n",
                 measurement.test.name().c_str());
  if (!recordsPath.empty())
    DSV2_RETURN_IF_ERROR(
        appendRecord(dump(record(modelPath, model, measurement), -1) + "\n"));
  if (format == OutputFormat::markdown) {
    bool isBounded = !figures.shares.empty();
    std::printf(
        "| %s | %s | %s | %s %s | %d | %s | %.2f ± %.2f | %s | %s |\n",
        modelType(info).c_str(), formatBytes(info.weight_bytes).c_str(),
        formatCount(info.parameters).c_str(),
        gpuName(model).empty() ? "CPU" : "CUDA", info.instruction_set, threads,
        measurement.test.name().c_str(), figures.rate.mean,
        figures.rate.deviation,
        isBounded ? dsv2::format("%.2f", figures.boundRate.median).c_str()
                  : "-",
        isBounded ? dsv2::format("%.1f %%", 100 * figures.share.median).c_str()
                  : "-");
    if (!measurement.profile.empty())
      profiles += "\n" + measurement.test.name() + ", " +
                  std::to_string(threads) +
                  " threads, one repetition with a barrier after each "
                  "dispatch:\n" +
                  profileText(measurement.profile);
    return flushOutput();
  }
  Json entry = record(modelPath, model, measurement);
  std::string text;
  if (format == OutputFormat::json)
    text = (isFirst ? "\n" : ",\n") + dump(entry, 2);
  else if (format == OutputFormat::jsonLines)
    text = dump(entry, -1) + "\n";
  else
    text = (isFirst ? csvLine(entry, true) : "") + csvLine(entry, false);
  isFirst = false;
  std::fputs(text.c_str(), stdout);
  return flushOutput();
}

Status Report::end() {
  if (format == OutputFormat::json)
    std::fputs("\n]\n", stdout);
  std::fputs(profiles.c_str(), stdout);
  return flushOutput();
}
