//===- Memory.cpp - Loads, stores and copies of the PTX emulator ----------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "test/lowering/nvptx/emulator/Machine.h"

#include <algorithm>

namespace dsv2::ptx {
namespace {

bool isShared(const Instruction &in) {
  return in.has("shared") || in.has("shared__cta") || in.has("shared__cluster");
}

uint64_t bytesOf(const Instruction &in) {
  const std::string &type = in.parts.back();
  size_t digits = type.find_first_of("0123456789");
  if (digits == std::string::npos)
    throw Failure("unknown type");
  uint64_t bits = std::strtoull(type.c_str() + digits, nullptr, 10);
  return type.ends_with("x2") ? 4 : bits / 8;
}

/// The 16-byte pieces of shared memory that a swizzle exchanges.
uint64_t swizzled(uint64_t address, int32_t bytes) {
  uint64_t pieces = bytes / 16;
  return pieces < 2 ? address : address ^ ((address >> 7 & (pieces - 1)) << 4);
}

/// Calls body(shared offset, host address or null beyond the tensor, bytes)
/// for each row of a box.
void forEachRow(const TensorMapImage &map, const std::vector<int32_t> &at,
                const std::function<void(uint64_t, uint8_t *, int64_t)> &body) {
  int64_t rowBytes = static_cast<int64_t>(map.box[0]) * map.elementBytes;
  if (map.swizzleBytes && rowBytes > map.swizzleBytes)
    throw Failure("a box wider than its swizzle");
  int64_t rows = 1;
  for (int i = 1; i < map.rank; ++i)
    rows *= map.box[i];
  for (int64_t r = 0; r < rows; ++r) {
    auto *p = static_cast<uint8_t *>(map.base);
    bool inside = true;
    int64_t rest = r;
    for (int i = 1; i < map.rank; ++i) {
      int64_t c = at[i] + rest % map.box[i];
      rest /= map.box[i];
      inside &= c >= 0 && c < map.sizes[i];
      p += c * static_cast<int64_t>(map.strides[i - 1]);
    }
    for (uint32_t e = 0; e < map.box[0]; ++e) {
      int64_t c = static_cast<int64_t>(at[0]) + e;
      bool here = inside && c >= 0 && c < map.sizes[0];
      body(static_cast<uint64_t>(r * rowBytes + e * map.elementBytes),
           here ? p + c * map.elementBytes : nullptr, map.elementBytes);
    }
  }
}

} // namespace

bool Machine::memory(Thread &t, const Instruction &in) {
  const std::string &op = in.parts[0];
  if (op == "ld" || op == "ldu") {
    const Operand &d = in.operands[0], &m = in.operands[1];
    uint64_t bytes = bytesOf(in);
    uint64_t count = d.kind == Operand::vector ? d.elements.size() : 1;
    const uint8_t *p;
    if (m.kind == Operand::param)
      p = params.data() + m.value;
    else
      p = address(effective(t, m), bytes * count, isShared(in));
    for (uint64_t i = 0; i < count; ++i) {
      uint64_t v = 0;
      std::memcpy(&v, p + i * bytes, bytes);
      const std::string &type = in.parts.back();
      if (type[0] == 's' && bytes < 4) {
        uint64_t sign = 1ull << (bytes * 8 - 1);
        v = ((v ^ sign) - sign) & 0xffffffff;
      }
      write(t, count > 1 || d.kind == Operand::vector ? d.elements[i] : d, v);
    }
    return true;
  }
  if (op == "st") {
    const Operand &m = in.operands[0], &s = in.operands[1];
    uint64_t bytes = bytesOf(in);
    uint64_t count = s.kind == Operand::vector ? s.elements.size() : 1;
    uint64_t a = effective(t, m);
    uint8_t *p = address(a, bytes * count, isShared(in));
    for (uint64_t i = 0; i < count; ++i) {
      uint64_t v = read(t, s.kind == Operand::vector ? s.elements[i] : s);
      std::memcpy(p + i * bytes, &v, bytes);
    }
    if (p >= shared.data() && p < shared.data() + shared.size())
      markWritten(t, static_cast<uint64_t>(p - shared.data()), bytes * count);
    ++events;
    return true;
  }
  if (op == "atom" || op == "red") {
    size_t first = op == "atom" ? 1 : 0;
    uint64_t bytes = bytesOf(in);
    uint8_t *p = address(effective(t, in.operands[first]), bytes, isShared(in));
    uint64_t old = 0, v = read(t, in.operands[first + 1]), next = 0;
    std::memcpy(&old, p, bytes);
    if (in.has("f32"))
      next = asBits(asFloat(old) + asFloat(v));
    else if (in.has("add"))
      next = old + v;
    else if (in.has("exch"))
      next = v;
    else if (in.has("or"))
      next = old | v;
    else if (in.has("and"))
      next = old & v;
    else if (in.has("inc"))
      next = old >= v ? 0 : old + 1;
    else if (in.has("max"))
      next = in.has("s32")
                 ? static_cast<uint32_t>(std::max(static_cast<int32_t>(old),
                                                  static_cast<int32_t>(v)))
                 : std::max(old, v);
    else if (in.has("cas"))
      next = old == v ? read(t, in.operands[first + 2]) : old;
    else
      return false;
    std::memcpy(p, &next, bytes);
    if (op == "atom")
      write(t, in.operands[0], old);
    ++events;
    return true;
  }
  if (op == "prefetch" || op == "prefetchu" || op == "discard" ||
      op == "applypriority")
    return true;
  if (op != "cp")
    return false;
  if (in.has("bulk")) {
    if (in.has("tensor"))
      tensorCopy(t, in);
    else
      bulkCopy(t, in);
    return true;
  }
  if (in.has("commit_group")) {
    t.copyGroups.push_back(std::move(t.openCopies));
    t.openCopies.clear();
    return true;
  }
  if (in.has("wait_group") || in.has("wait_all")) {
    uint64_t left = in.has("wait_all") ? 0 : read(t, in.operands[0]);
    if (in.has("wait_all")) {
      t.copyGroups.push_back(std::move(t.openCopies));
      t.openCopies.clear();
    }
    while (t.copyGroups.size() > left) {
      for (auto &copy : t.copyGroups.front())
        copy();
      t.copyGroups.erase(t.copyGroups.begin());
    }
    return true;
  }
  if (in.has("mbarrier")) { // cp.async.mbarrier.arrive[.noinc]
    if (!in.has("noinc"))
      return false;
    for (auto &group : t.copyGroups)
      for (auto &copy : group)
        copy();
    for (auto &copy : t.openCopies)
      copy();
    t.copyGroups.clear();
    t.openCopies.clear();
    arrive(effective(t, in.operands[0]), 1, 0);
    return true;
  }
  // cp.async.ca|cg.shared.global [to], [from], bytes[, bytes read]
  uint64_t bytes = read(t, in.operands[2]);
  uint64_t present =
      in.operands.size() > 3 ? read(t, in.operands[3]) & 0xffffffff : bytes;
  uint64_t to = effective(t, in.operands[0]);
  uint8_t *target = address(to, bytes, true);
  const uint8_t *source =
      present ? address(effective(t, in.operands[1]), bytes, false) : nullptr;
  // Counts as a write of this thread, which must be fenced before a product.
  t.openCopies.push_back([=, this, &t] {
    std::memset(target, 0, bytes);
    if (present)
      std::memcpy(target, source, present);
    markWritten(t, to, bytes);
  });
  return true;
}

void Machine::tensorCopy(Thread &t, const Instruction &in) {
  if (in.has("prefetch"))
    return;
  bool load = in.parts[5].starts_with("shared");
  const Operand &tensor = in.operands[load ? 1 : 0];
  TensorMapImage map;
  std::memcpy(&map, reinterpret_cast<const void *>(effective(t, tensor)),
              sizeof(map));
  std::vector<int32_t> at;
  for (const Operand &c : tensor.elements.at(0).elements)
    at.push_back(static_cast<int32_t>(read(t, c)));
  if (static_cast<int32_t>(at.size()) != map.rank || map.rank < 1)
    throw Failure("coordinates do not fit the tensor map");
  uint64_t place = effective(t, in.operands[load ? 0 : 1]);
  uint64_t bytes = map.elementBytes;
  for (int i = 0; i < map.rank; ++i)
    bytes *= map.box[i];
  uint64_t alignment = map.swizzleBytes ? 8 * map.swizzleBytes : 128;
  if (place % alignment)
    throw Failure("box at " + std::to_string(place) + ", not aligned to " +
                  std::to_string(alignment));
  address(place, bytes, true);
  if (!load) {
    checkFenced(place, bytes, in);
    forEachRow(map, at, [&](uint64_t o, uint8_t *p, int64_t n) {
      if (p)
        std::memcpy(address(reinterpret_cast<uint64_t>(p), n, false),
                    shared.data() + swizzled(place + o, map.swizzleBytes), n);
    });
    return;
  }
  uint64_t barrier = effective(t, in.operands[2]);
  flying.push_back([=, this] {
    forEachRow(map, at, [&](uint64_t o, uint8_t *p, int64_t n) {
      uint8_t *d = shared.data() + swizzled(place + o, map.swizzleBytes);
      if (p)
        std::memcpy(d, address(reinterpret_cast<uint64_t>(p), n, false), n);
      else
        std::memset(d, 0, n);
    });
    std::fill_n(unfenced.begin() + static_cast<int64_t>(place / 4), bytes / 4,
                0);
    arrive(barrier, 0, -static_cast<int64_t>(bytes));
  });
}

void Machine::bulkCopy(Thread &t, const Instruction &in) {
  if (in.has("commit_group") || in.has("wait_group") || in.has("prefetch"))
    return; // stores are done when they are issued
  bool load = in.parts[3].starts_with("shared");
  uint64_t to = effective(t, in.operands[0]);
  uint64_t from = effective(t, in.operands[1]);
  uint64_t bytes = read(t, in.operands[2]) & 0xffffffff;
  if (bytes % 16 || to % 16 || from % 16)
    throw Failure("a bulk copy that is not aligned to 16 bytes");
  if (!load) {
    checkFenced(from, bytes, in);
    for (uint64_t i = 0; i < bytes; i += 16)
      std::memcpy(address(to + i, 16, false), address(from + i, 16, true), 16);
    return;
  }
  uint64_t barrier = effective(t, in.operands[3]);
  flying.push_back([=, this] {
    for (uint64_t i = 0; i < bytes; i += 16)
      std::memcpy(address(to + i, 16, true), address(from + i, 16, false), 16);
    arrive(barrier, 0, -static_cast<int64_t>(bytes));
  });
}

} // namespace dsv2::ptx
