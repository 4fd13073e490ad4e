//===- DataType.h - Element types of checkpoint tensors ---------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_MODELS_DATATYPE_H
#define DSV2_MODELS_DATATYPE_H

#include <cstdint>
#include <optional>
#include <string_view>

namespace dsv2 {

/// The element types that a safetensors file may hold and dsv2 knows.
enum class DataType {
  f64,
  f32,
  f16,
  bf16,
  f8e4m3,
  f8e5m2,
  i64,
  i32,
  i16,
  i8,
  u64,
  u32,
  u16,
  u8,
  boolean,
};

/// Bytes of one element.
int64_t byteSize(DataType type);

/// The spelling of safetensors headers, as in "BF16".
std::string_view nameOf(DataType type);
std::optional<DataType> dataTypeFromName(std::string_view name);

} // namespace dsv2

#endif // DSV2_MODELS_DATATYPE_H
