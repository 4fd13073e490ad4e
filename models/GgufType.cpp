//===- GgufType.cpp - Element types of GGUF tensors -----------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "models/GgufType.h"

using namespace dsv2;

/// Of the inexact types, those with at most 4 bits an element become int4.
static constexpr GgufTypeInfo types[] = {
    {GgufType::f32, "F32", 1, 4, GroupFormat::none, true},
    {GgufType::f16, "F16", 1, 2, GroupFormat::none, true},
    {GgufType::q4_0, "Q4_0", 32, 18, GroupFormat::int4, true},
    {GgufType::q4_1, "Q4_1", 32, 20, GroupFormat::int4, false},
    {GgufType::q5_0, "Q5_0", 32, 22, GroupFormat::int8, true},
    {GgufType::q5_1, "Q5_1", 32, 24, GroupFormat::int8, false},
    {GgufType::q8_0, "Q8_0", 32, 34, GroupFormat::int8, true},
    {GgufType::q2_k, "Q2_K", 256, 84, GroupFormat::int4, false},
    {GgufType::q3_k, "Q3_K", 256, 110, GroupFormat::int4, false},
    {GgufType::q4_k, "Q4_K", 256, 144, GroupFormat::int4, false},
    {GgufType::q5_k, "Q5_K", 256, 176, GroupFormat::int8, false},
    {GgufType::q6_k, "Q6_K", 256, 210, GroupFormat::int8, false},
    {GgufType::iq4_nl, "IQ4_NL", 32, 18, GroupFormat::int8, true},
    {GgufType::iq4_xs, "IQ4_XS", 256, 136, GroupFormat::int4, false},
    {GgufType::bf16, "BF16", 1, 2, GroupFormat::none, true},
};

const GgufTypeInfo *dsv2::findGgufType(uint32_t number) {
  for (const GgufTypeInfo &info : types)
    if (static_cast<uint32_t>(info.type) == number)
      return &info;
  return nullptr;
}

const GgufTypeInfo &dsv2::infoOf(GgufType type) {
  return *findGgufType(static_cast<uint32_t>(type));
}

std::string dsv2::ggufTypeNames() {
  std::string names;
  for (const GgufTypeInfo &info : types)
    names.append(names.empty() ? "" : ", ").append(info.name);
  return names;
}
