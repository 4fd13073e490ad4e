//===- Collective.cpp - Barriers, warps and products of the emulator ------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/base/NumberFormats.h"
#include "test/lowering/nvptx/emulator/Machine.h"

#include <algorithm>
#include <array>
#include <bit>

namespace dsv2::ptx {

bool Machine::synchronization(Thread &t, const Instruction &in) {
  const std::string &op = in.parts[0];
  if (op == "fence" || op == "membar") {
    if (in.has("proxy"))
      for (int32_t &writer : unfenced)
        if (writer == t.id + 1)
          writer = 0;
    return true;
  }
  if (op == "setmaxnreg" || op == "griddepcontrol" || op == "nanosleep" ||
      op == "pragma")
    return true;
  if (op == "wgmma") {
    t.state = State::groupWait;
    return true;
  }
  if (op == "shfl" || op == "vote" || op == "match" || op == "redux" ||
      op == "elect" || op == "mma" || op == "ldmatrix" || op == "stmatrix" ||
      (op == "bar" && in.has("warp"))) {
    t.state = State::warpWait;
    return true;
  }
  if (op == "bar" || op == "barrier") {
    if (in.has("cluster")) // of one block
      return true;
    uint64_t id = read(t, in.operands[0]) & 15;
    int64_t count = in.operands.size() > 1
                        ? static_cast<int64_t>(read(t, in.operands[1]))
                        : shape.threads;
    NamedBarrier &b = barriers[id];
    if (b.expected && b.expected != count)
      throw Failure("different counts at one barrier");
    b.expected = count;
    ++b.arrived;
    if (!in.has("arrive")) {
      t.state = State::barrier;
      t.barrierId = static_cast<int>(id);
    }
    ++events;
    return true;
  }
  if (op != "mbarrier")
    return false;
  if (in.has("init")) {
    auto count = static_cast<int64_t>(read(t, in.operands[1]) & 0xffffffff);
    mbarriers[effective(t, in.operands[0])] = {count, count, 0, 0};
    return true;
  }
  if (in.has("inval")) {
    mbarriers.erase(effective(t, in.operands[0]));
    return true;
  }
  if (in.has("try_wait") || in.has("test_wait")) {
    auto it = mbarriers.find(effective(t, in.operands[1]));
    if (it == mbarriers.end() || !in.has("parity"))
      throw Failure("no such mbarrier");
    // The phase of that parity has ended when the current one differs.
    bool done = (it->second.phase & 1) != (read(t, in.operands[2]) & 1);
    write(t, in.operands[0], done);
    yielded = !done;
    return true;
  }
  size_t at = in.operands[0].kind == Operand::memory ? 0 : 1;
  uint64_t address = effective(t, in.operands[at]);
  int64_t n =
      in.operands.size() > at + 1
          ? static_cast<int64_t>(read(t, in.operands[at + 1]) & 0xffffffff)
          : 1;
  if (in.has("arrive"))
    arrive(address, in.has("expect_tx") ? 1 : n, in.has("expect_tx") ? n : 0);
  else if (in.has("expect_tx"))
    arrive(address, 0, n);
  else
    return false;
  return true;
}

void Machine::warpCollective(std::vector<Thread *> &lanes,
                             const Instruction &in) {
  const std::string &op = in.parts[0];
  size_t n = lanes.size();
  auto laneOf = [&](Thread *t) { return t->id % 32; };
  std::array<Thread *, 32> byLane = {};
  uint64_t present = 0;
  for (Thread *t : lanes) {
    byLane[laneOf(t)] = t;
    present |= 1ull << laneOf(t);
  }
  auto at = [&](int64_t lane) {
    return lane >= 0 && lane < 32 ? byLane[lane] : nullptr;
  };
  auto requireAll = [&] {
    if (n != 32)
      throw Failure("expected all 32 lanes, found " + std::to_string(n));
  };
  if (op == "bar")
    return;
  if (op == "elect") {
    Thread *leader = lanes[0];
    for (Thread *t : lanes) {
      write(*t, in.operands[0], laneOf(leader));
      t->registers[in.operands[0].pair] = t == leader;
    }
    return;
  }
  if (op == "shfl") {
    bool up = in.has("up"), down = in.has("down"), bfly = in.has("bfly");
    std::vector<std::pair<uint64_t, bool>> results;
    for (Thread *t : lanes) {
      uint64_t member = read(*t, in.operands[4]) & 0xffffffff;
      if (member == 0xffffffff)
        requireAll();
      auto b = static_cast<int64_t>(read(*t, in.operands[2]) & 31);
      uint64_t c = read(*t, in.operands[3]);
      auto clamp = static_cast<int64_t>(c & 31);
      auto segment = static_cast<int64_t>(c >> 8 & 31);
      int64_t lane = laneOf(t);
      int64_t most = (lane & segment) | (clamp & ~segment);
      int64_t least = lane & segment;
      int64_t j;
      bool inRange;
      if (up) {
        j = lane - b, inRange = j >= most;
      } else if (down) {
        j = lane + b, inRange = j <= most;
      } else if (bfly) {
        j = lane ^ b, inRange = j <= most;
      } else {
        j = least | (b & ~segment), inRange = j <= most;
      }
      Thread *from = at(inRange ? j : lane);
      if (!from)
        throw Failure("a shuffle from a lane that is not there");
      results.emplace_back(read(*from, in.operands[1]) & 0xffffffff, inRange);
    }
    for (size_t i = 0; i < n; ++i) {
      write(*lanes[i], in.operands[0], results[i].first);
      if (in.operands[0].pair >= 0)
        lanes[i]->registers[in.operands[0].pair] = results[i].second;
    }
    return;
  }
  if (op == "vote") {
    uint64_t ballot = 0;
    for (Thread *t : lanes)
      ballot |= (read(*t, in.operands[1]) & 1) << laneOf(t);
    for (Thread *t : lanes)
      write(*t, in.operands[0],
            in.has("ballot") ? ballot
            : in.has("any")  ? ballot != 0
                             : ballot == present);
    return;
  }
  if (op == "match") {
    std::vector<uint64_t> values;
    for (Thread *t : lanes)
      values.push_back(read(*t, in.operands[1]) & 0xffffffff);
    for (size_t i = 0; i < n; ++i) {
      uint64_t same = 0;
      for (size_t j = 0; j < n; ++j)
        same |= static_cast<uint64_t>(values[j] == values[i])
                << laneOf(lanes[j]);
      write(*lanes[i], in.operands[0], same);
    }
    return;
  }
  if (op == "redux") {
    auto value = [&](Thread *t) {
      return static_cast<int32_t>(read(*t, in.operands[1]));
    };
    int32_t r = value(lanes[0]);
    for (size_t i = 1; i < n; ++i) {
      int32_t v = value(lanes[i]);
      auto a = static_cast<uint32_t>(r), b = static_cast<uint32_t>(v);
      if (in.has("add"))
        r = static_cast<int32_t>(a + b);
      else if (in.has("min"))
        r = in.has("u32") ? static_cast<int32_t>(std::min(a, b))
                          : std::min(r, v);
      else if (in.has("max"))
        r = in.has("u32") ? static_cast<int32_t>(std::max(a, b))
                          : std::max(r, v);
      else if (in.has("and"))
        r &= v;
      else if (in.has("or"))
        r |= v;
      else
        r ^= v;
    }
    for (Thread *t : lanes)
      write(*t, in.operands[0], static_cast<uint32_t>(r));
    return;
  }
  requireAll();
  if (op == "ldmatrix" || op == "stmatrix") {
    bool load = op == "ldmatrix", transposed = in.has("trans");
    const Operand &vector = in.operands[load ? 0 : 1];
    const Operand &where = in.operands[load ? 1 : 0];
    size_t count = vector.kind == Operand::vector ? vector.elements.size() : 1;
    for (size_t m = 0; m < count; ++m) {
      const Operand &r =
          vector.kind == Operand::vector ? vector.elements[m] : vector;
      uint16_t rows[8][8];
      if (!load)
        for (int64_t l = 0; l < 32; ++l)
          for (int64_t h = 0; h < 2; ++h) {
            int64_t a = l / 4, b = 2 * (l % 4) + h;
            (transposed ? rows[b][a] : rows[a][b]) =
                static_cast<uint16_t>(read(*at(l), r) >> (16 * h));
          }
      for (int64_t i = 0; i < 8; ++i) {
        Thread *owner = at(static_cast<int64_t>(m) * 8 + i);
        uint64_t a = effective(*owner, where);
        uint8_t *p = address(a, 16, true);
        if (load) {
          std::memcpy(rows[i], p, 16);
        } else {
          std::memcpy(p, rows[i], 16);
          // Every lane's part counts as written by the lane whose row it is.
          markWritten(*owner, static_cast<uint64_t>(p - shared.data()), 16);
        }
      }
      if (load)
        for (int64_t l = 0; l < 32; ++l) {
          uint64_t v = 0;
          for (int64_t h = 0; h < 2; ++h) {
            int64_t a = l / 4, b = 2 * (l % 4) + h;
            v |= static_cast<uint64_t>(transposed ? rows[b][a] : rows[a][b])
                 << (16 * h);
          }
          write(*at(l), r, v);
        }
    }
    return;
  }
  bool integers = op == "mma" && in.has("m16n8k32") && in.has("s8");
  bool halves = op == "mma" && in.has("m16n8k16") && in.has("f16");
  if (integers || halves ||
      (op == "mma" && in.has("m16n8k16") && in.has("bf16"))) {
    // Of k, `each` elements share a register; the second register of a row is
    // half of the depth further.
    int64_t each = integers ? 4 : 2, depth = 8 * each;
    auto element = [&](uint64_t v, int64_t h) -> float {
      if (integers)
        return static_cast<int8_t>(v >> (8 * h));
      auto bits = static_cast<uint16_t>(v >> (16 * h));
      return halves ? f16ToFloat(bits) : bf16ToFloat(bits);
    };
    float a[16][32], b[32][8];
    for (int64_t l = 0; l < 32; ++l) {
      int64_t row = l / 4, k = each * (l % 4);
      for (int64_t j = 0; j < 4; ++j) {
        uint64_t v = read(*at(l), in.operands[1].elements[j]);
        for (int64_t h = 0; h < each; ++h)
          a[row + 8 * (j % 2)][k + depth / 2 * (j / 2) + h] = element(v, h);
      }
      for (int64_t j = 0; j < 2; ++j) {
        uint64_t v = read(*at(l), in.operands[2].elements[j]);
        for (int64_t h = 0; h < each; ++h)
          b[k + depth / 2 * j + h][row] = element(v, h);
      }
    }
    for (int64_t l = 0; l < 32; ++l)
      for (int64_t j = 0; j < 4; ++j) {
        int64_t row = l / 4 + 8 * (j / 2), col = 2 * (l % 4) + j % 2;
        uint64_t before = read(*at(l), in.operands[3].elements[j]);
        float sum = integers ? 0.0f : asFloat(before);
        for (int64_t k = 0; k < depth; ++k)
          sum += a[row][k] * b[k][col];
        // Sums of 32 products of int8 are exact in a float.
        write(*at(l), in.operands[0].elements[j],
              integers ? static_cast<uint32_t>(static_cast<int32_t>(before) +
                                               static_cast<int32_t>(sum))
                       : asBits(sum));
      }
    return;
  }
  throw Failure("unknown instruction");
}

namespace {

/// Where an element of an operand in shared memory lies (PTX manual, matrix
/// descriptors and canonical layouts).
struct Descriptor {
  uint64_t start, leading, stride;
  int64_t swizzle; ///< bytes
  explicit Descriptor(uint64_t d)
      : start((d & 0x3fff) << 4), leading((d >> 16 & 0x3fff) << 4),
        stride((d >> 32 & 0x3fff) << 4) {
    constexpr int64_t modes[] = {0, 128, 64, 32};
    swizzle = modes[d >> 62];
    if (d >> 49 & 7)
      throw Failure("a descriptor with a base offset");
  }
  uint64_t at(int64_t row, int64_t k, int64_t bytes, bool transposed) const {
    uint64_t a;
    auto u = [](int64_t v) { return static_cast<uint64_t>(v); };
    if (!transposed && swizzle)
      a = start + u(row / 8) * stride + u(row % 8 * swizzle + k * bytes);
    else if (!transposed)
      a = start + u(row / 8) * stride + u(row % 8 * 16) +
          u(k * bytes / 16) * leading + u(k * bytes % 16);
    else if (swizzle)
      a = start + u(row * bytes / swizzle) * leading + u(k / 8) * stride +
          u(k % 8 * swizzle + row * bytes % swizzle);
    else
      a = start + u(row * bytes / 16) * stride + u(k / 8) * leading +
          u(k % 8 * 16 + row * bytes % 16);
    if (swizzle)
      a ^= (a >> 7 & u(swizzle / 16 - 1)) << 4;
    return a;
  }
};

} // namespace

void Machine::product(int64_t group, const Instruction &in) {
  Warpgroup &wg = warpgroups[group];
  Thread *all = &threads[group * 128];
  if (in.has("fence"))
    return;
  if (in.has("commit_group")) {
    wg.groups.push_back(std::move(wg.open));
    wg.open.clear();
    return;
  }
  if (in.has("wait_group")) {
    uint64_t left = read(all[0], in.operands[0]);
    while (wg.groups.size() > left) {
      for (PendingProduct &p : wg.groups.front())
        if (p.gather() != p.before)
          throw Failure("shared memory changed under a product in flight");
      wg.groups.erase(wg.groups.begin());
    }
    return;
  }
  int64_t columns = in.number("n");
  for (const std::string &p : in.parts)
    if (p.starts_with("m64n"))
      columns = std::atoi(p.c_str() + 4);
  bool fp8 = in.has("e4m3");
  int64_t depth = fp8 ? 32 : 16, bytes = fp8 ? 1 : 2;
  if (!fp8 && !in.has("bf16"))
    throw Failure("unknown product");
  bool fromRegisters = in.operands[1].kind == Operand::vector;
  auto flagAt = [&](size_t i) {
    return in.operands.size() > i && (read(all[0], in.operands[i]) & 1);
  };
  bool transposeA = !fromRegisters && flagAt(6);
  bool transposeB = flagAt(fromRegisters ? 6 : 7);
  auto gatherer = [&](const Operand &o, int64_t rows, bool transposed) {
    Descriptor d(read(all[0], o));
    return [=, this, &in] {
      std::vector<uint16_t> values;
      for (int64_t r = 0; r < rows; ++r)
        for (int64_t k = 0; k < depth; ++k) {
          uint64_t a = d.at(r, k, bytes, transposed);
          if (a + bytes > shared.size())
            throw Failure("a product reads beyond shared memory");
          if (unfenced[a / 4])
            checkFenced(a, bytes, in);
          uint16_t v = 0;
          std::memcpy(&v, shared.data() + a, bytes);
          values.push_back(v);
        }
      return values;
    };
  };
  auto widen = [&](uint16_t v) {
    return fp8 ? e4m3ToFloat(static_cast<uint8_t>(v)) : bf16ToFloat(v);
  };
  std::vector<float> a(64 * depth), b(columns * depth);
  auto keep = [&](auto gather, std::vector<float> &out) {
    PendingProduct p{gather, gather()};
    for (size_t i = 0; i < out.size(); ++i)
      out[i] = widen(p.before[i]);
    wg.open.push_back(std::move(p));
  };
  if (fromRegisters) {
    for (int64_t t = 0; t < 128; ++t)
      for (int64_t j = 0; j < 4; ++j) {
        uint64_t v = read(all[t], in.operands[1].elements[j]);
        int64_t row = t / 32 * 16 + t % 32 / 4 + 8 * (j % 2);
        int64_t each = 4 / bytes;
        for (int64_t h = 0; h < each; ++h)
          a[row * depth + each * (t % 4) + depth / 2 * (j / 2) + h] = widen(
              fp8 ? v >> (8 * h) & 255 : static_cast<uint16_t>(v >> (16 * h)));
      }
  } else {
    keep(gatherer(in.operands[1], 64, transposeA), a);
  }
  keep(gatherer(in.operands[2], columns, transposeB), b);

  const Operand &d = in.operands[0];
  if (static_cast<int64_t>(d.elements.size()) != columns / 2)
    throw Failure("a product with the wrong number of accumulators");
  bool accumulate = read(all[0], in.operands[3]) & 1;
  for (int64_t t = 0; t < 128; ++t)
    for (int64_t i = 0; i < columns / 2; ++i) {
      int64_t row = t / 32 * 16 + t % 32 / 4 + 8 * (i / 2 % 2);
      int64_t column = 8 * (i / 4) + 2 * (t % 4) + i % 2;
      float sum = accumulate ? asFloat(read(all[t], d.elements[i])) : 0.0f;
      for (int64_t k = 0; k < depth; ++k)
        sum += a[row * depth + k] * b[column * depth + k];
      write(all[t], d.elements[i], asBits(sum));
    }
}

} // namespace dsv2::ptx
