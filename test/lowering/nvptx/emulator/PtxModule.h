//===- PtxModule.h - PTX text, decoded for the emulator ---------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Reads the PTX that LLVM prints (with inline assembly) into instructions whose
// registers, labels and symbols are resolved.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_TEST_LOWERING_NVPTX_EMULATOR_PTXMODULE_H
#define DSV2_TEST_LOWERING_NVPTX_EMULATOR_PTXMODULE_H

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace dsv2::ptx {

enum class Special : uint8_t {
  tidX,
  tidY,
  tidZ,
  ntidX,
  ntidY,
  ntidZ,
  ctaidX,
  ctaidY,
  ctaidZ,
  nctaidX,
  nctaidY,
  nctaidZ,
  laneid,
  warpid,
  other
};

struct Operand {
  enum Kind : uint8_t { none, reg, imm, special, memory, vector, label, param };
  Kind kind = none;
  bool negated = false;   ///< of a predicate
  bool wideFloat = false; ///< an immediate double
  int32_t reg0 = -1;      ///< register, or base of a memory operand (-1: none)
  int32_t pair = -1;      ///< second destination, as in %r1|%p1
  uint64_t value = 0;     ///< immediate, offset, label target, Special
  std::vector<Operand> elements;
};

struct Instruction {
  std::string text;               ///< for messages
  std::vector<std::string> parts; ///< of the opcode, split at dots
  std::vector<Operand> operands;
  int32_t predicate = -1;
  bool negated = false;

  bool has(std::string_view part) const;
  /// The number in the part that starts with `prefix` and is a number after.
  int number(std::string_view prefix) const;
};

struct Param {
  std::string name;
  uint64_t offset = 0;
  uint64_t size = 0;
};

struct Entry {
  std::string name;
  std::vector<Param> params;
  uint64_t paramBytes = 0;
  int32_t registers = 0;
  std::vector<Instruction> code;
};

struct Module {
  std::map<std::string, Entry> entries;
  /// Addresses in shared memory; dynamic shared memory starts at
  /// `dynamicShared`.
  std::map<std::string, uint64_t> shared;
  uint64_t dynamicShared = 0;
  std::string error; ///< why the text could not be read; empty otherwise
};

Module parse(std::string_view text);

} // namespace dsv2::ptx

#endif // DSV2_TEST_LOWERING_NVPTX_EMULATOR_PTXMODULE_H
