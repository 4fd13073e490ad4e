//===- LinearTest.cpp - Linear kernels against double precision -----------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/X86/Linear.h"
#include "runtime/base/NumberFormats.h"
#include "test/lowering/x86/PackedOperands.h"
#include "test/lowering/x86/RunKernel.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

using namespace dsv2;
using namespace dsv2::test;
using mlir::dsv2::x86::Dim;
using mlir::dsv2::x86::emitLinear;
using mlir::dsv2::x86::LinearSpec;
using mlir::dsv2::x86::OutputType;

namespace {

constexpr int64_t maxTokens = 300;

/// A linear kernel with random operands.
class LinearCase {
public:
  LinearCase(const InstructionSet &set, LinearSpec spec, Random &random)
      : spec(spec), kernel(set,
                           [&](mlir::ModuleOp module, const InstructionSet &s) {
                             return emitLinear(module, "linear", s, spec);
                           }),
        inputHeads(spec.sharedInput ? 1 : spec.heads),
        headStride(spec.outputHeadStride ? spec.outputHeadStride
                   : spec.paddedOutput   ? paddedDepth(spec.rows)
                                         : spec.rows),
        stride(spec.outputStride ? spec.outputStride : spec.heads * headStride),
        x(random.floats(maxTokens * inputHeads * spec.depth)),
        w(random.floats(spec.heads * spec.rows * spec.depth)),
        residual(random.floats(maxTokens * stride)),
        packedX(packRows(rowFormatOf(spec.format), x, spec.depth)),
        packedW(
            packMatrices(spec.format, w, spec.heads, spec.rows, spec.depth)),
        rows(maxTokens) {
    std::iota(rows.begin(), rows.end(), 0);
    if (spec.gather)
      std::shuffle(rows.begin(), rows.end(), random.engine);
  }

  /// The result for rows [first, first + count).
  std::vector<float> run(int64_t count, int64_t first = 0) {
    size_t size = spec.output == OutputType::f32 ? 4 : 2;
    Buffer y(count * stride * size);
    std::memset(y.data(), 0, count * stride * size);
    std::vector<void *> bindings = {packedX.data(), packedW.data()};
    if (spec.gather)
      bindings.push_back(rows.data() + first);
    else
      bindings[0] =
          packedX.data() +
          first * inputHeads * rowBytes(rowFormatOf(spec.format), spec.depth);
    if (spec.residual)
      bindings.push_back(residual.data() + first * stride);
    bindings.push_back(y.data());
    kernel(bindings, {.tokens = count, .logitRows = count});
    EXPECT_TRUE(y.guardIntact());
    std::vector<float> result(count * stride);
    for (size_t i = 0; i < result.size(); ++i)
      result[i] =
          size == 4 ? y.as<float>()[i] : bf16ToFloat(y.as<uint16_t>()[i]);
    return result;
  }

  void expectCorrect(int64_t count) {
    std::vector<float> result = run(count);
    double unit = spec.output == OutputType::f32 ? 1e-6 : 0x1p-8;
    for (int64_t t = 0; t < count; ++t)
      for (int64_t h = 0; h < spec.heads; ++h)
        for (int64_t n = 0; n < spec.rows; ++n) {
          auto [sum, magnitude] = reference(t, h, n);
          int64_t at = t * stride + h * headStride + n;
          if (spec.residual)
            sum += residual[at];
          ASSERT_NEAR(result[at], sum, unit * std::fabs(sum) + 1e-6 * magnitude)
              << "token " << t << " head " << h << " row " << n;
        }
  }

  /// Each row has the same bits alone and among `count`.
  void expectInvariant(int64_t count) {
    std::vector<float> together = run(count);
    for (int64_t t = 0; t < count; t += 3) {
      std::vector<float> alone = run(1, t);
      ASSERT_EQ(std::memcmp(alone.data(), together.data() + t * stride,
                            stride * sizeof(float)),
                0)
          << "token " << t;
    }
  }

private:
  Dot reference(int64_t t, int64_t h, int64_t n) {
    int64_t row = rows[t] * inputHeads + (spec.sharedInput ? 0 : h);
    return dotProduct(x.data() + row * spec.depth,
                      w.data() + (h * spec.rows + n) * spec.depth, spec.depth);
  }

  LinearSpec spec;
  Kernel kernel;
  int64_t inputHeads, headStride, stride;
  std::vector<float> x, w, residual;
  Buffer packedX, packedW;
  std::vector<int32_t> rows;
};

class LinearTest : public testing::TestWithParam<WeightFormat> {
protected:
  template <typename Check>
  void forEachSet(std::vector<LinearSpec> specs, Check check) {
    uint32_t seed = std::random_device()();
    for (const InstructionSet &set : productSets()) {
      SCOPED_TRACE(set.name.str() + ", seed " + std::to_string(seed));
      Random random(seed);
      for (LinearSpec spec : specs) {
        spec.format = GetParam();
        spec.maxTokens = maxTokens;
        LinearCase one(set, spec, random);
        check(one);
      }
    }
  }
};

TEST_P(LinearTest, AnyNumberOfTokens) {
  forEachSet({{.rows = 96, .depth = 128}}, [](LinearCase &one) {
    for (int64_t count = 0; count <= 40; ++count)
      one.expectCorrect(count);
  });
}

TEST_P(LinearTest, OddShapes) {
  forEachSet({{.rows = 259, .depth = 100},
              {.rows = 1, .depth = 1},
              {.rows = 33, .depth = 31},
              {.rows = 7, .depth = 65}},
             [](LinearCase &one) {
               one.expectCorrect(1);
               one.expectCorrect(11);
             });
}

TEST_P(LinearTest, TokenTiles) {
  forEachSet({{.rows = 40, .depth = 64}},
             [](LinearCase &one) { one.expectCorrect(maxTokens); });
}

TEST_P(LinearTest, SameBitsAloneAndInABatch) {
  forEachSet({{.rows = 70, .depth = 1440}},
             [](LinearCase &one) { one.expectInvariant(37); });
}

TEST_P(LinearTest, Residual) {
  forEachSet({{.rows = 64, .depth = 96, .residual = true},
              {.rows = 45, .depth = 96, .residual = true}},
             [](LinearCase &one) { one.expectCorrect(5); });
}

TEST_P(LinearTest, Heads) {
  forEachSet({{.rows = 64, .depth = 48, .heads = 3},
              {.rows = 50, .depth = 32, .heads = 4, .sharedInput = true},
              {.rows = 32,
               .depth = 32,
               .heads = 2,
               .outputStride = 100,
               .outputHeadStride = 48}},
             [](LinearCase &one) {
               one.expectCorrect(1);
               one.expectCorrect(9);
             });
}

TEST_P(LinearTest, Gather) {
  forEachSet({{.rows = 64, .depth = 96, .gather = true, .dim = Dim::logitRows}},
             [](LinearCase &one) { one.expectCorrect(21); });
}

TEST_P(LinearTest, Bf16Output) {
  forEachSet({{.rows = 64, .depth = 96, .output = OutputType::bf16},
              {.rows = 45, .depth = 96, .output = OutputType::bf16},
              {.rows = 45,
               .depth = 96,
               .output = OutputType::bf16,
               .paddedOutput = true}},
             [](LinearCase &one) { one.expectCorrect(13); });
}

INSTANTIATE_TEST_SUITE_P(Formats, LinearTest,
                         testing::ValuesIn(allWeightFormats),
                         [](auto &info) { return formatName(info.param); });

} // namespace
