//===- TileEmulator.cpp - AMX on a CPU that lacks it ----------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "test/lowering/x86/TileEmulator.h"

#include <csignal>
#include <cstring>
#include <optional>
#include <ucontext.h>

namespace dsv2::test {
namespace {

constexpr int tileCount = 8, maxRows = 16, maxBytes = 64;

struct Tile {
  uint16_t rowBytes = 0;
  uint8_t rows = 0;
  alignas(64) uint8_t data[maxRows][maxBytes];

  bool configured() const { return rows != 0 && rowBytes != 0; }
  template <typename T>
  T get(int row, int column) const {
    T value;
    std::memcpy(&value, &data[row][column * sizeof(T)], sizeof(T));
    return value;
  }
  template <typename T>
  void set(int row, int column, T value) {
    std::memcpy(&data[row][column * sizeof(T)], &value, sizeof(T));
  }
};

Tile tiles[tileCount];
uint64_t executed = 0;
struct sigaction previous;

/// A decoded instruction with a three-byte VEX prefix in map 0F38.
struct Instruction {
  uint8_t opcode, prefix; ///< prefix: 0 none, 1 66, 2 F3, 3 F2
  int mod, reg, rm, vvvv;
  uint64_t base = 0, index = 0; ///< of a memory operand
  int length;
};

uint64_t registerValue(const ucontext_t &context, int number) {
  constexpr int order[] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                           REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                           REG_R12, REG_R13, REG_R14, REG_R15};
  return static_cast<uint64_t>(context.uc_mcontext.gregs[order[number]]);
}

template <typename T>
T readAs(const uint8_t *at) {
  T value;
  std::memcpy(&value, at, sizeof(T));
  return value;
}

std::optional<Instruction> decode(const uint8_t *code,
                                  const ucontext_t &context) {
  constexpr uint8_t vex = 0xc4, map0F38 = 2;
  if (code[0] != vex || (code[1] & 0x1f) != map0F38 || (code[2] & 0x84) != 0)
    return std::nullopt; // another map, W1 or 256 bits
  Instruction result{.opcode = code[3],
                     .prefix = static_cast<uint8_t>(code[2] & 3),
                     .mod = code[4] >> 6,
                     .reg = code[4] >> 3 & 7,
                     .rm = code[4] & 7,
                     .vvvv = ~(code[2] >> 3) & 15,
                     .length = 5};
  if (result.mod == 3)
    return result;
  // The inverted bits X and B extend the index and the base.
  int highIndex = code[1] & 0x40 ? 0 : 8, highBase = code[1] & 0x20 ? 0 : 8;
  bool hasBase = true;
  int base = result.rm | highBase;
  if (result.rm == 4) {
    uint8_t sib = code[result.length++];
    int index = (sib >> 3 & 7) | highIndex;
    if (index != 4) // rsp stands for no index
      result.index = registerValue(context, index) << (sib >> 6);
    base = (sib & 7) | highBase;
    hasBase = (sib & 7) != 5 || result.mod != 0;
  } else if (result.rm == 5 && result.mod == 0) {
    int32_t offset = readAs<int32_t>(code + result.length);
    result.length += 4;
    result.base = reinterpret_cast<uint64_t>(code) + result.length + offset;
    return result;
  }
  if (hasBase)
    result.base = registerValue(context, base);
  if (result.mod == 1) {
    result.base += static_cast<int8_t>(code[result.length]);
    result.length += 1;
  } else if (result.mod == 2 || !hasBase) {
    result.base += readAs<int32_t>(code + result.length);
    result.length += 4;
  }
  return result;
}

bool loadConfig(const uint8_t *memory) {
  if (memory[0] != 1) // the only palette
    return false;
  for (int i = 0; i < tileCount; ++i) {
    uint16_t rowBytes = readAs<uint16_t>(memory + 16 + 2 * i);
    uint8_t rows = memory[48 + i];
    if (rowBytes > maxBytes || rows > maxRows || (rowBytes == 0) != (rows == 0))
      return false;
    tiles[i].rowBytes = rowBytes;
    tiles[i].rows = rows;
    std::memset(tiles[i].data, 0, sizeof(tiles[i].data));
  }
  return true;
}

bool load(const Instruction &in) {
  Tile &tile = tiles[in.reg];
  if (!tile.configured())
    return false;
  std::memset(tile.data, 0, sizeof(tile.data));
  for (int row = 0; row < tile.rows; ++row)
    std::memcpy(tile.data[row],
                reinterpret_cast<const void *>(in.base + row * in.index),
                tile.rowBytes);
  return true;
}

bool store(const Instruction &in) {
  const Tile &tile = tiles[in.reg];
  if (!tile.configured())
    return false;
  for (int row = 0; row < tile.rows; ++row)
    std::memcpy(reinterpret_cast<void *>(in.base + row * in.index),
                tile.data[row], tile.rowBytes);
  return true;
}

/// C (reg) += A (rm) * B (vvvv), `multiply(a, b)` being the sum of one 32-bit
/// element's products.
template <typename Sum, typename Multiply>
bool dot(const Instruction &in, Multiply multiply) {
  if (in.vvvv >= tileCount)
    return false;
  Tile &c = tiles[in.reg];
  const Tile &a = tiles[in.rm], &b = tiles[in.vvvv];
  if (!c.configured() || !a.configured() || !b.configured() ||
      c.rows != a.rows || c.rowBytes != b.rowBytes ||
      a.rowBytes != 4 * b.rows || in.reg == in.rm || in.reg == in.vvvv ||
      in.rm == in.vvvv)
    return false;
  for (int m = 0; m < c.rows; ++m)
    for (int n = 0; n < c.rowBytes / 4; ++n) {
      Sum sum = c.get<Sum>(m, n);
      for (int k = 0; k < b.rows; ++k)
        sum += multiply(a.get<uint32_t>(m, k), b.get<uint32_t>(k, n));
      c.set(m, n, sum);
    }
  return true;
}

template <typename Left, typename Right>
int32_t multiplyBytes(uint32_t a, uint32_t b) {
  int32_t sum = 0;
  for (int shift = 0; shift < 32; shift += 8)
    sum += int32_t(static_cast<Left>(a >> shift)) *
           int32_t(static_cast<Right>(b >> shift));
  return sum;
}

float multiplyBf16(uint32_t a, uint32_t b) {
  auto widen = [](uint32_t bits) {
    float value;
    std::memcpy(&value, &bits, 4);
    return value;
  };
  return widen(a << 16) * widen(b << 16) +
         widen(a & 0xffff0000u) * widen(b & 0xffff0000u);
}

bool execute(const Instruction &in) {
  switch (in.opcode) {
  case 0x49:
    if (in.mod != 3)
      return in.prefix == 0 &&
             loadConfig(reinterpret_cast<const uint8_t *>(in.base));
    if (in.prefix == 0) { // tilerelease
      for (Tile &tile : tiles)
        tile.rows = tile.rowBytes = 0;
      return true;
    }
    if (in.prefix == 3) // tilezero
      std::memset(tiles[in.reg].data, 0, sizeof(tiles[in.reg].data));
    return in.prefix == 3 && tiles[in.reg].configured();
  case 0x4b:
    if (in.mod == 3 || in.rm != 4)
      return false;
    return in.prefix == 2 ? store(in) : in.prefix != 0 && load(in);
  case 0x5c:
    return in.mod == 3 && in.prefix == 2 && dot<float>(in, multiplyBf16);
  case 0x5e:
    if (in.mod != 3)
      return false;
    switch (in.prefix) {
    case 0:
      return dot<int32_t>(in, multiplyBytes<uint8_t, uint8_t>);
    case 1:
      return dot<int32_t>(in, multiplyBytes<uint8_t, int8_t>);
    case 2:
      return dot<int32_t>(in, multiplyBytes<int8_t, uint8_t>);
    default:
      return dot<int32_t>(in, multiplyBytes<int8_t, int8_t>);
    }
  default:
    return false;
  }
}

void onIllegalInstruction(int, siginfo_t *, void *state) {
  auto &context = *static_cast<ucontext_t *>(state);
  auto &rip = context.uc_mcontext.gregs[REG_RIP];
  auto in = decode(reinterpret_cast<const uint8_t *>(rip), context);
  if (!in || !execute(*in)) {
    // Returning runs into the instruction again, now without a handler.
    sigaction(SIGILL, &previous, nullptr);
    return;
  }
  ++executed;
  rip += in->length;
}

} // namespace

void emulateTiles() {
  static bool installed = false;
  if (installed)
    return;
  installed = true;
  struct sigaction action = {};
  action.sa_sigaction = onIllegalInstruction;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  sigaction(SIGILL, &action, &previous);
}

uint64_t emulatedTileInstructions() { return executed; }

} // namespace dsv2::test
