//===- GenericAttentionTest.cpp - The cache and attention -----------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/base/NumberFormats.h"
#include "test/lowering/generic/OpKernel.h"

#include <gtest/gtest.h>

#include <cstring>

namespace dsv2::test {
namespace {

constexpr uint32_t seed = 23;
constexpr int64_t latent = 12, rope = 4, width = latent + rope, heads = 3;
constexpr double scale = 0.37;
const std::string cacheType =
    "!dsv2.latent_cache<12 + 4xbf16, layers = 2, page = 8>";

class GenericAttention : public testing::Test {
protected:
  GenericAttention() { RecordProperty("seed", seed); }
  Random random{seed};
  // Prefill, chunk and decode in one step.
  RaggedBatch batch{{{9, 9}, {40, 5}, {33, 1}, {1, 1}}, width, 8, 120, random};
};

std::vector<float> widened(const std::vector<uint16_t> &values) {
  std::vector<float> result;
  for (uint16_t value : values)
    result.push_back(fromBf16(value));
  return result;
}

/// Softmax attention of every token and head; `key(h, s, k)` and so on give the
/// context of the token's sequence.
template <typename Score, typename ValueAt>
std::vector<double> attend(const RaggedBatch &batch, int64_t valueWidth,
                           Score score, ValueAt valueAt) {
  std::vector<double> result;
  for (int64_t t = 0; t < batch.tokens(); ++t)
    for (int64_t h = 0; h < heads; ++h) {
      int64_t sequence = batch.tokenSequence[t];
      std::vector<double> weights;
      double sum = 0, largest = -1e300;
      for (int64_t s = 0; s <= batch.positions[t]; ++s)
        weights.push_back(scale * score(t, h, sequence, s));
      for (double w : weights)
        largest = std::max(largest, w);
      for (double &w : weights)
        sum += w = std::exp(w - largest);
      for (int64_t v = 0; v < valueWidth; ++v) {
        double total = 0;
        for (size_t s = 0; s < weights.size(); ++s)
          total += weights[s] / sum * valueAt(h, sequence, s, v);
        result.push_back(total);
      }
    }
  return result;
}

double dot(const float *a, const float *b, int64_t count) {
  double sum = 0;
  for (int64_t i = 0; i < count; ++i)
    sum += double(a[i]) * b[i];
  return sum;
}

TEST_F(GenericAttention, CacheAppend) {
  OpKernel kernel("func.func @f(%cache: " + cacheType + R"(,
      %c: tensor<?x12xf32>, %k: tensor<?x4xf32>, %batch: !dsv2.batch) -> )" +
                  cacheType + R"( {
      %next = dsv2.cache_append %cache layer 1 (%c, %k) at %batch
        : tensor<?x12xf32>, tensor<?x4xf32>, )" +
                  cacheType + R"(
      return %next : )" +
                  cacheType + "}");
  int64_t tokens = batch.tokens();
  std::vector<float> c = random.floats(tokens * latent);
  std::vector<float> k = random.floats(tokens * rope);
  std::vector<uint16_t> plane(batch.cache.size(), 0x4141);
  std::vector<uint16_t> expected = plane;
  for (int64_t t = 0; t < tokens; ++t)
    for (int64_t i = 0; i < width; ++i)
      expected[batch.rowOf(batch.tokenSequence[t], batch.positions[t]) * width +
               i] =
          toBf16(i < latent ? c[t * latent + i] : k[t * rope + i - latent]);
  kernel({nullptr, c.data(), k.data(), nullptr}, {nullptr}, batch.dims(),
         arraysOf(batch), plane.data());
  EXPECT_EQ(plane, expected);
  EXPECT_EQ(kernel.workgroups(batch.dims()), tokens);
}

TEST_F(GenericAttention, LatentAppend) {
  OpKernel kernel("func.func @f(%cache: " + cacheType + R"(,
      %kv: tensor<?x16xf32>, %g: tensor<12xf32>, %batch: !dsv2.batch) -> )" +
                  cacheType + R"( {
      %next = dsv2.latent_append %cache layer 0, %kv norm %g eps 1.0e-6
        by <theta = 1.0e4> at %batch : tensor<?x16xf32>, tensor<12xf32>, )" +
                  cacheType + R"(
      return %next : )" +
                  cacheType + "}");
  int64_t tokens = batch.tokens();
  std::vector<float> kv = random.floats(tokens * width);
  std::vector<float> gamma = random.floats(latent);
  std::vector<uint16_t> plane(batch.cache.size(), 0x4141);
  kernel({nullptr, kv.data(), gamma.data(), nullptr}, {nullptr}, batch.dims(),
         arraysOf(batch), plane.data());
  for (int64_t t = 0; t < tokens; ++t) {
    const float *x = &kv[t * width];
    std::vector<double> expected;
    double inverse = 1 / std::sqrt(dot(x, x, latent) / latent + 1e-6);
    for (int64_t i = 0; i < latent; ++i)
      expected.push_back(x[i] * inverse * gamma[i]);
    for (int64_t i = latent; i < width; i += 2) {
      double angle =
          batch.positions[t] * std::pow(1e4, -double(i - latent) / rope);
      expected.push_back(x[i] * std::cos(angle) - x[i + 1] * std::sin(angle));
      expected.push_back(x[i + 1] * std::cos(angle) + x[i] * std::sin(angle));
    }
    const uint16_t *row =
        &plane[batch.rowOf(batch.tokenSequence[t], batch.positions[t]) * width];
    for (int64_t i = 0; i < width; ++i)
      EXPECT_NEAR(fromBf16(row[i]), expected[i],
                  std::abs(expected[i]) / 250 + 1e-6);
  }
}

/// Written and read again: e4m3 of the latent, a scale, the key in bf16.
TEST_F(GenericAttention, Fp8CacheAppendAndGather) {
  std::string fp8 = "!dsv2.latent_cache<12 + 4xf8E4M3FN, layers = 2, page = 8>";
  constexpr int64_t bytes = 12 + 4 + 8;
  OpKernel append("func.func @f(%cache: " + fp8 + R"(,
      %c: tensor<?x12xf32>, %k: tensor<?x4xf32>, %batch: !dsv2.batch) -> )" +
                  fp8 + R"( {
      %next = dsv2.cache_append %cache layer 1 (%c, %k) at %batch
        : tensor<?x12xf32>, tensor<?x4xf32>, )" +
                  fp8 + " return %next : " + fp8 + "}");
  OpKernel gather("func.func @f(%cache: " + fp8 + R"(,
      %batch: !dsv2.batch) -> (tensor<?x12xf32>, tensor<?x4xf32>) {
      %c, %r = dsv2.cache_gather %cache layer 1 of %batch : )" +
                      fp8 + R"( -> tensor<?x12xf32>, tensor<?x4xf32>
      return %c, %r : tensor<?x12xf32>, tensor<?x4xf32> })",
                  {{}, {{0, {Dim::context}}, {1, {Dim::context}}}});
  int64_t tokens = batch.tokens();
  std::vector<float> c = random.floats(tokens * latent);
  std::vector<float> k = random.floats(tokens * rope);
  // Down to subnormal numbers of e4m3, and a row of zeros.
  for (int64_t i = 0; i < latent; ++i)
    c[i] *= static_cast<float>(std::pow(10.0, -double(i) / 2)),
        c[latent + i] = 0;
  std::vector<uint8_t> plane(batch.cache.size() / width * bytes, 0x41);
  append({nullptr, c.data(), k.data(), nullptr}, {nullptr}, batch.dims(),
         arraysOf(batch), plane.data());
  std::vector<float> found(130 * latent), keys(130 * rope);
  gather({nullptr, nullptr}, {found.data(), keys.data()}, batch.dims(),
         arraysOf(batch), plane.data());
  std::vector<int64_t> starts = {0, 9, 49, 82}; // of the contexts
  for (int64_t t = 0; t < tokens; ++t) {
    int64_t sequence = batch.tokenSequence[t], position = batch.positions[t];
    const uint8_t *row = &plane[batch.rowOf(sequence, position) * bytes];
    float largest = 1e-4f, scale;
    for (int64_t i = 0; i < latent; ++i)
      largest = std::max(largest, std::fabs(c[t * latent + i]));
    std::memcpy(&scale, row + latent, sizeof(scale));
    EXPECT_EQ(scale, largest / 448.0f);
    int64_t at = starts[sequence] + position;
    for (int64_t i = 0; i < latent; ++i) {
      ASSERT_EQ(row[i], floatToE4m3(c[t * latent + i] / scale))
          << t << " " << i;
      ASSERT_EQ(found[at * latent + i], e4m3ToFloat(row[i]) * scale);
    }
    for (int64_t i = 0; i < rope; ++i)
      ASSERT_EQ(keys[at * rope + i], fromBf16(toBf16(k[t * rope + i])));
  }
}

TEST_F(GenericAttention, CacheGather) {
  OpKernel kernel("func.func @f(%cache: " + cacheType + R"(,
      %batch: !dsv2.batch) -> (tensor<?x12xf32>, tensor<?x4xf32>) {
      %c, %r = dsv2.cache_gather %cache layer 1 of %batch : )" +
                      cacheType + R"( -> tensor<?x12xf32>, tensor<?x4xf32>
      return %c, %r : tensor<?x12xf32>, tensor<?x4xf32> })",
                  {{}, {{0, {Dim::context}}, {1, {Dim::context}}}});
  std::vector<float> c(130 * latent, untouched), r(130 * rope, untouched);
  kernel({nullptr, nullptr}, {c.data(), r.data()}, batch.dims(),
         arraysOf(batch), batch.cache.data());
  int64_t row = 0;
  for (int64_t b = 0; b < 4; ++b)
    for (int64_t i = 0; i < batch.contextLengths[b]; ++i, ++row)
      for (int64_t j = 0; j < width; ++j)
        EXPECT_EQ(j < latent ? c[row * latent + j] : r[row * rope + j - latent],
                  batch.value(b, i, j));
  EXPECT_EQ(c[row * latent], untouched);
}

TEST_F(GenericAttention, Attention) {
  OpKernel kernel(
      R"(
    func.func @f(%qn: tensor<?x3x7xf32>, %qr: tensor<?x3x4xf32>, %k: tensor<?x3x7xf32>,
        %r: tensor<?x4xf32>, %v: tensor<?x3x5xf32>, %batch: !dsv2.batch) -> tensor<?x3x5xf32> {
      %o = dsv2.attention (%qn, %qr), (%k, %r), %v scale 0.37 of %batch
        : (tensor<?x3x7xf32>, tensor<?x3x4xf32>), (tensor<?x3x7xf32>, tensor<?x4xf32>),
          tensor<?x3x5xf32> -> tensor<?x3x5xf32>
      return %o : tensor<?x3x5xf32>
    })",
      {{{2, {Dim::context}}, {3, {Dim::context}}, {4, {Dim::context}}}, {}});
  int64_t tokens = batch.tokens(), context = batch.dims().context;
  std::vector<float> qn = random.floats(tokens * heads * 7, 3);
  std::vector<float> qr = random.floats(tokens * heads * rope, 3);
  std::vector<float> k = random.floats(context * heads * 7);
  std::vector<float> r = random.floats(context * rope);
  std::vector<float> v = random.floats(context * heads * 5);
  std::vector<float> y(40 * heads * 5, untouched);
  kernel({qn.data(), qr.data(), k.data(), r.data(), v.data(), nullptr},
         {y.data()}, batch.dims(), arraysOf(batch));
  std::vector<int64_t> starts = {0, 9, 49, 82};
  expectNear(
      y,
      attend(
          batch, 5,
          [&](int64_t t, int64_t h, int64_t b, int64_t s) {
            int64_t row = starts[b] + s;
            return dot(&qn[(t * heads + h) * 7], &k[(row * heads + h) * 7], 7) +
                   dot(&qr[(t * heads + h) * rope], &r[row * rope], rope);
          },
          [&](int64_t h, int64_t b, int64_t s, int64_t column) {
            return v[((starts[b] + s) * heads + h) * 5 + column];
          }),
      1e-5);
  EXPECT_EQ(y[tokens * heads * 5], untouched);
  EXPECT_EQ(kernel.workgroups(batch.dims()), tokens);
}

TEST_F(GenericAttention, LatentAttention) {
  OpKernel kernel(R"(
    func.func @f(%ql: tensor<?x3x12xbf16>, %qr: tensor<?x3x4xbf16>, %cache: )" +
                  cacheType + R"(, %batch: !dsv2.batch) -> tensor<?x3x12xf32> {
      %o = dsv2.latent_attention (%ql, %qr), %cache layer 1 scale 0.37 of %batch
        : (tensor<?x3x12xbf16>, tensor<?x3x4xbf16>), )" +
                  cacheType + R"( -> tensor<?x3x12xf32>
      return %o : tensor<?x3x12xf32>
    })");
  int64_t tokens = batch.tokens();
  std::vector<uint16_t> ql = toBf16(random.floats(tokens * heads * latent, 3));
  std::vector<uint16_t> qr = toBf16(random.floats(tokens * heads * rope, 3));
  std::vector<float> y(40 * heads * latent, untouched);
  kernel({ql.data(), qr.data(), nullptr, nullptr}, {y.data()}, batch.dims(),
         arraysOf(batch), batch.cache.data());
  std::vector<float> wideLatent = widened(ql), wideRope = widened(qr);
  expectNear(y,
             attend(
                 batch, latent,
                 [&](int64_t t, int64_t h, int64_t b, int64_t s) {
                   double sum = 0;
                   for (int64_t i = 0; i < width; ++i)
                     sum +=
                         (i < latent
                              ? wideLatent[(t * heads + h) * latent + i]
                              : wideRope[(t * heads + h) * rope + i - latent]) *
                         batch.value(b, s, i);
                   return sum;
                 },
                 [&](int64_t, int64_t b, int64_t s, int64_t column) {
                   return batch.value(b, s, column);
                 }),
             1e-5);

  // The last sequence but one has the same bits alone.
  RaggedBatch alone = batch.slice(2, 0, 1);
  std::vector<float> one(40 * heads * latent, untouched);
  int64_t t = batch.queryOffsets[2];
  kernel({&ql[t * heads * latent], &qr[t * heads * rope], nullptr, nullptr},
         {one.data()}, alone.dims(), arraysOf(alone), alone.cache.data());
  for (int64_t i = 0; i < heads * latent; ++i)
    EXPECT_EQ(one[i], y[t * heads * latent + i]);
}

TEST_F(GenericAttention, ExpandedAttention) {
  OpKernel kernel(R"(
    func.func @f(%qn: tensor<?x3x7xf32>, %qr: tensor<?x3x4xf32>, %uk: tensor<3x7x12xf32>,
        %uv: tensor<3x5x12xf32>, %cache: )" +
                  cacheType + R"(, %batch: !dsv2.batch) -> tensor<?x3x5xf32> {
      %o = dsv2.expanded_attention (%qn, %qr), %uk, %uv, %cache layer 0 scale 0.37 of %batch
        : (tensor<?x3x7xf32>, tensor<?x3x4xf32>), tensor<3x7x12xf32>, tensor<3x5x12xf32>, )" +
                  cacheType + R"( -> tensor<?x3x5xf32>
      return %o : tensor<?x3x5xf32>
    })");
  int64_t tokens = batch.tokens();
  std::vector<float> qn = random.floats(tokens * heads * 7, 3);
  std::vector<float> qr = random.floats(tokens * heads * rope, 3);
  std::vector<float> uk = random.floats(heads * 7 * latent);
  std::vector<float> uv = random.floats(heads * 5 * latent);
  std::vector<float> y(40 * heads * 5, untouched);
  kernel({qn.data(), qr.data(), uk.data(), uv.data(), nullptr, nullptr},
         {y.data()}, batch.dims(), arraysOf(batch), batch.cache.data());
  auto project = [&](const std::vector<float> &w, int64_t row, int64_t b,
                     int64_t s) {
    double sum = 0;
    for (int64_t i = 0; i < latent; ++i)
      sum += w[row * latent + i] * batch.value(b, s, i);
    return sum;
  };
  expectNear(y,
             attend(
                 batch, 5,
                 [&](int64_t t, int64_t h, int64_t b, int64_t s) {
                   double sum = 0;
                   for (int64_t i = 0; i < 7; ++i)
                     sum += qn[(t * heads + h) * 7 + i] *
                            project(uk, h * 7 + i, b, s);
                   for (int64_t i = 0; i < rope; ++i)
                     sum += qr[(t * heads + h) * rope + i] *
                            batch.value(b, s, latent + i);
                   return sum;
                 },
                 [&](int64_t h, int64_t b, int64_t s, int64_t column) {
                   return project(uv, h * 5 + column, b, s);
                 }),
             1e-5);
}

} // namespace
} // namespace dsv2::test
