//===- gpu-bench.cpp - Measures kernels on a GPU --------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//   gpu-bench FOLDER [--json FILE] [--attention FILE] [--quick] [--only TEXT]
//   gpu-bench FOLDER --list
//
// Runs the cases that gpu-cases wrote, each in turn with what it is compared
// with, prints a table and appends records to FILE; or those whose "GROUP:
// NAME" has TEXT in it. --list prints the groups. FILE of --attention has a
// line for each number of heads, "HEADS TOKENS SECONDS", of another program's
// attention. --quick runs everything once, for the emulator. Needs nothing but
// the driver; without cuBLASLt, what is compared with its products has no
// share.
//
//===----------------------------------------------------------------------===//

#include "test/integration/gpu/SpeedRun.h"
#include "tools/dsv2-bench/CudaRates.h"
#include "tools/dsv2-bench/Roofline.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <map>
#include <utility>

using namespace dsv2;
using namespace dsv2::cuda;
using namespace dsv2::test;
using Json = nlohmann::ordered_json;
using Against = SpeedCase::Against;

namespace {

struct Options {
  std::string folder, json, attention, only;
  bool quick = false, list = false;
};

struct Measured {
  double seconds = 0, share = 0, reference = 0; ///< 0: nothing to compare with
  bool written = false;
  int compiledByDriver = 0;
};

/// What cases are compared with.
class References {
public:
  References(std::shared_ptr<CudaDevice> device, CudaRates &rates,
             CudaTimer &timer, bool quick)
      : device(std::move(device)), rates(rates), timer(timer),
        mostRuns(quick ? 1 : 64) {}

  dsv2::Status readAttention(const std::string &path);
  /// Prepares what `speed` is compared with.
  dsv2::Status begin(const SpeedCase &speed);
  /// Bytes or operations a second, measured now; 0: there is nothing.
  dsv2::Result<double> measure(const SpeedCase &speed);
  void end() {
    product.reset();
    operands.clear();
  }

private:
  dsv2::Status makeProduct(int64_t m, int64_t n, int64_t k);

  std::shared_ptr<CudaDevice> device;
  CudaRates &rates;
  CudaTimer &timer;
  const int64_t mostRuns;
  std::optional<CublasLtProduct> product;
  std::vector<DeviceBuffer> operands; ///< x, w, y
  size_t algorithm = 0;
  /// Seconds by heads and tokens.
  std::map<std::pair<int64_t, int64_t>, double> attention;
};

dsv2::Status References::readAttention(const std::string &path) {
  std::ifstream file(path);
  int64_t heads, tokens;
  for (double seconds; file >> heads >> tokens >> seconds;)
    attention[{heads, tokens}] = seconds;
  return attention.empty()
             ? dsv2::Status(StatusCode::notFound,
                            "expected lines HEADS TOKENS SECONDS in '" + path +
                                "'")
             : dsv2::Status();
}

dsv2::Status References::begin(const SpeedCase &speed) {
  bool isProduct =
      speed.against == Against::product || speed.against == Against::twice;
  if (!isProduct || !rates.library())
    return dsv2::Status();
  auto [m, n, k] = speed.shape;
  return makeProduct(m, n, k);
}

dsv2::Status References::makeProduct(int64_t m, int64_t n, int64_t k) {
  for (int64_t elements : {m * k, n * k, m * n}) {
    auto bytes = static_cast<uint64_t>(elements) * 2;
    dsv2::Result<DeviceBuffer> made =
        DeviceBuffer::allocate(device, bytes, "a product to compare with");
    if (!made.ok())
      return made.status();
    operands.push_back(*std::move(made));
    DSV2_RETURN_IF_ERROR(
        fillRandomly(*device, operands.back().address(), bytes));
  }
  dsv2::Result<CublasLtProduct> made =
      CublasLtProduct::create(rates.library(), {m, n, k});
  if (!made.ok())
    return made.status();
  product.emplace(*std::move(made));
  dsv2::Result<size_t> best =
      fastestAlgorithm(timer, *product, operands[0].address(),
                       operands[1].address(), operands[2].address());
  if (!best.ok())
    return best.status();
  algorithm = *best;
  return dsv2::Status();
}

dsv2::Result<double> References::measure(const SpeedCase &speed) {
  switch (speed.against) {
  case Against::copy:
    return rates.copyRate();
  case Against::matmul:
    return rates.matmulRate();
  case Against::attention: {
    auto found = attention.find({speed.shape[0], speed.shape[1]});
    return found == attention.end() ? 0.0 : speed.operations / found->second;
  }
  case Against::product:
  case Against::twice:
    break;
  }
  if (!product)
    return 0.0;
  auto [m, n, k] = speed.shape;
  double operations = 2.0 * double(m) * double(n) * double(k);
  // About as long as the case.
  int64_t runs = std::clamp<int64_t>(int64_t(3e12 / operations), 1, mostRuns);
  dsv2::Result<double> seconds = timeInRow(timer, runs, [&] {
    return product->run(algorithm, operands[0].address(), operands[1].address(),
                        operands[2].address());
  });
  if (!seconds.ok())
    return seconds.status();
  double rate = operations / *seconds;
  return speed.against == Against::twice ? 2 * rate : rate;
}

const char *nameOf(Against against) {
  constexpr const char *names[] = {"copy", "cuBLASLt 8192^3", "cuBLASLt bf16",
                                   "2 x cuBLASLt bf16", "PyTorch SDPA"};
  return names[static_cast<int>(against)];
}

/// Rounds of the reference, then the case; medians of all.
dsv2::Result<Measured> measureCase(std::shared_ptr<CudaDevice> device,
                                   const Options &options,
                                   const SpeedCase &speed,
                                   References &references, CudaTimer &timer) {
  dsv2::Result<std::unique_ptr<SpeedRun>> run =
      SpeedRun::create(std::move(device), options.folder, speed, options.quick);
  if (!run.ok())
    return run.status();
  DSV2_RETURN_IF_ERROR(references.begin(speed));
  double work = speed.against == Against::copy ? speed.bytes : speed.operations;
  std::vector<double> times, shares, rates;
  for (int round = 0; round < (options.quick ? 1 : 5); ++round) {
    dsv2::Result<double> rate = references.measure(speed);
    if (!rate.ok())
      return rate.status();
    dsv2::Result<double> seconds = (*run)->measure(timer);
    if (!seconds.ok())
      return seconds.status();
    times.push_back(*seconds);
    rates.push_back(*rate);
    shares.push_back(*rate > 0 ? work / *seconds / *rate : 0);
  }
  dsv2::Result<bool> written = (*run)->hasWritten();
  if (!written.ok())
    return written.status();
  return Measured{medianOf(times), medianOf(shares), medianOf(rates), *written,
                  (*run)->compiledByDriver()};
}

std::string cell(const char *format, double value) {
  if (value <= 0)
    return "-";
  char text[64];
  std::snprintf(text, sizeof(text), format, value);
  return text;
}

void printRow(const SpeedCase &speed, const Measured &found) {
  const char *verdict = !found.written              ? "WROTE NOTHING"
                        : speed.goal <= 0           ? ""
                        : found.share <= 0          ? "not compared"
                        : found.share >= speed.goal ? "reached"
                                                    : "missed";
  bool isCopy = speed.against == Against::copy;
  std::printf("| %s | %s | %s | %s | %s %s | %s | %s | %s |\n",
              speed.name.c_str(), cell("%.2f", found.seconds * 1e6).c_str(),
              cell("%.0f", speed.bytes / found.seconds / 1e9).c_str(),
              cell("%.1f", speed.operations / found.seconds / 1e12).c_str(),
              nameOf(speed.against),
              cell(isCopy ? "%.0f GB/s" : "%.1f TFLOP/s",
                   found.reference / (isCopy ? 1e9 : 1e12))
                  .c_str(),
              cell("%.1f %%", 100 * found.share).c_str(),
              cell("%.1f %%", 100 * speed.goal).c_str(), verdict);
  std::fflush(stdout);
}

Json record(const SpeedCase &speed, const Measured &found) {
  return {{"group", speed.group},
          {"case", speed.name},
          {"us", found.seconds * 1e6},
          {"gbps", speed.bytes / found.seconds / 1e9},
          {"tflops", speed.operations / found.seconds / 1e12},
          {"against", nameOf(speed.against)},
          {"reference", found.reference},
          {"share", found.share},
          {"goal", speed.goal},
          {"wrote", found.written},
          {"compiled_by_driver", found.compiledByDriver}};
}

int fail(const dsv2::Status &status) {
  std::fprintf(stderr, "gpu-bench: error: %s\n", status.message().c_str());
  return 1;
}

int bench(const Options &options) {
  dsv2::Result<std::vector<SpeedCase>> cases =
      readSpeedCases(options.folder + "/cases.json");
  if (!cases.ok())
    return fail(cases.status());
  if (options.list) {
    std::string group;
    for (const SpeedCase &speed : *cases)
      if (std::exchange(group, speed.group) != speed.group)
        std::printf("%s\n", speed.group.c_str());
    return 0;
  }
  auto api = CudaApi::load();
  if (!api.ok())
    return fail(api.status());
  auto device = CudaDevice::open(*api, 9, 0, "sm_90a");
  if (!device.ok())
    return fail(device.status());
  auto rates = CudaRates::create(*device);
  if (!rates.ok())
    return fail(rates.status());
  auto timer = CudaTimer::create(*device);
  if (!timer.ok())
    return fail(timer.status());
  References references(*device, **rates, *timer, options.quick);
  if (!(*rates)->matmulStatus().ok())
    std::printf("%s.\n", (*rates)->matmulStatus().message().c_str());
  if (!options.attention.empty())
    if (dsv2::Status read = references.readAttention(options.attention);
        !read.ok())
      std::printf("No other attention to compare with: %s.\n",
                  read.message().c_str());

  std::ofstream json(options.json, std::ios::app);
  std::string group;
  int failures = 0;
  for (const SpeedCase &speed : *cases) {
    if ((speed.group + ": " + speed.name).find(options.only) ==
        std::string::npos)
      continue;
    if (group != speed.group) {
      group = speed.group;
      std::printf("\n%s\n\n| case | us | GB/s | TFLOP/s | beside | share | "
                  "goal | |\n"
                  "| :-- | --: | --: | --: | :-- | --: | --: | :-- |\n",
                  group.c_str());
    }
    dsv2::Result<Measured> found =
        measureCase(*device, options, speed, references, *timer);
    references.end();
    if (!found.ok()) {
      std::printf("| %s | | | | | | | FAILED: %s |\n", speed.name.c_str(),
                  found.status().message().c_str());
      std::fflush(stdout);
      ++failures;
      continue;
    }
    failures += !found->written;
    printRow(speed, *found);
    if (!options.json.empty())
      json << record(speed, *found).dump() << "\n";
  }
  return failures != 0;
}

} // namespace

int main(int argc, char **argv) {
  Options options;
  bool valid = true;
  for (int i = 1; i < argc; ++i) {
    std::string argument = argv[i];
    std::string *value = argument == "--json"        ? &options.json
                         : argument == "--attention" ? &options.attention
                         : argument == "--only"      ? &options.only
                                                     : nullptr;
    if (argument == "--quick")
      options.quick = true;
    else if (argument == "--list")
      options.list = true;
    else if (value && i + 1 < argc)
      *value = argv[++i];
    else if (options.folder.empty() && argument[0] != '-')
      options.folder = argument;
    else
      valid = false;
  }
  if (!valid || options.folder.empty()) {
    std::fprintf(stderr, "usage: gpu-bench FOLDER [--json FILE] [--attention "
                         "FILE] [--quick] [--only TEXT] [--list]\n");
    return 1;
  }
  return bench(options);
}
