//===- Machine.h - The state of one emulated block --------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_TEST_LOWERING_NVPTX_EMULATOR_MACHINE_H
#define DSV2_TEST_LOWERING_NVPTX_EMULATOR_MACHINE_H

#include "test/lowering/nvptx/emulator/PtxEmulator.h"

#include <cstring>
#include <functional>
#include <random>
#include <stdexcept>

namespace dsv2::ptx {

/// Generic addresses of shared memory are this plus the offset.
inline constexpr uint64_t sharedWindow = 0x7f00000000000000ull;

struct Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

enum class State : uint8_t { running, warpWait, groupWait, barrier, done };

struct Thread {
  int64_t id = 0;
  uint64_t pc = 0;
  State state = State::running;
  int barrierId = -1;
  std::vector<uint64_t> registers;
  /// cp.async: the open group and the committed ones.
  std::vector<std::function<void()>> openCopies;
  std::vector<std::vector<std::function<void()>>> copyGroups;
};

struct Mbarrier {
  int64_t count = 0, pending = 0, bytes = 0;
  uint64_t phase = 0;
};

struct NamedBarrier {
  int64_t arrived = 0, expected = 0;
};

/// A product in flight: its shared operands as they were when it was issued.
struct PendingProduct {
  std::function<std::vector<uint16_t>()> gather;
  std::vector<uint16_t> before;
};

struct Warpgroup {
  std::vector<PendingProduct> open;
  std::vector<std::vector<PendingProduct>> groups;
};

class Machine {
public:
  Machine(const Module &module, const Entry &entry, const LaunchShape &shape,
          const std::vector<uint8_t> &params);
  void runBlock(int64_t block);

  // ---- Used by the instruction files ---------------------------------------
  uint64_t read(const Thread &t, const Operand &o) const;
  void write(Thread &t, const Operand &o, uint64_t value) const;
  /// A generic, shared or global address as host memory, checked.
  uint8_t *address(uint64_t address, uint64_t bytes, bool isShared);
  uint64_t effective(const Thread &t, const Operand &memory) const {
    return (memory.reg0 >= 0 ? t.registers[memory.reg0] : 0) + memory.value;
  }
  void markWritten(const Thread &t, uint64_t sharedAddress, uint64_t bytes);
  void checkFenced(uint64_t sharedAddress, uint64_t bytes,
                   const Instruction &in);

  bool scalar(Thread &t, const Instruction &in);
  bool memory(Thread &t, const Instruction &in);
  bool synchronization(Thread &t, const Instruction &in);
  void warpCollective(std::vector<Thread *> &lanes, const Instruction &in);
  void product(int64_t group, const Instruction &in);
  void tensorCopy(Thread &t, const Instruction &in);
  void bulkCopy(Thread &t, const Instruction &in);
  void arrive(uint64_t address, int64_t count, int64_t bytes);

  const Module &module;
  const Entry &entry;
  const LaunchShape &shape;
  const std::vector<uint8_t> &params;
  std::mt19937_64 random;
  int64_t block = 0;
  std::vector<Thread> threads;
  std::vector<uint8_t> shared;
  std::vector<int32_t> unfenced; ///< writer + 1 of each 4 bytes, or 0
  std::map<uint64_t, Mbarrier> mbarriers;
  std::array<NamedBarrier, 16> barriers;
  std::vector<Warpgroup> warpgroups;
  /// Copies that may land at any time.
  std::vector<std::function<void()>> flying;
  bool yielded = false; ///< the thread waits for something
  bool jumped = false;  ///< the instruction set the pc itself
  int64_t events = 0;   ///< whatever can end somebody's waiting

private:
  bool step(Thread &t);
  void resolveWarps();
  void resolveGroups();
  void resolveBarriers();
};

/// Nearest even, saturated.
uint8_t toE4m3(float value);
inline float asFloat(uint64_t bits) {
  float f;
  uint32_t b = static_cast<uint32_t>(bits);
  std::memcpy(&f, &b, 4);
  return f;
}
inline uint64_t asBits(float f) {
  uint32_t b;
  std::memcpy(&b, &f, 4);
  return b;
}

} // namespace dsv2::ptx

#endif // DSV2_TEST_LOWERING_NVPTX_EMULATOR_MACHINE_H
