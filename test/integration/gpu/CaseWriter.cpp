//===- CaseWriter.cpp - Compiles kernels to measure on a GPU --------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "test/integration/gpu/CaseWriter.h"

#include "lowering/NVPTX/AttentionExpanded.h"
#include "lowering/NVPTX/Gemv.h"

#include <cstdio>
#include <fstream>

using namespace dsv2::test;
using namespace mlir;
using namespace mlir::dsv2::nvptx;
using Against = SpeedCase::Against;
using Fill = SpeedBuffer::Fill;

CaseWriter::CaseWriter(std::string folder) : folder(std::move(folder)) {
  loadKernelDialects(context);
}

static uint32_t add(SpeedCase &speed, const SpeedBuffer &buffer) {
  speed.buffers.push_back(buffer);
  return static_cast<uint32_t>(speed.buffers.size() - 1);
}

static SpeedBuffer memory(int64_t bytes, Fill fill, bool rotates = false) {
  SpeedBuffer buffer;
  buffer.bytes = static_cast<uint64_t>(bytes);
  buffer.fill = fill;
  buffer.rotates = rotates;
  return buffer;
}

static SpeedBuffer ints(int64_t count, int64_t first, int64_t step,
                        int64_t divisor = 1, int64_t most = INT32_MAX) {
  SpeedBuffer buffer = memory(4 * count, Fill::ints);
  buffer.first = first;
  buffer.step = step;
  buffer.divisor = divisor;
  buffer.most = most;
  return buffer;
}

static SpeedBuffer pages(int64_t count) {
  SpeedBuffer buffer = ints(count, 0, 1);
  buffer.shuffled = true;
  return buffer;
}

static const char *nameOf(WeightFormat format) {
  constexpr const char *names[] = {"bf16", "fp8", "int8", "int4"};
  return names[static_cast<int>(format)];
}

void CaseWriter::write(const CompiledKernel &kernel) {
  auto save = [&](const char *suffix, const char *data, size_t size) {
    std::ofstream file(folder + "/" + kernel.name + suffix, std::ios::binary);
    file.write(data, static_cast<std::streamsize>(size));
    file.close();
    failed |= !file;
  };
  save(".ptx", kernel.ptx.data(), kernel.ptx.size());
  if (kernel.assembly)
    save(".cubin", kernel.assembly->cubin.data(),
         kernel.assembly->cubin.size());
}

void CaseWriter::launch(SpeedCase &speed, const std::string &name,
                        std::vector<uint32_t> bindings,
                        function_ref<KernelInfo(ModuleOp, StringRef)> emit) {
  auto [found, isNew] = known.try_emplace(name);
  SpeedLaunch &made = found->second;
  static constexpr Dim dims[] = {Dim::tokens, Dim::sequences, Dim::context,
                                 Dim::logitRows};
  OwningOpRef<ModuleOp> module = ModuleOp::create(UnknownLoc::get(&context));
  KernelInfo info = emit(*module, name);
  if (isNew) {
    auto compiled = compileKernels(*module);
    if (mlir::failed(compiled) || compiled->size() != 1) {
      failed = true;
      return;
    }
    write(compiled->front());
    made.kernel = name;
    made.threads = static_cast<uint32_t>(info.launch.threads);
    made.cluster = static_cast<uint32_t>(info.launch.cluster);
    made.sharedBytes = static_cast<uint32_t>(info.sharedBytes);
    for (const TensorMap &map : info.tensorMaps) {
      RecordedMap &copy = made.maps.emplace_back();
      copy.binding = map.binding;
      copy.element = static_cast<uint32_t>(map.element);
      copy.swizzle = static_cast<uint32_t>(map.swizzle);
      copy.sizes.assign(map.sizes.begin(), map.sizes.end());
      copy.strides.assign(map.strides.begin(), map.strides.end());
      copy.box.assign(map.box.begin(), map.box.end());
    }
  }
  const Workgroups &groups = info.launch.workgroups;
  int64_t size = 1;
  for (int i = 0; i < 4; ++i)
    if (groups.dim == dims[i])
      size = speed.sizes[i];
  SpeedLaunch launched = made;
  launched.blocks = static_cast<uint32_t>(
      groups.count * ((size + groups.tile - 1) / groups.tile));
  launched.blocksPerSM = static_cast<uint32_t>(groups.blocksPerSM);
  launched.bindings = std::move(bindings);
  speed.launches.push_back(std::move(launched));
}

void CaseWriter::latentAttention(int64_t heads, int64_t batch, int64_t length,
                                 int64_t split, CacheFormat format, Goal goal) {
  LatentAttentionSpec spec;
  spec.tokens = spec.sequences = batch;
  spec.heads = heads;
  spec.cache.format = format;
  spec.cache.pagesPerSequence = (length + 63) / 64;
  spec.cache.rows = batch * spec.cache.pagesPerSequence * 64;
  spec.scale = 0.1147f;
  spec.splitTokens = split;
  spec.maxContext = length;
  bool fp8 = format == CacheFormat::fp8;
  int64_t rowBytes = spec.cache.row().bytes();

  SpeedCase speed;
  speed.group = "absorbed decode attention";
  speed.name = std::to_string(heads) + " heads, batch " +
               std::to_string(batch) + ", context " + std::to_string(length) +
               (fp8 ? ", fp8 rows" : ", bf16") + ", splits of " +
               std::to_string(split);
  speed.sizes = {int32_t(batch), int32_t(batch), 0, 0};
  int64_t rows = batch * heads;
  speed.bytes =
      double(batch * length * rowBytes) + double(rows * (576 + 512) * 2);
  speed.operations = 2.0 * double(rows * length * (576 + 512));
  speed.against = goal.against;
  speed.goal = goal.share;

  uint32_t latents = add(speed, memory(rows * 512 * 2, Fill::random));
  uint32_t rotated = add(speed, memory(rows * 64 * 2, Fill::random));
  uint32_t cache = add(speed, memory(spec.cache.rows * rowBytes,
                                     fp8 ? Fill::bytes : Fill::random, true));
  uint32_t offsets = add(speed, ints(batch + 1, 0, 1));
  uint32_t lengths = add(speed, ints(batch, length, 0));
  uint32_t table = add(speed, pages(batch * spec.cache.pagesPerSequence));
  uint32_t out = add(speed, memory(rows * 512 * 2, Fill::zeros));
  uint32_t partials = add(speed, memory(spec.partialBytes(), Fill::zeros));
  uint32_t sums = add(speed, memory(spec.partialSumBytes(), Fill::zeros));
  speed.output = out;
  std::string suffix = std::to_string(heads) + (fp8 ? "_fp8_" : "_bf16_") +
                       std::to_string(batch) + "x" + std::to_string(length) +
                       "_" + std::to_string(split);
  launch(
      speed, "latent_" + suffix,
      {latents, rotated, cache, offsets, lengths, table, out, partials, sums},
      [&](ModuleOp m, StringRef name) {
        return emitLatentAttention(m, name, spec);
      });
  if (spec.splits() > 1) {
    uint32_t positions = add(speed, ints(batch, length - 1, 0));
    uint32_t sequences = add(speed, ints(batch, 0, 1));
    launch(speed, "combine_" + suffix,
           {partials, sums, positions, sequences, lengths, out},
           [&](ModuleOp m, StringRef name) {
             return emitLatentCombine(m, name, spec);
           });
  }
  cases.push_back(std::move(speed));
}

void CaseWriter::expandedAttention(int64_t heads, int64_t tokens) {
  ExpandedAttentionSpec spec;
  spec.tokens = spec.context = tokens;
  spec.sequences = 1;
  spec.heads = heads;
  spec.scale = 0.1147f;

  SpeedCase speed;
  speed.group = "prefill attention 192/128, causal";
  speed.name =
      std::to_string(heads) + " heads, " + std::to_string(tokens) + " tokens";
  speed.sizes = {int32_t(tokens), 1, int32_t(tokens), 1};
  double pairs = double(tokens) * double(tokens + 1) / 2;
  speed.bytes = double(tokens * heads * (192 + 128 + 128 + 128) * 2);
  speed.operations = 2 * double(heads) * pairs * (192 + 128);
  speed.against = Against::attention;
  speed.goal = 1;
  speed.shape = {heads, tokens, 0};

  int64_t rows = tokens * heads;
  uint32_t nope = add(speed, memory(rows * 256, Fill::random));
  uint32_t rope = add(speed, memory(rows * 128, Fill::random));
  uint32_t keys = add(speed, memory(rows * 256, Fill::random));
  uint32_t values = add(speed, memory(rows * 256, Fill::random));
  uint32_t rotated = add(speed, memory(tokens * 128, Fill::random));
  uint32_t offsets = add(speed, ints(2, 0, tokens));
  uint32_t lengths = add(speed, ints(1, tokens, 0));
  uint32_t starts = add(speed, ints(2, 0, tokens));
  uint32_t out = add(speed, memory(rows * 256, Fill::zeros));
  uint32_t sums = add(speed, memory(spec.sumBytes(), Fill::zeros));
  uint32_t states = add(speed, memory(spec.stateBytes(), Fill::zeros));
  speed.output = out;
  launch(speed,
         "expanded_" + std::to_string(heads) + "x" + std::to_string(tokens),
         {nope, rope, keys, values, rotated, offsets, lengths, starts, out,
          sums, states},
         [&](ModuleOp m, StringRef name) {
           return emitExpandedAttention(m, name, spec);
         });
  cases.push_back(std::move(speed));
}

void CaseWriter::gemm(int64_t m, int64_t n, int64_t k, GemmFormat format,
                      bool pairs) {
  GemmSpec spec{.rows = n, .depth = k, .maxRows = m};
  spec.format = format;
  spec.pairs = pairs;
  bool fp8 = format == GemmFormat::fp8;
  int64_t element = fp8 ? 1 : 2;
  SpeedCase speed;
  speed.group = fp8 ? "fp8 product, block scales" : "bf16 product";
  std::string shape =
      std::to_string(m) + "x" + std::to_string(n) + "x" + std::to_string(k);
  speed.name = shape + (pairs ? ", pairs of blocks" : "");
  speed.sizes = {int32_t(m), 1, 0, 0};
  speed.bytes = double((m + n) * k * element + m * n * 2);
  speed.operations = 2.0 * double(m) * double(n) * double(k);
  speed.against = fp8 ? Against::twice : Against::product;
  speed.goal = fp8 ? 0.9 : 0.95;
  speed.shape = {m, n, k};
  Fill fill = fp8 ? Fill::bytes : Fill::random;
  std::vector<uint32_t> bindings = {add(speed, memory(m * k * element, fill)),
                                    add(speed, memory(n * k * element, fill))};
  if (fp8) {
    bindings.push_back(add(speed, memory(m * (k / 128) * 4, Fill::ones)));
    bindings.push_back(
        add(speed, memory((n + 127) / 128 * (k / 128) * 4, Fill::ones)));
  }
  speed.output = add(speed, memory(m * n * 2, Fill::zeros));
  bindings.push_back(speed.output);
  launch(speed,
         std::string("gemm_") + (fp8 ? "fp8_" : "bf16_") + shape +
             (pairs ? "_pairs" : ""),
         bindings,
         [&](ModuleOp m, StringRef name) { return emitGemm(m, name, spec); });
  cases.push_back(std::move(speed));
}

void CaseWriter::groupedGemm(int64_t experts, int64_t rows, int64_t n,
                             int64_t k, GemmFormat format) {
  int64_t m = experts * rows;
  GemmSpec spec{.rows = n, .depth = k, .maxRows = m};
  spec.format = format;
  spec.experts = experts;
  bool fp8 = format == GemmFormat::fp8;
  int64_t element = fp8 ? 1 : 2;
  SpeedCase speed;
  speed.group = "grouped product, beside a dense one of as many rows";
  std::string shape = std::to_string(experts) + "x" + std::to_string(rows) +
                      "x" + std::to_string(n) + "x" + std::to_string(k);
  speed.name = std::string(fp8 ? "fp8 " : "bf16 ") + shape;
  speed.sizes = {int32_t(m), 1, 0, 0};
  speed.bytes = double((m + experts * n) * k * element + m * n * 2);
  speed.operations = 2.0 * double(m) * double(n) * double(k);
  speed.against = fp8 ? Against::twice : Against::product;
  speed.goal = 0.85 * (fp8 ? 0.9 : 0.95);
  speed.shape = {m, n, k};
  Fill fill = fp8 ? Fill::bytes : Fill::random;
  std::vector<uint32_t> bindings = {
      add(speed, memory(m * k * element, fill)),
      add(speed, memory(experts * n * k * element, fill))};
  if (fp8) {
    bindings.push_back(add(speed, memory(m * (k / 128) * 4, Fill::ones)));
    bindings.push_back(
        add(speed, memory(experts * n / 128 * (k / 128) * 4, Fill::ones)));
  }
  bindings.push_back(add(speed, ints(experts + 1, 0, rows)));
  speed.output = add(speed, memory(m * n * 2, Fill::zeros));
  bindings.push_back(speed.output);
  launch(speed, std::string("grouped_") + (fp8 ? "fp8_" : "bf16_") + shape,
         bindings,
         [&](ModuleOp m, StringRef name) { return emitGemm(m, name, spec); });
  cases.push_back(std::move(speed));
}

/// As in V2-Lite: six experts a token.
void CaseWriter::gemv(const char *what, int64_t n, int64_t k,
                      WeightFormat format, int64_t tokens, int64_t experts) {
  constexpr int64_t topK = 6;
  int64_t slots = experts ? topK * tokens : tokens;
  int64_t active = std::min(experts, slots);
  GemvSpec spec{.rows = n, .depth = k, .format = format};
  spec.maxRows = tokens <= 8 ? 8 : 16;
  spec.experts = experts;
  spec.gather = experts > 0;
  int64_t matrix = matrixBytes(format, n, k);
  int64_t stack = std::max<int64_t>(experts, 1);

  SpeedCase speed;
  speed.group = std::string("few rows, ") + nameOf(format);
  speed.name = std::string(what) + " " + std::to_string(n) + "x" +
               std::to_string(k) + ", " + std::to_string(tokens) +
               (tokens == 1 ? " token" : " tokens");
  speed.sizes = {int32_t(tokens), int32_t(tokens), 0, int32_t(tokens)};
  speed.bytes = double((experts ? active : 1) * matrix) +
                double(tokens * k * 2 + slots * n * 4);
  speed.operations = 2.0 * double(slots) * double(n) * double(k);
  speed.against = Against::copy;
  std::vector<uint32_t> bindings = {
      add(speed, memory(tokens * k * 2, Fill::random)),
      add(speed,
          memory(stack * matrix,
                 format == WeightFormat::fp8 ? Fill::bytes : Fill::random,
                 true))};
  if (format == WeightFormat::fp8)
    bindings.push_back(add(
        speed, memory(stack * ((n + 127) / 128) * (k / 128) * 4, Fill::ones)));
  if (experts) {
    bindings.push_back(add(speed, ints(experts + 1, 0, slots, active, slots)));
    bindings.push_back(add(speed, ints(experts, 0, 1)));
    bindings.push_back(add(speed, ints(1, active, 0)));
    bindings.push_back(add(speed, ints(slots, 0, 1, topK)));
  }
  speed.output = add(speed, memory(slots * n * 4, Fill::zeros));
  bindings.push_back(speed.output);
  launch(speed,
         std::string("gemv_") + nameOf(format) + "_" + std::to_string(experts) +
             "x" + std::to_string(n) + "x" + std::to_string(k) + "_max" +
             std::to_string(spec.maxRows),
         bindings,
         [&](ModuleOp m, StringRef name) { return emitGemv(m, name, spec); });
  cases.push_back(std::move(speed));
}

bool CaseWriter::finish() {
  ::dsv2::Status written = writeSpeedCases(folder + "/cases.json", cases);
  if (!written.ok())
    std::fprintf(stderr, "gpu-cases: error: %s\n", written.message().c_str());
  return written.ok() && !failed;
}
