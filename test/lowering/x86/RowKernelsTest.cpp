//===- RowKernelsTest.cpp - Norms, packing, SwiGLU, rope ------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/X86/RowMap.h"
#include "lowering/X86/RowNorm.h"
#include "lowering/X86/RowRope.h"
#include "test/lowering/x86/RunKernel.h"

#include <gtest/gtest.h>

namespace dsv2::test {
namespace {

using namespace mlir::dsv2::x86;

constexpr uint32_t seed = 20240507;

class RowKernels : public testing::TestWithParam<InstructionSet> {
protected:
  RowKernels() { RecordProperty("seed", seed); }
  Random random{seed};
};

INSTANTIATE_TEST_SUITE_P(Sets, RowKernels, testing::ValuesIn(hostSets()),
                         [](auto &info) { return setName(info.param); });

/// Checks rows of any format against the exact values.
void expectRows(RowFormat format, const std::vector<uint8_t> &bytes,
                const std::vector<double> &expected, int64_t rows,
                int64_t depth, double tolerance) {
  int64_t padded = paddedDepth(depth), stride = rowBytes(format, depth);
  for (int64_t r = 0; r < rows; ++r) {
    const uint8_t *row = bytes.data() + r * stride;
    const double *want = expected.data() + r * depth;
    if (format == RowFormat::f32) {
      auto *values = reinterpret_cast<const float *>(row);
      for (int64_t i = 0; i < depth; ++i)
        ASSERT_NEAR(values[i], want[i], tolerance * (1e-3 + std::abs(want[i])))
            << "row " << r << " column " << i << " seed " << seed;
      continue;
    }
    if (format == RowFormat::bf16) {
      auto *values = reinterpret_cast<const uint16_t *>(row);
      for (int64_t i = 0; i < padded; ++i) {
        double value = i < depth ? want[i] : 0.0;
        ASSERT_NEAR(fromBf16(values[i]), value,
                    (tolerance + 0.00391) * std::abs(value) + 1e-30)
            << "row " << r << " column " << i << " seed " << seed;
      }
      continue;
    }
    auto *quants = reinterpret_cast<const int8_t *>(row);
    auto *scales = reinterpret_cast<const float *>(row + scalesOffset(depth));
    auto *sums = reinterpret_cast<const int32_t *>(row + sumsOffset(depth));
    for (int64_t g = 0; g < padded / groupSize; ++g) {
      double largest = 0;
      int32_t sum = 0;
      for (int64_t i = g * groupSize; i < (g + 1) * groupSize; ++i) {
        double value = i < depth ? want[i] : 0.0;
        largest = std::max(largest, std::abs(value));
        sum += quants[i];
        ASSERT_NEAR(quants[i] * static_cast<double>(scales[g]), value,
                    scales[g] * 0.50001 + tolerance * std::abs(value))
            << "row " << r << " column " << i << " seed " << seed;
      }
      ASSERT_NEAR(scales[g], largest / 127, largest * (tolerance + 1e-6));
      ASSERT_EQ(sums[g], sum) << "row " << r << " group " << g;
    }
  }
}

constexpr RowFormat formats[] = {RowFormat::f32, RowFormat::bf16,
                                 RowFormat::int8};

TEST_P(RowKernels, RmsNorm) {
  for (RowFormat format : formats)
    for (int64_t depth : {7, 515})
      for (int mode = 0; mode < 3; ++mode) {
        RmsNormSpec spec;
        spec.rows = 5;
        spec.depth = depth;
        spec.offset = mode == 0 ? 3 : 0;
        spec.stride = mode == 0 ? depth + 8 : depth;
        spec.epsilon = 1e-6f;
        spec.gather = mode == 1;
        spec.add = mode == 2;
        spec.format = format;
        Kernel kernel(GetParam(), [&](auto module, auto &set) {
          return emitRmsNorm(module, "norm", set, spec);
        });
        std::vector<float> x = random.floats(5 * spec.stride, 3.0f),
                           gamma = random.floats(depth),
                           addend = random.floats(5 * depth),
                           sum(5 * depth + 1, untouched);
        std::vector<int32_t> rows = {4, 1};
        int64_t count = spec.gather ? 2 : 5;
        std::vector<uint8_t> y(5 * rowBytes(format, depth), 0xee);
        std::vector<void *> bindings = {x.data(), gamma.data()};
        if (spec.gather)
          bindings.push_back(rows.data());
        if (spec.add)
          bindings.insert(bindings.end(), {addend.data(), sum.data()});
        bindings.push_back(y.data());
        kernel(bindings, {5, 1, 1, 2});

        std::vector<double> expected;
        for (int64_t r = 0; r < count; ++r) {
          int64_t source = spec.gather ? rows[r] : r;
          std::vector<double> v(depth);
          double squares = 0;
          for (int64_t i = 0; i < depth; ++i) {
            v[i] = x[source * spec.stride + spec.offset + i];
            if (spec.add) {
              v[i] = static_cast<float>(v[i]) + addend[source * depth + i];
              ASSERT_EQ(sum[source * depth + i], static_cast<float>(v[i]));
            }
            squares += v[i] * v[i];
          }
          for (int64_t i = 0; i < depth; ++i)
            expected.push_back(v[i] / std::sqrt(squares / depth + 1e-6) *
                               gamma[i]);
        }
        EXPECT_EQ(sum.back(), untouched);
        expectRows(format, y, expected, count, depth, 2e-6);
        if (HasFatalFailure())
          return;
      }
}

TEST_P(RowKernels, PackRowsOfHeads) {
  for (RowFormat format : formats)
    for (int64_t depth : {33, 128, 1500}) {
      PackRowsSpec spec;
      spec.tokens = 3;
      spec.heads = 2;
      spec.depth = depth;
      spec.headStride = depth + 5;
      spec.tokenStride = 2 * spec.headStride + 1;
      spec.offset = 4;
      spec.format = format;
      Kernel kernel(GetParam(), [&](auto module, auto &set) {
        return emitPackRows(module, "pack", set, spec);
      });
      std::vector<float> x = random.floats(3 * spec.tokenStride, 2.0f);
      x[spec.offset] = 0.0f;
      std::vector<uint8_t> y(6 * rowBytes(format, depth), 0xee);
      kernel({x.data(), y.data()}, {3});
      std::vector<double> expected;
      for (int64_t r = 0; r < 6; ++r)
        for (int64_t i = 0; i < depth; ++i)
          expected.push_back(x[r / 2 * spec.tokenStride +
                               r % 2 * spec.headStride + spec.offset + i]);
      expectRows(format, y, expected, 6, depth, 0.0);
      if (HasFatalFailure())
        return;
    }
}

TEST_P(RowKernels, ZeroGroupsPackToZero) {
  PackRowsSpec spec;
  spec.tokens = 1;
  spec.depth = spec.tokenStride = 64;
  spec.format = RowFormat::int8;
  Kernel kernel(GetParam(), [&](auto module, auto &set) {
    return emitPackRows(module, "pack", set, spec);
  });
  std::vector<float> x(64, 0.0f);
  x[40] = -254.0f;
  x[41] = 3.0f; // 1.5 steps: to even
  x[42] = 1.0f; // half a step: to even
  std::vector<int8_t> y(rowBytes(RowFormat::int8, 64), 0x55);
  kernel({x.data(), y.data()}, {1});
  EXPECT_EQ(y[0], 0);
  EXPECT_EQ(y[40], -127);
  EXPECT_EQ(y[41], 2);
  EXPECT_EQ(y[42], 0);
  float scales[2];
  std::memcpy(scales, y.data() + scalesOffset(64), 8);
  EXPECT_EQ(scales[0], 0.0f);
  EXPECT_EQ(scales[1], 2.0f);
}

TEST_P(RowKernels, SwiGlu) {
  for (RowFormat format : formats)
    for (int64_t depth : {9, 1408}) {
      SwiGluSpec spec;
      spec.tokens = 3;
      spec.rowsPerToken = 2;
      spec.depth = depth;
      spec.stride = 2 * depth + 3;
      spec.upOffset = depth + 1;
      spec.format = format;
      Kernel kernel(GetParam(), [&](auto module, auto &set) {
        return emitSwiGlu(module, "swiglu", set, spec);
      });
      std::vector<float> x = random.floats(6 * spec.stride, 10.0f);
      x[0] = -200.0f;
      x[1] = 200.0f;
      std::vector<uint8_t> y(6 * rowBytes(format, depth), 0xee);
      kernel({x.data(), x.data(), y.data()}, {3});
      std::vector<double> expected;
      for (int64_t r = 0; r < 6; ++r)
        for (int64_t i = 0; i < depth; ++i) {
          double gate = x[r * spec.stride + i];
          double up = x[r * spec.stride + depth + 1 + i];
          expected.push_back(gate / (1.0 + std::exp(-gate)) * up);
        }
      expectRows(format, y, expected, 6, depth, 3e-6);
      if (HasFatalFailure())
        return;
    }
}

TEST_P(RowKernels, EmbedAndSum) {
  constexpr int64_t vocab = 11, depth = 83;
  for (bool bf16 : {true, false}) {
    EmbedSpec spec{4, vocab, depth, bf16};
    Kernel kernel(GetParam(), [&](auto module, auto &set) {
      return emitEmbed(module, "embed", set, spec);
    });
    std::vector<float> table = random.floats(vocab * depth);
    std::vector<uint16_t> narrow = toBf16(table);
    std::vector<int32_t> ids = {10, 0, 3, 3};
    std::vector<float> y(4 * depth + 1, untouched);
    void *weights = bf16 ? static_cast<void *>(narrow.data()) : table.data();
    kernel({ids.data(), weights, y.data()}, {4});
    for (int64_t i = 0; i < 4 * depth; ++i) {
      int64_t from = ids[i / depth] * depth + i % depth;
      ASSERT_EQ(y[i], bf16 ? fromBf16(narrow[from]) : table[from]);
    }
    EXPECT_EQ(y.back(), untouched);
  }

  SumRowsSpec spec;
  spec.tokens = 2;
  spec.depth = depth;
  spec.scales = {1.0f, 0.5f, -2.0f};
  Kernel kernel(GetParam(), [&](auto module, auto &set) {
    return emitSumRows(module, "sum", set, spec);
  });
  std::vector<float> a = random.floats(2 * depth), b = random.floats(2 * depth),
                     c = random.floats(2 * depth), y(2 * depth);
  kernel({a.data(), b.data(), c.data(), y.data()}, {2});
  for (int64_t i = 0; i < 2 * depth; ++i)
    ASSERT_EQ(y[i], a[i] + 0.5f * b[i] + -2.0f * c[i]);
}

std::vector<float> ropeTable(int64_t positions, int64_t rope) {
  std::vector<float> table;
  for (int64_t p = 0; p < positions; ++p)
    for (int64_t i = 0; i < rope / 2; ++i) {
      double angle = p * std::pow(10000.0, -2.0 * i / rope);
      table.push_back(std::cos(angle));
      table.push_back(std::sin(angle));
    }
  return table;
}

/// Element `i` of `x` rotated to `position`.
double rotated(const float *x, const std::vector<float> &table, int64_t rope,
               int64_t position, int64_t i) {
  const float *pair = table.data() + position * rope + (i & ~1);
  double cos = pair[0], sin = pair[1];
  return i & 1 ? x[i] * cos + x[i - 1] * sin : x[i] * cos - x[i + 1] * sin;
}

TEST_P(RowKernels, Rope) {
  for (int64_t rope : {8, 64, 22})
    for (bool bf16 : {false, true}) {
      RopeSpec spec;
      spec.tokens = 3;
      spec.heads = 3;
      spec.rope = rope;
      spec.positions = 50;
      spec.input = {3 * (rope + 4), rope + 4, 4};
      spec.output = {3 * (rope + 2), rope + 2, 2};
      spec.bf16Output = bf16;
      Kernel kernel(GetParam(), [&](auto module, auto &set) {
        return emitRope(module, "rope", set, spec);
      });
      std::vector<float> x = random.floats(3 * spec.input.tokenStride);
      std::vector<float> table = ropeTable(50, rope);
      std::vector<int32_t> positions = {0, 49, 17};
      std::vector<float> y(3 * spec.output.tokenStride, untouched);
      std::vector<uint16_t> narrow = toBf16(y);
      kernel({x.data(), positions.data(), table.data(),
              bf16 ? static_cast<void *>(narrow.data()) : y.data()},
             {3});
      for (int64_t t = 0; t < 3; ++t)
        for (int64_t h = 0; h < 3; ++h) {
          const float *in = x.data() + (t * 3 + h) * (rope + 4) + 4;
          for (int64_t i = -2; i < rope; ++i) {
            int64_t place = (t * 3 + h) * (rope + 2) + 2 + i;
            double got = bf16 ? fromBf16(narrow[place]) : y[place];
            if (i < 0) {
              ASSERT_EQ(got, bf16 ? fromBf16(toBf16(untouched)) : untouched);
              continue;
            }
            double want = rotated(in, table, rope, positions[t], i);
            ASSERT_NEAR(got, want, bf16 ? 0.004 * std::abs(want) + 1e-6 : 2e-7)
                << "seed " << seed;
          }
        }
    }
}

TEST_P(RowKernels, CacheAppend) {
  for (auto [latent, rope] : {std::pair{512, 64}, {48, 8}, {35, 10}}) {
    CacheAppendSpec spec;
    spec.tokens = 3;
    spec.cache = {latent, rope, 16};
    spec.positions = 20;
    spec.offset = 5;
    spec.stride = latent + rope + 5;
    spec.epsilon = 1e-6f;
    Kernel kernel(GetParam(), [&](auto module, auto &set) {
      return emitCacheAppend(module, "append", set, spec);
    });
    int64_t width = latent + rope;
    std::vector<float> kv = random.floats(3 * spec.stride, 2.0f),
                       gamma = random.floats(latent),
                       table = ropeTable(20, rope);
    std::vector<int32_t> positions = {3, 19, 0}, rows = {14, 2, 7};
    std::vector<uint16_t> cache(16 * width, 0x7fc0);
    kernel({kv.data(), gamma.data(), positions.data(), table.data(),
            rows.data(), cache.data()},
           {3});
    for (int64_t t = 0; t < 3; ++t) {
      const float *in = kv.data() + t * spec.stride + 5;
      uint16_t *out = cache.data() + rows[t] * width;
      double squares = 0;
      for (int64_t i = 0; i < latent; ++i)
        squares += static_cast<double>(in[i]) * in[i];
      for (int64_t i = 0; i < width; ++i) {
        double want =
            i < latent
                ? in[i] / std::sqrt(squares / latent + 1e-6) * gamma[i]
                : rotated(in + latent, table, rope, positions[t], i - latent);
        ASSERT_NEAR(fromBf16(out[i]), want, 0.00392 * std::abs(want) + 1e-6)
            << "token " << t << " column " << i << " seed " << seed;
        out[i] = 0x7fc0;
      }
    }
    for (uint16_t bits : cache)
      ASSERT_EQ(bits, 0x7fc0) << "only the rows of the step are written";
  }
}

TEST_P(RowKernels, Int8CacheAppend) {
  for (auto [latent, rope, page] :
       {std::tuple{512, 64, 128}, {48, 8, 64}, {150, 10, 16}}) {
    CacheAppendSpec spec;
    spec.tokens = 3;
    spec.cache = {latent, rope, 128};
    spec.cache.pageSize = page;
    spec.cache.format = CacheFormat::int8;
    spec.positions = 20;
    spec.stride = latent + rope;
    spec.epsilon = 1e-6f;
    Kernel kernel(GetParam(), [&](auto module, auto &set) {
      return emitCacheAppend(module, "append", set, spec);
    });
    const CachePlane &plane = spec.cache;
    std::vector<float> kv = random.floats(3 * spec.stride, 2.0f),
                       gamma = random.floats(latent),
                       table = ropeTable(20, rope);
    std::vector<int32_t> positions = {3, 19, 0}, rows = {14, 126, 67};
    std::vector<int32_t> cache(128 * plane.rowStride(), -1);
    kernel({kv.data(), gamma.data(), positions.data(), table.data(),
            rows.data(), cache.data()},
           {3});
    int64_t tokens = plane.blockTokens();
    for (int64_t t = 0; t < 3; ++t) {
      auto word = [&](int64_t row) -> int32_t & {
        return cache[rows[t] / tokens * tokens * plane.rowStride() +
                     row * tokens + rows[t] % tokens];
      };
      const float *in = kv.data() + t * spec.stride;
      double squares = 0;
      for (int64_t i = 0; i < latent; ++i)
        squares += static_cast<double>(in[i]) * in[i];
      for (int64_t group = 0; group < plane.groups(); ++group) {
        int64_t first = group * latentGroup,
                end = std::min<int64_t>(first + latentGroup, latent);
        std::vector<double> want;
        double largest = 0;
        for (int64_t i = first; i < end; ++i) {
          want.push_back(in[i] / std::sqrt(squares / latent + 1e-6) * gamma[i]);
          largest = std::max(largest, std::abs(want.back()));
        }
        float scale;
        std::memcpy(&scale, &word(plane.scaleRow() + group), 4);
        ASSERT_NEAR(scale, largest / 127, 1e-5 * largest) << "seed " << seed;
        for (int64_t i = first; i < end; ++i) {
          int quant = (word(i / 4) >> i % 4 * 8 & 255) - 128;
          ASSERT_NEAR(quant * scale, want[i - first], 0.51 * scale)
              << "token " << t << " column " << i << " seed " << seed;
        }
      }
      for (int64_t i = 0; i < rope; ++i) {
        double want = rotated(in + latent, table, rope, positions[t], i);
        int32_t bits = word(plane.pairRow() + i / 2) >> i % 2 * 16 & 0xffff;
        ASSERT_NEAR(fromBf16(bits), want, 0.00392 * std::abs(want) + 1e-6)
            << "token " << t << " key " << i << " seed " << seed;
      }
      for (int64_t row = 0; row < plane.rowStride(); ++row)
        word(row) = -1;
    }
    for (int32_t bits : cache)
      ASSERT_EQ(bits, -1) << "only the rows of the step are written";
  }
}

} // namespace
} // namespace dsv2::test
