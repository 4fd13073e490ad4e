//===- RowKernelsTest.cpp - Row kernels of the GPU against plain loops ----===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "lowering/NVPTX/RowMap.h"
#include "lowering/NVPTX/RowNorm.h"
#include "lowering/NVPTX/RowRope.h"
#include "test/lowering/nvptx/EmulatedKernel.h"

#include <gtest/gtest.h>

#include <cmath>

using namespace dsv2::test;
using namespace mlir;
using namespace mlir::dsv2::nvptx;

namespace mlir::dsv2::nvptx {

/// Names the parameter of a test in its listing.
static void PrintTo(CacheFormat format, std::ostream *os) {
  *os << (format == CacheFormat::f32    ? "f32"
          : format == CacheFormat::bf16 ? "bf16"
                                        : "fp8");
}

} // namespace mlir::dsv2::nvptx

namespace {

constexpr int64_t extra = 64; ///< elements of poison behind a buffer

void expectNear(float actual, float expected, float tolerance, int64_t where) {
  ASSERT_LE(std::fabs(actual - expected),
            tolerance * (1.0f + std::fabs(expected)))
      << "at " << where << ": " << actual << " for " << expected;
}

/// One row of any format as float.
std::vector<float> readRow(const DeviceBuffer &rows, const DeviceBuffer &scales,
                           RowFormat format, int64_t row, int64_t depth) {
  std::vector<float> out(depth);
  for (int64_t i = 0; i < depth; ++i) {
    int64_t at = row * depth + i;
    if (format == RowFormat::f32)
      out[i] = reinterpret_cast<const float *>(rows.data())[at];
    else if (format == RowFormat::bf16)
      out[i] = bf16ToFloat(reinterpret_cast<const uint16_t *>(rows.data())[at]);
    else
      out[i] = e4m3ToFloat(rows.data()[at]) *
               reinterpret_cast<const float *>(scales.data())[at / 128];
  }
  return out;
}

/// Error relative to the largest element of a group (fp8) or to the element.
void expectRow(const std::vector<float> &actual,
               const std::vector<float> &expected, RowFormat format) {
  for (size_t i = 0; i < expected.size(); ++i) {
    float bound = std::fabs(expected[i]);
    float tolerance = format == RowFormat::f32    ? 4e-6f
                      : format == RowFormat::bf16 ? 4.1e-3f
                                                  : 0.0626f;
    if (format == RowFormat::fp8) {
      float largest = 0;
      for (size_t j = i / 128 * 128; j < (i / 128 + 1) * 128; ++j)
        largest = std::max(largest, std::fabs(expected[j]));
      bound = std::max(bound, largest / 448);
    }
    ASSERT_LE(std::fabs(actual[i] - expected[i]), tolerance * bound + 1e-6f)
        << "at " << i << ": " << actual[i] << " for " << expected[i];
  }
}

struct NormCase {
  int64_t depth, stride, offset;
  bool gather, add, bf16Input;
  RowFormat format;
};

void PrintTo(const NormCase &c, std::ostream *os) {
  *os << c.depth << (c.stride ? "_strided" : "") << (c.gather ? "_gather" : "")
      << (c.add ? "_add" : "") << (c.bf16Input ? "_bf16" : "") << "_format"
      << static_cast<int>(c.format);
}

class RmsNorm : public testing::TestWithParam<NormCase> {};

TEST_P(RmsNorm, MatchesLoops) {
  const NormCase &c = GetParam();
  std::mt19937 random(7);
  constexpr int64_t rows = 3;
  RmsNormSpec spec{c.depth,  c.stride, c.offset,    1e-6f,
                   c.gather, c.add,    c.bf16Input, c.format};
  AssembledKernel kernel(
      [&](ModuleOp m) { return emitRmsNorm(m, "norm", spec); });
  kernel.expectClean();

  int64_t stride = c.stride ? c.stride : c.depth;
  std::vector<float> x = randomFloats(rows * stride, random);
  if (c.bf16Input)
    for (float &v : x)
      v = bf16ToFloat(floatToBf16(v));
  std::vector<float> gamma = randomFloats(c.depth, random);
  std::vector<float> addend = randomFloats(rows * c.depth, random);
  std::vector<int32_t> which = {2, 0};
  DeviceBuffer xs = c.bf16Input ? DeviceBuffer::of(bf16Of(x), extra)
                                : DeviceBuffer::of(x, extra);
  DeviceBuffer gammas = DeviceBuffer::of(gamma), ids = DeviceBuffer::of(which),
               addends = DeviceBuffer::of(addend, extra),
               sums(4 * (rows * c.depth + extra)),
               y(4 * (rows * c.depth + extra)),
               scales(4 * (rows * c.depth / 128 + extra));
  std::vector<DeviceBuffer *> bindings = {&xs, &gammas};
  if (c.gather)
    bindings.push_back(&ids);
  if (c.add)
    bindings.insert(bindings.end(), {&addends, &sums});
  bindings.push_back(&y);
  if (c.format == RowFormat::fp8)
    bindings.push_back(&scales);
  StepSizes sizes;
  sizes.tokens = rows;
  sizes.logitRows = 2;
  runEmulated(kernel, bindings, sizes);

  for (int64_t r = 0; r < (c.gather ? 2 : rows); ++r) {
    int64_t source = c.gather ? which[r] : r;
    std::vector<float> v(c.depth), expected(c.depth);
    double squares = 0;
    for (int64_t i = 0; i < c.depth; ++i) {
      v[i] = x[source * stride + c.offset + i];
      if (c.add)
        v[i] += addend[source * c.depth + i];
      squares += static_cast<double>(v[i]) * v[i];
    }
    double inverse = 1.0 / std::sqrt(squares / c.depth + 1e-6);
    for (int64_t i = 0; i < c.depth; ++i)
      expected[i] = static_cast<float>(v[i] * inverse * gamma[i]);
    expectRow(readRow(y, scales, c.format, r, c.depth), expected, c.format);
    for (int64_t i = 0; c.add && i < c.depth; ++i)
      ASSERT_EQ(sums.read<float>(rows * c.depth)[source * c.depth + i], v[i]);
  }
}

INSTANTIATE_TEST_SUITE_P(
    NVPTX, RmsNorm,
    testing::Values(NormCase{2048, 0, 0, false, false, false, RowFormat::bf16},
                    NormCase{7168, 0, 0, false, true, false, RowFormat::fp8},
                    NormCase{1536, 2112, 0, false, false, true, RowFormat::fp8},
                    NormCase{52, 60, 8, false, false, false, RowFormat::f32},
                    NormCase{5120, 0, 0, true, false, false, RowFormat::bf16}));

TEST(NVPTXRowTest, PacksHeadsAndGathersRows) {
  std::mt19937 random(8);
  PackRowsSpec pack;
  pack.heads = 3;
  pack.depth = 128;
  pack.tokenStride = 600;
  pack.headStride = 192;
  pack.offset = 4;
  pack.format = RowFormat::bf16;
  AssembledKernel kernel(
      [&](ModuleOp m) { return emitPackRows(m, "pack", pack); });
  kernel.expectClean();
  std::vector<float> x = randomFloats(2 * 600, random);
  DeviceBuffer xs = DeviceBuffer::of(x), y(2 * 3 * 128 * 2);
  StepSizes sizes;
  sizes.tokens = 2;
  runEmulated(kernel, {&xs, &y}, sizes);
  for (int64_t row = 0; row < 6; ++row)
    for (int64_t i = 0; i < 128; ++i)
      ASSERT_EQ(y.read<uint16_t>(768)[row * 128 + i],
                floatToBf16(x[row / 3 * 600 + row % 3 * 192 + 4 + i]));

  GatherRowsSpec gather;
  gather.depth = 600;
  gather.stride = 600;
  AssembledKernel second(
      [&](ModuleOp m) { return emitGatherRows(m, "gather", gather); });
  std::vector<int32_t> ids = {1, 1, 0};
  DeviceBuffer rows = DeviceBuffer::of(ids), z(3 * 600 * 4);
  sizes.logitRows = 3;
  runEmulated(second, {&xs, &rows, &z}, sizes);
  for (int64_t r = 0; r < 3; ++r)
    for (int64_t i = 0; i < 600; ++i)
      ASSERT_EQ(z.read<float>(1800)[r * 600 + i], x[ids[r] * 600 + i]);
}

TEST(NVPTXRowTest, GathersFp8AsItIs) {
  AssembledKernel kernel(
      [&](ModuleOp m) { return emitGatherFp8(m, "gather", {2, 640}); });
  kernel.expectClean();
  std::mt19937 random(10);
  std::vector<uint8_t> x(3 * 640);
  for (uint8_t &bits : x)
    bits = static_cast<uint8_t>(random());
  std::vector<float> scales = randomFloats(3 * 5, random);
  std::vector<int32_t> ids = {2, 0, 1, 2};
  DeviceBuffer xs = DeviceBuffer::of(x), from = DeviceBuffer::of(scales),
               rows = DeviceBuffer::of(ids), y(4 * 640), to(4 * 5 * 4);
  StepSizes sizes;
  sizes.tokens = 2;
  runEmulated(kernel, {&xs, &from, &rows, &y, &to}, sizes);
  std::vector<uint8_t> quants = y.read<uint8_t>(4 * 640);
  std::vector<float> written = to.read<float>(4 * 5);
  for (int64_t r = 0; r < 4; ++r) {
    for (int64_t i = 0; i < 640; ++i)
      ASSERT_EQ(quants[r * 640 + i], x[ids[r] * 640 + i]);
    for (int64_t i = 0; i < 5; ++i)
      ASSERT_EQ(written[r * 5 + i], scales[ids[r] * 5 + i]);
  }
}

TEST(NVPTXRowTest, SwiGluEmbedAndSum) {
  std::mt19937 random(9);
  for (RowFormat format : {RowFormat::bf16, RowFormat::fp8}) {
    SwiGluSpec spec;
    spec.rowsPerToken = 2;
    spec.depth = 1408;
    spec.stride = 2816;
    spec.upOffset = 1408;
    spec.format = format;
    AssembledKernel kernel(
        [&](ModuleOp m) { return emitSwiGlu(m, "swiglu", spec); });
    kernel.expectClean();
    std::vector<float> x = randomFloats(4 * 2816, random);
    DeviceBuffer xs = DeviceBuffer::of(x), y(4 * 1408 * 2), scales(4 * 11 * 4);
    StepSizes sizes;
    sizes.tokens = 2;
    std::vector<DeviceBuffer *> bindings = {&xs, &xs, &y};
    if (format == RowFormat::fp8)
      bindings.push_back(&scales);
    runEmulated(kernel, bindings, sizes);
    for (int64_t r = 0; r < 4; ++r) {
      std::vector<float> expected;
      for (int64_t i = 0; i < 1408; ++i) {
        double g = x[r * 2816 + i], u = x[r * 2816 + 1408 + i];
        expected.push_back(static_cast<float>(g / (1 + std::exp(-g)) * u));
      }
      expectRow(readRow(y, scales, format, r, 1408), expected, format);
    }
  }

  AssembledKernel embed([&](ModuleOp m) {
    return emitEmbed(m, "embed", {.depth = 256, .bf16Table = true});
  });
  std::vector<float> table = randomFloats(5 * 256, random);
  std::vector<int32_t> tokens = {4, 0, 2};
  DeviceBuffer ids = DeviceBuffer::of(tokens),
               tables = DeviceBuffer::of(bf16Of(table)), y(3 * 256 * 4);
  StepSizes sizes;
  sizes.tokens = 3;
  runEmulated(embed, {&ids, &tables, &y}, sizes);
  for (int64_t i = 0; i < 768; ++i)
    ASSERT_EQ(y.read<float>(768)[i],
              bf16ToFloat(floatToBf16(table[tokens[i / 256] * 256 + i % 256])));

  AssembledKernel sum([&](ModuleOp m) {
    return emitSumRows(m, "sum", {.depth = 256, .scales = {1.0f, 0.5f}});
  });
  std::vector<float> a = randomFloats(768, random),
                     b = randomFloats(768, random);
  DeviceBuffer as = DeviceBuffer::of(a), bs = DeviceBuffer::of(b);
  runEmulated(sum, {&as, &bs, &y}, sizes);
  for (int64_t i = 0; i < 768; ++i)
    ASSERT_EQ(y.read<float>(768)[i], a[i] + 0.5f * b[i]);
}

TEST(NVPTXRowTest, RotatesHeads) {
  std::mt19937 random(10);
  RopeSpec spec;
  spec.heads = 5;
  spec.rope = 64;
  spec.input = {5 * 192, 192, 128};
  spec.output = {5 * 576, 576, 512};
  AssembledKernel kernel([&](ModuleOp m) { return emitRope(m, "rope", spec); });
  kernel.expectClean();
  std::vector<float> x = randomFloats(3 * 960, random);
  std::vector<float> table = randomFloats(10 * 64, random);
  std::vector<int32_t> positions = {9, 0, 4};
  DeviceBuffer xs = DeviceBuffer::of(x), ids = DeviceBuffer::of(positions),
               tables = DeviceBuffer::of(table), y(3 * 5 * 576 * 2);
  StepSizes sizes;
  sizes.tokens = 3;
  runEmulated(kernel, {&xs, &ids, &tables, &y}, sizes);
  std::vector<uint16_t> out = y.read<uint16_t>(3 * 5 * 576);
  for (int64_t t = 0; t < 3; ++t)
    for (int64_t h = 0; h < 5; ++h)
      for (int64_t i = 0; i < 64; i += 2) {
        const float *in = &x[t * 960 + h * 192 + 128 + i];
        const float *turn = &table[positions[t] * 64 + i];
        const uint16_t *to = &out[(t * 5 + h) * 576 + 512 + i];
        expectNear(bf16ToFloat(to[0]), in[0] * turn[0] - in[1] * turn[1], 4e-3f,
                   i);
        expectNear(bf16ToFloat(to[1]), in[1] * turn[0] + in[0] * turn[1], 4e-3f,
                   i);
        ASSERT_EQ(out[(t * 5 + h) * 576 + i], 0xffff);
      }
}

class CacheAppend : public testing::TestWithParam<CacheFormat> {};

TEST_P(CacheAppend, MatchesLoops) {
  std::mt19937 random(11);
  CacheAppendSpec spec;
  spec.latent = 512;
  spec.rope = 64;
  spec.stride = 2112;
  spec.offset = 1536;
  spec.epsilon = 1e-6f;
  spec.format = GetParam();
  AssembledKernel kernel(
      [&](ModuleOp m) { return emitCacheAppend(m, "append", spec); });
  kernel.expectClean();
  CacheRow layout{spec.format, 512, 64};
  ASSERT_EQ(layout.bytes(), spec.format == CacheFormat::fp8    ? 656
                            : spec.format == CacheFormat::bf16 ? 1152
                                                               : 2304);
  std::vector<float> kv = randomFloats(2 * 2112, random);
  std::vector<float> gamma = randomFloats(512, random);
  std::vector<float> table = randomFloats(8 * 64, random);
  std::vector<int32_t> positions = {5, 7}, rows = {3, 0};
  DeviceBuffer kvs = DeviceBuffer::of(kv), gammas = DeviceBuffer::of(gamma),
               at = DeviceBuffer::of(positions),
               tables = DeviceBuffer::of(table), to = DeviceBuffer::of(rows),
               cache(4 * layout.bytes());
  StepSizes sizes;
  sizes.tokens = 2;
  runEmulated(kernel, {&kvs, &gammas, &at, &tables, &to, &cache}, sizes);
  for (int64_t t = 0; t < 2; ++t) {
    const float *in = &kv[t * 2112 + 1536];
    const uint8_t *row = cache.data() + rows[t] * layout.bytes();
    double squares = 0;
    for (int64_t i = 0; i < 512; ++i)
      squares += static_cast<double>(in[i]) * in[i];
    double inverse = 1 / std::sqrt(squares / 512 + 1e-6);
    auto element = [&](const uint8_t *from, int64_t i) {
      return spec.format == CacheFormat::f32
                 ? reinterpret_cast<const float *>(from)[i]
                 : bf16ToFloat(reinterpret_cast<const uint16_t *>(from)[i]);
    };
    for (int64_t i = 0; i < 512; ++i) {
      auto expected = static_cast<float>(in[i] * inverse * gamma[i]);
      if (spec.format == CacheFormat::fp8)
        expectNear(e4m3ToFloat(row[i]) *
                       reinterpret_cast<const float *>(row + 512)[i / 128],
                   expected, 0.07f, i);
      else
        expectNear(element(row, i), expected, 4e-3f, i);
    }
    for (int64_t i = 0; i < 64; i += 2) {
      const float *turn = &table[positions[t] * 64 + i];
      float a = in[512 + i], b = in[513 + i];
      const uint8_t *key = row + layout.keyOffset();
      expectNear(element(key, i), a * turn[0] - b * turn[1], 4e-3f, i);
      expectNear(element(key, i + 1), b * turn[0] + a * turn[1], 4e-3f, i);
    }
  }
  // Rows of nobody are left alone.
  for (int64_t i = layout.bytes(); i < 3 * layout.bytes(); ++i)
    ASSERT_EQ(cache.data()[i], 0xff);
}

INSTANTIATE_TEST_SUITE_P(NVPTX, CacheAppend,
                         testing::Values(CacheFormat::f32, CacheFormat::bf16,
                                         CacheFormat::fp8));

/// Queries in the launch of an append have the bits of a launch of their own.
TEST(NVPTXRowTest, AppendsAndRotatesQueries) {
  std::mt19937 random(13);
  RopeSpec queries;
  queries.heads = 9;
  queries.rope = 64;
  queries.input = {9 * 192, 192, 128};
  queries.output = {9 * 64, 64};
  CacheAppendSpec spec;
  spec.latent = 512;
  spec.rope = 64;
  spec.stride = 576;
  spec.epsilon = 1e-6f;
  AssembledKernel append(
      [&](ModuleOp m) { return emitCacheAppend(m, "append", spec); });
  AssembledKernel rotate(
      [&](ModuleOp m) { return emitRope(m, "rope", queries); });
  spec.queries = queries;
  AssembledKernel both(
      [&](ModuleOp m) { return emitCacheAppend(m, "both", spec); });
  both.expectClean();
  DeviceBuffer kv = DeviceBuffer::of(randomFloats(3 * 576, random)),
               gamma = DeviceBuffer::of(randomFloats(512, random)),
               table = DeviceBuffer::of(randomFloats(8 * 64, random)),
               q = DeviceBuffer::of(randomFloats(3 * 9 * 192, random)),
               positions = DeviceBuffer::of(std::vector<int32_t>{5, 7, 0}),
               rows = DeviceBuffer::of(std::vector<int32_t>{3, 0, 1});
  DeviceBuffer cache(4 * 1152), sameCache(4 * 1152), y(3 * 9 * 128),
      sameY(3 * 9 * 128);
  StepSizes sizes;
  sizes.tokens = 3;
  runEmulated(append, {&kv, &gamma, &positions, &table, &rows, &cache}, sizes);
  runEmulated(rotate, {&q, &positions, &table, &y}, sizes);
  runEmulated(both,
              {&kv, &gamma, &positions, &table, &rows, &sameCache, &q, &sameY},
              sizes);
  EXPECT_EQ(sameCache.read<uint16_t>(4 * 576), cache.read<uint16_t>(4 * 576));
  EXPECT_EQ(sameY.read<uint16_t>(3 * 9 * 64), y.read<uint16_t>(3 * 9 * 64));
}

} // namespace
