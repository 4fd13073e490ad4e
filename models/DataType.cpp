//===- DataType.cpp - Element types of checkpoint tensors -----------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "models/DataType.h"

#include <array>

using namespace dsv2;

namespace {
struct Entry {
  DataType type;
  std::string_view name;
  int64_t bytes;
};
} // namespace

/// In the order of the enum.
static constexpr std::array entries = {
    Entry{DataType::f64, "F64", 8},
    Entry{DataType::f32, "F32", 4},
    Entry{DataType::f16, "F16", 2},
    Entry{DataType::bf16, "BF16", 2},
    Entry{DataType::f8e4m3, "F8_E4M3", 1},
    Entry{DataType::f8e5m2, "F8_E5M2", 1},
    Entry{DataType::i64, "I64", 8},
    Entry{DataType::i32, "I32", 4},
    Entry{DataType::i16, "I16", 2},
    Entry{DataType::i8, "I8", 1},
    Entry{DataType::u64, "U64", 8},
    Entry{DataType::u32, "U32", 4},
    Entry{DataType::u16, "U16", 2},
    Entry{DataType::u8, "U8", 1},
    Entry{DataType::boolean, "BOOL", 1},
};

int64_t dsv2::byteSize(DataType type) {
  return entries[static_cast<size_t>(type)].bytes;
}

std::string_view dsv2::nameOf(DataType type) {
  return entries[static_cast<size_t>(type)].name;
}

std::optional<DataType> dsv2::dataTypeFromName(std::string_view name) {
  for (const Entry &entry : entries)
    if (entry.name == name)
      return entry.type;
  return std::nullopt;
}
