//===- Machine.cpp - Scheduling the threads of an emulated block ----------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "test/lowering/nvptx/emulator/Machine.h"

#include <algorithm>
#include <span>
#include <utility>

namespace dsv2::ptx {

Machine::Machine(const Module &module, const Entry &entry,
                 const LaunchShape &shape, const std::vector<uint8_t> &params)
    : module(module), entry(entry), shape(shape), params(params),
      random(shape.seed) {}

uint64_t Machine::read(const Thread &t, const Operand &o) const {
  switch (o.kind) {
  case Operand::reg:
    return t.registers[o.reg0] ^ (o.negated ? 1 : 0);
  case Operand::imm:
    return o.value;
  case Operand::param: { // the address of a parameter
    return reinterpret_cast<uint64_t>(params.data()) + o.value;
  }
  case Operand::special:
    switch (static_cast<Special>(o.value)) {
    case Special::tidX:
      return t.id;
    case Special::ntidX:
      return shape.threads;
    case Special::ctaidX:
      return block;
    case Special::nctaidX:
      return shape.blocks;
    case Special::ntidY:
    case Special::ntidZ:
    case Special::nctaidY:
    case Special::nctaidZ:
      return 1;
    case Special::laneid:
      return t.id % 32;
    case Special::warpid:
      return t.id / 32;
    default:
      return 0;
    }
  default:
    throw Failure("cannot read an operand");
  }
}

void Machine::write(Thread &t, const Operand &o, uint64_t value) const {
  if (o.kind != Operand::reg)
    throw Failure("cannot write an operand");
  t.registers[o.reg0] = value;
}

uint8_t *Machine::address(uint64_t a, uint64_t bytes, bool isShared) {
  if (!isShared && a >= sharedWindow && a < sharedWindow + (1ull << 32)) {
    a -= sharedWindow;
    isShared = true;
  }
  if (isShared) {
    a = static_cast<uint32_t>(a);
    if (a < 1024 || a + bytes > shared.size())
      throw Failure("shared address " + std::to_string(a) + " of " +
                    std::to_string(bytes) + " bytes outside of " +
                    std::to_string(shared.size()));
    if (a % std::min<uint64_t>(bytes, 16))
      throw Failure("misaligned shared address " + std::to_string(a));
    return shared.data() + a;
  }
  bool allowed = shape.memory.empty();
  for (const Range &r : shape.memory) {
    auto start = reinterpret_cast<uint64_t>(r.start);
    allowed |= a >= start && a + bytes <= start + r.size;
  }
  auto param = reinterpret_cast<uint64_t>(params.data());
  allowed |= a >= param && a + bytes <= param + params.size();
  if (!allowed)
    throw Failure("global address outside of the given memory");
  if (a % std::min<uint64_t>(bytes, 16))
    throw Failure("misaligned global address");
  return reinterpret_cast<uint8_t *>(a);
}

void Machine::markWritten(const Thread &t, uint64_t a, uint64_t bytes) {
  for (uint64_t i = a / 4; i <= (a + bytes - 1) / 4; ++i)
    unfenced[i] = static_cast<int32_t>(t.id + 1);
}

void Machine::checkFenced(uint64_t a, uint64_t bytes, const Instruction &in) {
  for (uint64_t i = a / 4; i <= (a + bytes - 1) / 4; ++i)
    if (unfenced[i])
      throw Failure("shared address " + std::to_string(i * 4) +
                    " written by thread " + std::to_string(unfenced[i] - 1) +
                    " without a proxy fence before: " + in.text);
}

void Machine::arrive(uint64_t a, int64_t count, int64_t bytes) {
  auto it = mbarriers.find(a);
  if (it == mbarriers.end())
    throw Failure("no mbarrier at " + std::to_string(a));
  Mbarrier &b = it->second;
  b.pending -= count;
  b.bytes += bytes;
  if (b.pending < 0)
    throw Failure("too many arrivals at mbarrier " + std::to_string(a));
  if (b.pending == 0 && b.bytes == 0) {
    ++b.phase;
    b.pending = b.count;
  }
  ++events;
}

bool Machine::step(Thread &t) {
  if (t.pc >= entry.code.size()) {
    t.state = State::done;
    ++events;
    return false;
  }
  const Instruction &in = entry.code[t.pc];
  if (in.predicate >= 0 && (t.registers[in.predicate] != 0) == in.negated) {
    ++t.pc;
    return true;
  }
  try {
    jumped = false;
    bool known = scalar(t, in) || memory(t, in) || synchronization(t, in);
    if (!known)
      throw Failure("unknown instruction");
    if (t.state == State::running && !jumped)
      ++t.pc;
  } catch (const Failure &f) {
    throw Failure(std::string(f.what()) + " (block " + std::to_string(block) +
                  ", thread " + std::to_string(t.id) + "): " + in.text);
  }
  return t.state == State::running && !std::exchange(yielded, false);
}

void Machine::resolveWarps() {
  for (int64_t w = 0; w * 32 < shape.threads; ++w) {
    // All lanes that wait at the same instruction, when every lane that is
    // not done waits.
    std::vector<Thread *> lanes;
    bool ready = true;
    for (int64_t i = w * 32; i < std::min(w * 32 + 32, shape.threads); ++i) {
      Thread &t = threads[i];
      if (t.state == State::running)
        ready = false;
      if (t.state == State::warpWait && (lanes.empty() || lanes[0]->pc == t.pc))
        lanes.push_back(&t);
    }
    if (!ready || lanes.empty())
      continue;
    const Instruction &in = entry.code[lanes[0]->pc];
    try {
      warpCollective(lanes, in);
    } catch (const Failure &f) {
      throw Failure(std::string(f.what()) + " (block " + std::to_string(block) +
                    ", warp " + std::to_string(w) + "): " + in.text);
    }
    for (Thread *t : lanes) {
      t->state = State::running;
      ++t->pc;
    }
    ++events;
  }
}

void Machine::resolveGroups() {
  for (int64_t g = 0; g * 128 < shape.threads; ++g) {
    if (g * 128 + 128 > shape.threads)
      continue;
    auto all = std::span<Thread>(threads).subspan(g * 128, 128);
    if (!std::ranges::all_of(all, [&](Thread &t) {
          return t.state == State::groupWait && t.pc == all[0].pc;
        }))
      continue;
    const Instruction &in = entry.code[all[0].pc];
    try {
      product(g, in);
    } catch (const Failure &f) {
      throw Failure(std::string(f.what()) + " (block " + std::to_string(block) +
                    ", warpgroup " + std::to_string(g) + "): " + in.text);
    }
    for (Thread &t : all) {
      t.state = State::running;
      ++t.pc;
    }
    ++events;
  }
}

void Machine::resolveBarriers() {
  for (size_t id = 0; id < barriers.size(); ++id) {
    NamedBarrier &b = barriers[id];
    if (b.expected == 0 || b.arrived < b.expected)
      continue;
    if (b.arrived > b.expected)
      throw Failure("more threads than expected at barrier " +
                    std::to_string(id));
    b = {};
    for (Thread &t : threads)
      if (t.state == State::barrier && t.barrierId == static_cast<int>(id)) {
        t.state = State::running;
        ++t.pc;
      }
    ++events;
  }
}

void Machine::runBlock(int64_t index) {
  block = index;
  threads.assign(shape.threads, {});
  for (int64_t i = 0; i < shape.threads; ++i) {
    threads[i].id = i;
    threads[i].registers.assign(entry.registers, 0xdeadbeefdeadbeefull);
  }
  shared.assign(module.dynamicShared + shape.sharedBytes, 0xff);
  unfenced.assign(shared.size() / 4 + 1, 0);
  mbarriers.clear();
  barriers = {};
  warpgroups.assign(shape.threads / 128 + 1, {});
  flying.clear();

  std::vector<int64_t> order((shape.threads + 31) / 32);
  for (size_t i = 0; i < order.size(); ++i)
    order[i] = static_cast<int64_t>(i);
  int64_t idle = 0;
  while (!std::ranges::all_of(
      threads, [](Thread &t) { return t.state == State::done; })) {
    int64_t before = events;
    std::ranges::shuffle(order, random);
    for (int64_t w : order) {
      int64_t quantum = 1 + static_cast<int64_t>(random() % 200);
      for (int64_t i = w * 32; i < std::min(w * 32 + 32, shape.threads); ++i)
        for (int64_t n = 0; n < quantum; ++n)
          if (threads[i].state != State::running || !step(threads[i]))
            break;
    }
    resolveWarps();
    resolveGroups();
    resolveBarriers();
    if (!flying.empty() && random() % 4 == 0) {
      size_t which = random() % flying.size();
      auto land = std::move(flying[which]);
      flying.erase(flying.begin() + static_cast<int64_t>(which));
      land();
      ++events;
    }
    idle = events == before && flying.empty() ? idle + 1 : 0;
    if (idle > 20000) {
      std::string where;
      std::map<std::string, int> counts;
      for (Thread &t : threads)
        if (t.state != State::done)
          ++counts[entry.code[t.pc].text + " (state " +
                   std::to_string(static_cast<int>(t.state)) + ")"];
      for (auto &[text, count] : counts)
        where += "; " + std::to_string(count) + " threads at " + text;
      throw Failure("no progress in block " + std::to_string(block) + where);
    }
  }
}

std::string run(const Module &module, const std::string &name,
                const LaunchShape &shape, const std::vector<uint8_t> &params) {
  auto it = module.entries.find(name);
  if (!module.error.empty())
    return module.error;
  if (it == module.entries.end())
    return "no kernel " + name;
  if (params.size() != it->second.paramBytes)
    return "expected " + std::to_string(it->second.paramBytes) +
           " bytes of parameters, found " + std::to_string(params.size());
  try {
    Machine machine(module, it->second, shape, params);
    for (int64_t block = 0; block < shape.blocks; ++block)
      machine.runBlock(block);
  } catch (const Failure &f) {
    return std::string(f.what()) + " [seed " + std::to_string(shape.seed) + "]";
  }
  return "";
}

} // namespace dsv2::ptx
