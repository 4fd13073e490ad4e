//===- GemvRunTest.cpp - Products of few rows against plain loops ---------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTX/AttentionLatent.h"
#include "lowering/NVPTX/Dequantize.h"
#include "lowering/NVPTX/Gemv.h"
#include "lowering/NVPTX/RowMap.h"
#include "test/lowering/nvptx/EmulatedKernel.h"

#include "llvm/ADT/APFloat.h"

#include <gtest/gtest.h>

#include <cmath>

using namespace ::dsv2::test;
using namespace mlir;
using namespace mlir::dsv2::nvptx;

namespace {

struct Case {
  const char *name;
  GemvSpec spec;
  int64_t tokens;
  std::vector<int32_t> offsets; ///< with experts
};

std::ostream &operator<<(std::ostream &os, const Case &c) {
  return os << c.name;
}

/// Random weights, packed, and the values they stand for.
struct Weights {
  std::vector<float> values;
  DeviceBuffer data{16}, scales{16};
};

Weights makeWeights(const GemvSpec &spec, int64_t matrices,
                    std::mt19937 &random) {
  Weights w;
  int64_t depth = spec.depth, rows = spec.rows;
  int64_t bytes = rowBytes(spec.format, depth);
  int64_t matrix = matrixBytes(spec.format, rows, depth);
  w.values.resize(matrices * rows * depth);
  std::vector<uint8_t> packed(matrices * matrix);
  int64_t blocks = (rows + 127) / 128, steps = depth / 128;
  int64_t kinds = spec.swiglu && spec.format == WeightFormat::fp8 ? 2 : 1;
  std::vector<float> scales(matrices * blocks * kinds *
                            std::max<int64_t>(steps, 1));
  for (float &scale : scales)
    scale = static_cast<float>(1 + random() % 7) / 4096;
  for (int64_t m = 0; m < matrices; ++m)
    for (int64_t row = 0; row < rows; ++row) {
      uint8_t *data = packed.data() + m * matrix + row * bytes;
      auto *groupScales = reinterpret_cast<uint16_t *>(
          packed.data() + m * matrix + rows * bytes +
          row * scaleBytes(spec.format, depth));
      if (hasGroups(spec.format))
        for (int64_t group = 0; group < depth / groupSize; ++group)
          groupScales[group] =
              floatToF16(static_cast<float>(1 + random() % 100) / 2048);
      for (int64_t k = 0; k < depth; ++k) {
        float &value = w.values[(m * rows + row) * depth + k];
        if (spec.format == WeightFormat::bf16) {
          uint16_t bits = floatToBf16(randomFloats(1, random)[0]);
          std::memcpy(data + 2 * k, &bits, 2);
          value = bf16ToFloat(bits);
        } else if (spec.format == WeightFormat::fp8) {
          auto bits = static_cast<uint8_t>(random() & 255);
          data[k] = (bits & 0x7f) == 0x7f ? 0x38 : bits;
          int64_t block = (m * blocks + row / 128) * kinds + row / 8 % kinds;
          value = e4m3ToFloat(data[k]) * scales[block * steps + k / 128];
        } else {
          bool four = spec.format == WeightFormat::int4;
          int quant = four ? int(random() % 16) - 8 : int(random() % 255) - 127;
          QuantPlace place = placeOfQuant(spec.format, k);
          data[place.byte] |= static_cast<uint8_t>((four ? quant & 15 : quant)
                                                   << (place.high ? 4 : 0));
          value = static_cast<float>(quant) *
                  f16ToFloat(groupScales[k / groupSize]);
        }
      }
    }
  w.data = DeviceBuffer::of(packed);
  w.scales = DeviceBuffer::of(scales);
  return w;
}

/// Everything a kernel is given, and a run of it.
struct Problem {
  const GemvSpec &spec;
  std::vector<int32_t> offsets, active, slots;
  int64_t rows, inputRows, columns;
  Weights w;
  std::vector<float> x, gamma, added;

  Problem(const Case &c, std::mt19937 &random)
      : spec(c.spec), offsets(c.offsets), rows(c.tokens) {
    if (spec.experts) {
      rows = offsets.back();
      for (int32_t e = 0; e < spec.experts; ++e)
        if (offsets[e] < offsets[e + 1])
          active.push_back(e);
    }
    inputRows = spec.gather ? 3 : rows;
    for (int64_t slot = 0; slot < rows; ++slot)
      slots.push_back(static_cast<int32_t>(random() % inputRows));
    columns = spec.swiglu ? spec.rows / 2 : spec.rows;
    w = makeWeights(spec, spec.experts ? spec.experts : spec.heads, random);
    x = randomFloats(inputRows * spec.heads * spec.depth, random);
    if (spec.input == GemvType::bf16)
      for (float &value : x)
        value = bf16ToFloat(floatToBf16(value));
    gamma = randomFloats(spec.depth, random);
    added = randomFloats(rows * spec.heads * columns, random);
  }

  /// y of the first `tokens` rows.
  std::vector<float> run(const AssembledKernel &kernel, int64_t tokens,
                         uint64_t seed) {
    DeviceBuffer input = spec.input == GemvType::bf16
                             ? DeviceBuffer::of(bf16Of(x))
                             : DeviceBuffer::of(x);
    DeviceBuffer gammas = DeviceBuffer::of(gamma),
                 offset = DeviceBuffer::of(offsets),
                 actives = DeviceBuffer::of(active, spec.experts),
                 count = DeviceBuffer::of(
                     std::vector<int32_t>{static_cast<int32_t>(active.size())}),
                 slot = DeviceBuffer::of(slots),
                 residual = DeviceBuffer::of(added);
    bool wide = spec.output == GemvType::f32;
    DeviceBuffer y(rows * spec.heads * columns * (wide ? 4 : 2));
    std::vector<DeviceBuffer *> bindings = {&input, &w.data};
    if (spec.format == WeightFormat::fp8)
      bindings.push_back(&w.scales);
    if (spec.norm)
      bindings.push_back(&gammas);
    if (spec.experts)
      bindings.insert(bindings.end(), {&offset, &actives, &count});
    if (spec.gather)
      bindings.push_back(&slot);
    if (spec.residual)
      bindings.push_back(&residual);
    bindings.push_back(&y);
    runEmulated(kernel, bindings, {.tokens = tokens}, seed, 3);
    std::vector<float> out(rows * spec.heads * columns);
    for (size_t i = 0; i < out.size(); ++i)
      out[i] =
          wide ? reinterpret_cast<const float *>(y.data())[i]
               : bf16ToFloat(reinterpret_cast<const uint16_t *>(y.data())[i]);
    return out;
  }

  /// Row `row` of x as the products see it.
  std::vector<double> prepared(int64_t row, int64_t head) const {
    int64_t source = spec.gather ? slots[row] : row;
    const float *from = &x[(source * spec.heads + head) * spec.depth];
    std::vector<double> out(from, from + spec.depth);
    if (spec.norm) {
      double sum = 0;
      for (double value : out)
        sum += value * value;
      double factor =
          1 / std::sqrt(sum / double(spec.depth) + double(spec.epsilon));
      for (int64_t k = 0; k < spec.depth; ++k)
        out[k] *= factor * gamma[k];
    }
    if (hasGroups(spec.format))
      for (int64_t group = 0; group < spec.depth; group += groupSize) {
        double largest = 0;
        for (int64_t i = 0; i < groupSize; ++i)
          largest = std::max(largest, std::fabs(out[group + i]));
        for (int64_t i = 0; i < groupSize; ++i)
          out[group + i] =
              std::nearbyint(out[group + i] * 127 / largest) * largest / 127;
      }
    if (spec.format == WeightFormat::fp8)
      for (int64_t group = 0; group < spec.depth; group += 128) {
        double largest = 1e-4;
        for (int64_t i = 0; i < 128; ++i)
          largest = std::max(largest, std::fabs(out[group + i]));
        for (int64_t i = 0; i < 128; ++i) {
          llvm::APFloat quant(out[group + i] * 448 / largest);
          bool inexact;
          quant.convert(llvm::APFloat::Float8E4M3FN(),
                        llvm::APFloat::rmNearestTiesToEven, &inexact);
          out[group + i] = quant.convertToDouble() * largest / 448;
        }
      }
    return out;
  }
};

TEST(NVPTXDequantizeRun, GivesTheValues) {
  for (WeightFormat format : {WeightFormat::int8, WeightFormat::int4}) {
    DequantizeSpec spec{
        .rows = 48, .depth = 352, .format = format, .matrices = 2};
    AssembledKernel kernel([&](ModuleOp module) {
      return emitDequantize(module, "dequantize", spec);
    });
    kernel.expectClean();
    std::mt19937 random(23);
    GemvSpec packing{.rows = spec.rows, .depth = spec.depth, .format = format};
    Weights w = makeWeights(packing, spec.matrices, random);
    DeviceBuffer y(static_cast<int64_t>(w.values.size()) * 2);
    runEmulated(kernel, {&w.data, &y}, {});
    auto values = y.read<uint16_t>(static_cast<int64_t>(w.values.size()));
    for (size_t i = 0; i < values.size(); ++i)
      ASSERT_EQ(values[i], floatToBf16(w.values[i])) << "at " << i;
  }
}

class NVPTXGemvRun : public testing::TestWithParam<Case> {};

TEST_P(NVPTXGemvRun, MatchesLoops) {
  const Case &c = GetParam();
  const GemvSpec &spec = c.spec;
  std::string error;
  ASSERT_TRUE(succeeded(checkGemv(spec, error))) << error;
  AssembledKernel kernel(
      [&](ModuleOp module) { return emitGemv(module, c.name, spec); });
  std::mt19937 random(17);
  Problem problem(c, random);
  std::vector<float> y = problem.run(kernel, c.tokens, 3);

  int64_t expert = 0, wrong = 0;
  for (int64_t row = 0; row < problem.rows; ++row) {
    while (spec.experts && c.offsets[expert + 1] <= row)
      ++expert;
    for (int64_t head = 0; head < spec.heads; ++head) {
      std::vector<double> x = problem.prepared(row, head);
      int64_t matrix = spec.experts ? expert : head;
      double size = 0; // of the terms of a sum
      auto dot = [&](int64_t n) {
        double sum = 0;
        size = 0;
        for (int64_t k = 0; k < spec.depth; ++k) {
          double term =
              x[k] *
              problem.w.values[(matrix * spec.rows + n) * spec.depth + k];
          sum += term, size += term * term;
        }
        size = std::sqrt(size);
        return sum;
      };
      for (int64_t n = 0; n < problem.columns; ++n) {
        int64_t at = (row * spec.heads + head) * problem.columns + n;
        double expected, scale;
        if (spec.swiglu) {
          double gate = dot(interleavedRow(n, false)), gateSize = size;
          double up = dot(interleavedRow(n, true));
          expected = gate / (1 + std::exp(-gate)) * up;
          scale = gateSize * std::fabs(up) + size * std::fabs(gate);
        } else {
          expected = dot(n);
          scale = size;
        }
        if (spec.residual)
          expected += problem.added[at];
        // What rounding x does to a sum where the reference does not round, or
        // rounds a number between two to the other one.
        double tolerance = spec.format == WeightFormat::bf16 ? 4e-3 : 3e-3;
        if (!(std::fabs(y[at] - expected) <=
              tolerance * scale + 8e-3 * std::fabs(expected) + 1e-3) &&
            ++wrong < 5)
          ADD_FAILURE() << "row " << row << " head " << head << " column " << n
                        << ": " << y[at] << " for " << expected;
      }
    }
  }
  EXPECT_EQ(wrong, 0);

  // The first row alone has the same bits.
  if (spec.experts || c.tokens == 1)
    return;
  std::vector<float> alone = problem.run(kernel, 1, 4);
  for (int64_t i = 0; i < spec.heads * problem.columns; ++i)
    ASSERT_EQ(alone[i], y[i]) << "at " << i;
}

INSTANTIATE_TEST_SUITE_P(
    , NVPTXGemvRun,
    testing::Values(
        Case{"bf16", {.rows = 80, .depth = 352}, 13, {}},
        Case{"bf16_deep",
             {.rows = 32, .depth = 3104, .maxRows = 3, .residual = true},
             5,
             {}},
        Case{"bf16_norm",
             {.rows = 48,
              .depth = 576,
              .input = GemvType::f32,
              .output = GemvType::bf16,
              .norm = true},
             11,
             {}},
        Case{"bf16_norm_few",
             {.rows = 48,
              .depth = 2176,
              .maxRows = 2,
              .input = GemvType::f32,
              .norm = true},
             2,
             {}},
        Case{"bf16_norm_one",
             {.rows = 32,
              .depth = 2176,
              .maxRows = 1,
              .input = GemvType::f32,
              .norm = true},
             2,
             {}},
        Case{"bf16_experts_norm",
             {.rows = 32,
              .depth = 288,
              .maxRows = 1,
              .input = GemvType::f32,
              .norm = true,
              .experts = 4,
              .gather = true},
             3,
             {0, 1, 1, 3, 4}},
        Case{"bf16_swiglu",
             {.rows = 64,
              .depth = 128,
              .maxRows = 8,
              .output = GemvType::bf16,
              .swiglu = true},
             8,
             {}},
        Case{"bf16_heads",
             {.rows = 48, .depth = 96, .maxRows = 8, .heads = 3},
             3,
             {}},
        Case{"bf16_experts",
             {.rows = 64,
              .depth = 256,
              .maxRows = 4,
              .output = GemvType::bf16,
              .swiglu = true,
              .experts = 5,
              .gather = true},
             3,
             {0, 2, 2, 9, 9, 10}},
        Case{"int8",
             {.rows = 48,
              .depth = 416,
              .format = WeightFormat::int8,
              .input = GemvType::f32},
             9,
             {}},
        Case{"int8_norm",
             {.rows = 32,
              .depth = 1408,
              .format = WeightFormat::int8,
              .maxRows = 4,
              .input = GemvType::f32,
              .norm = true},
             3,
             {}},
        Case{"int4",
             {.rows = 48, .depth = 1408, .format = WeightFormat::int4},
             9,
             {}},
        Case{"int4_one",
             {.rows = 32,
              .depth = 2048,
              .format = WeightFormat::int4,
              .maxRows = 1,
              .residual = true},
             1,
             {}},
        Case{"int4_experts",
             {.rows = 32,
              .depth = 288,
              .format = WeightFormat::int4,
              .maxRows = 8,
              .experts = 4},
             3,
             {0, 3, 3, 4, 14}},
        Case{"fp8",
             {.rows = 144, .depth = 384, .format = WeightFormat::fp8},
             10,
             {}},
        Case{"fp8_experts",
             {.rows = 32,
              .depth = 256,
              .format = WeightFormat::fp8,
              .maxRows = 8,
              .output = GemvType::bf16,
              .swiglu = true,
              .experts = 3,
              .gather = true},
             3,
             {0, 3, 3, 5}}),
    [](const auto &info) { return std::string(info.param.name); });

/// Kernels for one row, a few and many.
TEST(NVPTXGemvRows, AreHandledWithTheSameBits) {
  for (WeightFormat format : {WeightFormat::bf16, WeightFormat::int8,
                              WeightFormat::int4, WeightFormat::fp8})
    for (bool norm : {false, true}) {
      SCOPED_TRACE(static_cast<int>(format));
      Case c{"rows",
             {.rows = 32,
              .depth = 2304,
              .format = format,
              .input = GemvType::f32,
              .norm = norm},
             2,
             {}};
      std::vector<float> expected;
      for (int64_t maxRows : {1, 2, 8, 16}) {
        c.spec.maxRows = maxRows;
        std::mt19937 random(41);
        Problem problem(c, random);
        AssembledKernel kernel(
            [&](ModuleOp m) { return emitGemv(m, "rows", c.spec); });
        std::vector<float> y = problem.run(kernel, c.tokens, 5);
        if (expected.empty())
          expected = y;
        ASSERT_EQ(y, expected) << maxRows << " rows at once";
      }
    }
}

/// What attention leaves of sequences with these tokens and contexts: rows of
/// one split in the output, of others in the partial results.
struct AttendedRows {
  LatentAttentionSpec spec;
  int64_t tokens = 0;
  DeviceBuffer output{16}, partials{16}, partialSums{16}, positions{16},
      sequences{16}, contexts{16};

  AttendedRows(int64_t heads, int64_t latent, int64_t mostSplits,
               ArrayRef<std::pair<int64_t, int64_t>> batch,
               std::mt19937 &random) {
    spec.heads = heads;
    spec.cache.latent = latent;
    spec.splitTokens = 64;
    spec.maxSplits = mostSplits;
    spec.maxContext = 4096;
    std::vector<int32_t> position, sequence, context;
    for (auto [count, length] : batch) {
      for (int64_t i = length - count; i < length; ++i) {
        position.push_back(static_cast<int32_t>(i));
        sequence.push_back(static_cast<int32_t>(context.size()));
      }
      context.push_back(static_cast<int32_t>(length));
    }
    spec.tokens = tokens = static_cast<int64_t>(position.size());
    spec.sequences = static_cast<int64_t>(context.size());
    positions = DeviceBuffer::of(position);
    sequences = DeviceBuffer::of(sequence);
    contexts = DeviceBuffer::of(context);
    output = DeviceBuffer(tokens * heads * latent * 2);
    partials = DeviceBuffer(spec.partialBytes());
    partialSums = DeviceBuffer(spec.partialSumBytes());
    auto *rows = reinterpret_cast<uint16_t *>(output.data());
    auto *parts = reinterpret_cast<float *>(partials.data());
    auto *sums = reinterpret_cast<float *>(partialSums.data());
    auto fill = [&](auto *to, int64_t count, auto convert) {
      for (float value : randomFloats(count, random))
        *to++ = convert(value);
    };
    for (int64_t row = 0; row < tokens * heads; ++row) {
      int64_t token = row / heads, length = context[sequence[token]];
      int64_t splitTokens = 64;
      while ((length + splitTokens - 1) / splitTokens > mostSplits)
        splitTokens *= 2;
      int64_t used = position[token] / splitTokens + 1, room = spec.splits();
      if (length <= splitTokens) {
        fill(rows + row * latent, latent, floatToBf16);
        continue;
      }
      fill(parts + row * room * latent, used * latent,
           [](float value) { return value; });
      fill(sums + row * room, used, [](float value) { return 20 * value; });
    }
  }
  std::vector<DeviceBuffer *> splits() {
    return {&partials, &partialSums, &positions, &sequences, &contexts};
  }
};

/// A product that merges splits has the bits of a combination before it.
TEST(NVPTXGemvMerge, HasTheBitsOfACombination) {
  struct Case {
    int64_t latent, mostSplits;
    std::vector<std::pair<int64_t, int64_t>> batch;
  };
  // Undivided contexts, a token in the first split of one that is divided,
  // splits that fill no round of loads, and more of them than lanes.
  for (const Case &c :
       {Case{128, 64, {{1, 30}, {1, 64}, {2, 66}, {1, 1100}, {3, 4096}}},
        Case{384, 4, {{1, 4096}, {3, 257}}}, Case{512, 40, {{1, 2500}}}})
    for (WeightFormat format :
         {WeightFormat::bf16, WeightFormat::int8, WeightFormat::int4}) {
      SCOPED_TRACE(
          (Twine(c.latent) + " format " + Twine(static_cast<int>(format)))
              .str());
      constexpr int64_t heads = 3;
      std::mt19937 random(61);
      AttendedRows rows(heads, c.latent, c.mostSplits, c.batch, random);
      GemvSpec spec{.rows = 48,
                    .depth = c.latent,
                    .format = format,
                    .output = GemvType::bf16,
                    .heads = heads};
      Weights w = makeWeights(spec, heads, random);
      auto run = [&](DeviceBuffer &x) {
        AssembledKernel product(
            [&](ModuleOp m) { return emitGemv(m, "product", spec); });
        product.expectClean();
        std::vector<DeviceBuffer *> bindings = {&x, &w.data};
        if (spec.splitRows)
          llvm::append_range(bindings, rows.splits());
        DeviceBuffer y(rows.tokens * heads * spec.rows * 2);
        bindings.push_back(&y);
        runEmulated(product, bindings,
                    {.tokens = rows.tokens, .sequences = rows.spec.sequences},
                    7, 5);
        return y.read<uint16_t>(rows.tokens * heads * spec.rows);
      };

      DeviceBuffer whole =
          DeviceBuffer::of(rows.output.read<uint16_t>(rows.output.size() / 2));
      AssembledKernel combine([&](ModuleOp m) {
        return emitLatentCombine(m, "combine", rows.spec);
      });
      std::vector<DeviceBuffer *> bindings = rows.splits();
      bindings.push_back(&whole);
      runEmulated(combine, bindings,
                  {.tokens = rows.tokens, .sequences = rows.spec.sequences});
      std::vector<uint16_t> expected = run(whole);
      for (uint16_t bits : expected)
        ASSERT_TRUE(std::isfinite(bf16ToFloat(bits)));
      spec.splitRows = splitRowsOf(rows.spec);
      for (int64_t maxRows : {1, 3, 8}) {
        spec.maxRows = maxRows;
        std::string error;
        ASSERT_TRUE(succeeded(checkGemv(spec, error))) << error;
        ASSERT_EQ(run(rows.output), expected) << maxRows << " rows at once";
      }
    }
}

/// In the product, SwiGLU has the bits of kernels of its own.
TEST(NVPTXGemvSwiGlu, HasTheBitsOfSeparateKernels) {
  for (WeightFormat format :
       {WeightFormat::bf16, WeightFormat::int8, WeightFormat::int4}) {
    SCOPED_TRACE(static_cast<int>(format));
    constexpr int64_t tokens = 5, width = 48;
    Case fused{"fused",
               {.rows = 2 * width,
                .depth = 256,
                .format = format,
                .output = GemvType::bf16,
                .swiglu = true},
               tokens,
               {}};
    Case plain = fused;
    plain.spec.swiglu = false;
    plain.spec.output = GemvType::f32;
    std::mt19937 random(31), same(31);
    Problem once(fused, random), apart(plain, same);
    AssembledKernel fusedKernel(
        [&](ModuleOp m) { return emitGemv(m, "fused", fused.spec); });
    AssembledKernel plainKernel(
        [&](ModuleOp m) { return emitGemv(m, "plain", plain.spec); });
    std::vector<float> found = once.run(fusedKernel, tokens, 1);
    std::vector<float> sums = apart.run(plainKernel, tokens, 2);
    std::vector<float> halves(sums.size());
    for (int64_t row = 0; row < tokens; ++row)
      for (int64_t up = 0; up < 2; ++up)
        for (int64_t n = 0; n < width; ++n)
          halves[(row * 2 + up) * width + n] =
              sums[row * 2 * width + interleavedRow(n, up != 0)];
    AssembledKernel swiglu([&](ModuleOp m) {
      return emitSwiGlu(
          m, "swiglu",
          {.depth = width, .stride = 2 * width, .upOffset = width});
    });
    DeviceBuffer x = DeviceBuffer::of(halves), y(tokens * width * 2);
    runEmulated(swiglu, {&x, &x, &y}, {.tokens = tokens});
    std::vector<uint16_t> expected = y.read<uint16_t>(tokens * width);
    for (size_t i = 0; i < expected.size(); ++i)
      ASSERT_EQ(found[i], bf16ToFloat(expected[i])) << i;
  }
}

} // namespace
