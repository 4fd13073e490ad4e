//===- Scalar.cpp - Arithmetic of the PTX emulator ------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "test/lowering/nvptx/emulator/Machine.h"

#include "runtime/base/NumberFormats.h"

namespace dsv2::ptx {

uint8_t toE4m3(float value) {
  if (std::isnan(value))
    return 0x7f;
  uint8_t sign = std::signbit(value) ? 128 : 0;
  float a = std::min(std::fabs(value), 448.0f);
  int best = 0;
  for (int i = 0; i < 127; ++i) { // nearest, ties to even
    float d = std::fabs(e4m3ToFloat(static_cast<uint8_t>(i)) - a);
    float b = std::fabs(e4m3ToFloat(static_cast<uint8_t>(best)) - a);
    if (d < b || (d == b && i % 2 == 0))
      best = i;
  }
  return static_cast<uint8_t>(sign | best);
}

namespace {

struct Type {
  char kind = 'b'; ///< b, u, s, f (float), h (bf16), p (pred)
  int bits = 32;
};

Type typeOf(const std::string &part) {
  if (part == "pred")
    return {'p', 1};
  if (part == "bf16")
    return {'h', 16};
  if (part == "bf16x2")
    return {'H', 32};
  if (part == "f16x2")
    return {'F', 32};
  char kind = part[0];
  int bits = std::atoi(part.c_str() + 1);
  return {kind, bits};
}

bool isType(const std::string &part) {
  if (part == "pred" || part == "bf16" || part == "bf16x2" || part == "f16x2")
    return true;
  return part.size() >= 2 &&
         (part[0] == 'b' || part[0] == 'u' || part[0] == 's' ||
          part[0] == 'f') &&
         part.find_first_not_of("0123456789", 1) == std::string::npos;
}

uint64_t mask(uint64_t v, int bits) {
  return bits >= 64 ? v : v & ((1ull << bits) - 1);
}

int64_t signedOf(uint64_t v, int bits) {
  if (bits >= 64)
    return static_cast<int64_t>(v);
  uint64_t sign = 1ull << (bits - 1);
  return static_cast<int64_t>((mask(v, bits) ^ sign) - sign);
}

float flush(float v, bool ftz) {
  return ftz && std::fpclassify(v) == FP_SUBNORMAL ? std::copysign(0.0f, v) : v;
}

float fmaxNumber(float a, float b, bool propagate) {
  if (propagate && (std::isnan(a) || std::isnan(b)))
    return std::numeric_limits<float>::quiet_NaN();
  return std::isnan(a) ? b : std::isnan(b) ? a : std::max(a, b);
}

bool compareFloats(const std::string &op, double a, double b) {
  bool unordered = std::isnan(a) || std::isnan(b);
  if (op == "num")
    return !unordered;
  if (op == "nan")
    return unordered;
  std::string base = op;
  if (op.size() == 3 && op[2] == 'u') {
    if (unordered)
      return true;
    base = op.substr(0, 2);
  }
  if (unordered)
    return false;
  return base == "eq"   ? a == b
         : base == "ne" ? a != b
         : base == "lt" ? a < b
         : base == "le" ? a <= b
         : base == "gt" ? a > b
                        : a >= b;
}

bool compareIntegers(const std::string &op, Type type, uint64_t x, uint64_t y) {
  if (op == "eq")
    return mask(x, type.bits) == mask(y, type.bits);
  if (op == "ne")
    return mask(x, type.bits) != mask(y, type.bits);
  bool isSigned = type.kind == 's';
  uint64_t a = mask(x, type.bits), b = mask(y, type.bits);
  int64_t c = signedOf(x, type.bits), d = signedOf(y, type.bits);
  bool less = isSigned ? c < d : a < b, equal = a == b;
  if (op == "lt" || op == "lo")
    return less;
  if (op == "le" || op == "ls")
    return less || equal;
  if (op == "gt" || op == "hi")
    return !less && !equal;
  if (op == "ge" || op == "hs")
    return !less;
  throw Failure("unknown comparison " + op);
}

/// Floats of 32 bits or narrower as float.
float narrow(uint64_t v, Type type) {
  if (type.kind == 'h')
    return bf16ToFloat(static_cast<uint16_t>(v));
  return type.bits == 16 ? f16ToFloat(static_cast<uint16_t>(v)) : asFloat(v);
}
uint64_t widen(float v, Type type) {
  if (type.kind == 'h')
    return floatToBf16(v);
  return type.bits == 16 ? floatToF16(v) : asBits(v);
}

float arithmetic(const std::string &op, const Instruction &in, float a, float b,
                 float c) {
  bool ftz = in.has("ftz");
  a = flush(a, ftz), b = flush(b, ftz), c = flush(c, ftz);
  float r = op == "add"   ? a + b
            : op == "sub" ? a - b
            : op == "mul" ? a * b
            : op == "div" ? a / b
            : op == "min" ? -fmaxNumber(-a, -b, in.has("NaN"))
            : op == "max" ? fmaxNumber(a, b, in.has("NaN"))
                          : std::fma(a, b, c);
  if (in.has("sat"))
    r = std::isnan(r) ? 0.0f : std::min(std::max(r, 0.0f), 1.0f);
  return flush(r, ftz);
}

float unary(const std::string &op, const Instruction &in, float a) {
  bool ftz = in.has("ftz");
  a = flush(a, ftz);
  float r = op == "neg"     ? -a
            : op == "abs"   ? std::fabs(a)
            : op == "sqrt"  ? std::sqrt(a)
            : op == "rsqrt" ? 1.0f / std::sqrt(a)
            : op == "rcp"   ? 1.0f / a
            : op == "ex2"   ? std::exp2(a)
            : op == "lg2"   ? std::log2(a)
            : op == "tanh"  ? std::tanh(a)
            : op == "sin"   ? std::sin(a)
                            : std::cos(a);
  return flush(r, ftz);
}

uint64_t convert(const Instruction &in, const std::string &to,
                 const std::string &from, uint64_t v) {
  Type dst = typeOf(to), src = typeOf(from);
  bool fromFloat = src.kind == 'f' || src.kind == 'h';
  bool toFloating = dst.kind == 'f' || dst.kind == 'h';
  auto value = [&]() -> double {
    if (src.kind == 'f' && src.bits == 64)
      return std::bit_cast<double>(v);
    if (fromFloat)
      return flush(narrow(v, src), in.has("ftz"));
    return src.kind == 's' ? static_cast<double>(signedOf(v, src.bits))
                           : static_cast<double>(mask(v, src.bits));
  };
  if (!fromFloat && !toFloating) {
    uint64_t wide = src.kind == 's'
                        ? static_cast<uint64_t>(signedOf(v, src.bits))
                        : mask(v, src.bits);
    if (in.has("sat"))
      throw Failure("unknown conversion");
    return mask(wide, dst.bits);
  }
  double x = value();
  if (toFloating) {
    if (in.has("rni"))
      x = std::nearbyint(x);
    if (in.has("rmi"))
      x = std::floor(x);
    if (in.has("rpi"))
      x = std::ceil(x);
    if (in.has("rzi"))
      x = std::trunc(x);
    if (in.has("sat"))
      x = std::isnan(x) ? 0.0 : std::min(std::max(x, 0.0), 1.0);
    if (dst.bits == 64)
      return std::bit_cast<uint64_t>(x);
    return widen(static_cast<float>(x), dst);
  }
  x = in.has("rni")   ? std::nearbyint(x)
      : in.has("rmi") ? std::floor(x)
      : in.has("rpi") ? std::ceil(x)
                      : std::trunc(x);
  if (std::isnan(x))
    return 0;
  if (dst.kind == 's') {
    double limit = std::ldexp(1.0, dst.bits - 1);
    x = std::min(std::max(x, -limit), limit - 1);
    return mask(static_cast<uint64_t>(static_cast<int64_t>(x)), dst.bits);
  }
  x = std::min(std::max(x, 0.0), std::ldexp(1.0, dst.bits) - 1);
  return mask(static_cast<uint64_t>(x), dst.bits);
}

} // namespace

bool Machine::scalar(Thread &t, const Instruction &in) {
  const std::string &op = in.parts[0];
  auto value = [&](size_t i) { return read(t, in.operands[i]); };
  auto set = [&](uint64_t v) { write(t, in.operands[0], v); };
  Type type = isType(in.parts.back()) ? typeOf(in.parts.back()) : Type();
  bool isFloat = type.kind == 'f' || type.kind == 'h';

  if (op == "mov") {
    const Operand &d = in.operands[0], &s = in.operands[1];
    if (s.kind == Operand::vector) {
      int bits = type.bits / static_cast<int>(s.elements.size());
      uint64_t packed = 0;
      for (size_t i = 0; i < s.elements.size(); ++i)
        packed |= mask(read(t, s.elements[i]), bits) << (bits * i);
      set(packed);
    } else if (d.kind == Operand::vector) {
      int bits = type.bits / static_cast<int>(d.elements.size());
      uint64_t v = value(1);
      for (size_t i = 0; i < d.elements.size(); ++i)
        write(t, d.elements[i], mask(v >> (bits * i), bits));
    } else {
      set(type.kind == 'p' ? value(1) & 1 : mask(value(1), type.bits));
    }
    return true;
  }
  if (op == "cvta") {
    bool isShared =
        in.has("shared") || in.has("shared__cta") || in.has("shared__cluster");
    uint64_t v = value(1);
    if (isShared)
      v = in.has("to") ? v - sharedWindow : v + sharedWindow;
    set(v);
    return true;
  }
  if (op == "cvt") {
    const std::string &to = in.parts[in.parts.size() - 2];
    const std::string &from = in.parts.back();
    if (to == "bf16x2") {
      set(static_cast<uint64_t>(floatToBf16(asFloat(value(1)))) << 16 |
          floatToBf16(asFloat(value(2))));
    } else if (to == "f16x2" && from == "f32") {
      set(static_cast<uint64_t>(floatToF16(asFloat(value(1)))) << 16 |
          floatToF16(asFloat(value(2))));
    } else if (to == "e4m3x2") {
      set(static_cast<uint64_t>(toE4m3(asFloat(value(1)))) << 8 |
          toE4m3(asFloat(value(2))));
    } else if (to == "f16x2" && from == "e4m3x2") {
      uint64_t v = value(1);
      set(static_cast<uint64_t>(floatToF16(e4m3ToFloat(v >> 8 & 255))) << 16 |
          floatToF16(e4m3ToFloat(v & 255)));
    } else {
      set(convert(in, to, from, value(1)));
    }
    return true;
  }
  if (op == "setp") {
    bool r =
        isFloat
            ? compareFloats(in.parts[1],
                            type.bits == 64
                                ? std::bit_cast<double>(value(1))
                                : flush(narrow(value(1), type), in.has("ftz")),
                            type.bits == 64
                                ? std::bit_cast<double>(value(2))
                                : flush(narrow(value(2), type), in.has("ftz")))
            : compareIntegers(in.parts[1], type, value(1), value(2));
    if (in.operands.size() == 4) {
      bool c = value(3) & 1;
      r = in.has("and") ? r && c : in.has("or") ? r || c : r != c;
    }
    set(r);
    return true;
  }
  if (op == "selp") {
    set(mask(value(3) & 1 ? value(1) : value(2), type.bits));
    return true;
  }
  if (op == "bra") {
    t.pc = in.operands[0].value;
    jumped = true;
    return true;
  }
  if (op == "ret" || op == "exit") {
    t.pc = entry.code.size();
    jumped = true;
    return true;
  }

  bool isBinary = op == "add" || op == "sub" || op == "mul" || op == "div" ||
                  op == "min" || op == "max" || op == "fma";
  if (isFloat && type.bits <= 32 && isBinary) {
    float c = op == "fma" ? narrow(value(3), type) : 0.0f;
    set(widen(
        arithmetic(op, in, narrow(value(1), type), narrow(value(2), type), c),
        type));
    return true;
  }
  if (isFloat && type.bits <= 32 &&
      (op == "neg" || op == "abs" || op == "sqrt" || op == "rsqrt" ||
       op == "rcp" || op == "ex2" || op == "lg2" || op == "tanh" ||
       op == "sin" || op == "cos")) {
    set(widen(unary(op, in, narrow(value(1), type)), type));
    return true;
  }
  if (op == "copysign") {
    set(asBits(std::copysign(asFloat(value(2)), asFloat(value(1)))));
    return true;
  }
  if (isFloat || type.kind == 'H' || type.kind == 'F')
    return false;

  bool isSigned = type.kind == 's';
  int bits = type.bits;
  auto both = [&](auto f) {
    set(mask(f(mask(value(1), bits), mask(value(2), bits)), bits));
    return true;
  };
  if (op == "mul" || op == "mad") {
    unsigned __int128 product =
        isSigned ? static_cast<unsigned __int128>(
                       static_cast<__int128>(signedOf(value(1), bits)) *
                       signedOf(value(2), bits))
                 : static_cast<unsigned __int128>(mask(value(1), bits)) *
                       mask(value(2), bits);
    int out = bits;
    if (in.has("hi"))
      product >>= bits;
    if (in.has("wide"))
      out = 2 * bits;
    uint64_t r = static_cast<uint64_t>(product);
    if (op == "mad")
      r += value(3);
    set(mask(r, out));
    return true;
  }
  if (op == "add")
    return both([](uint64_t a, uint64_t b) { return a + b; });
  if (op == "sub")
    return both([](uint64_t a, uint64_t b) { return a - b; });
  if (op == "and")
    return both([](uint64_t a, uint64_t b) { return a & b; });
  if (op == "or")
    return both([](uint64_t a, uint64_t b) { return a | b; });
  if (op == "xor")
    return both([](uint64_t a, uint64_t b) { return a ^ b; });
  if (op == "shl" || op == "shr") {
    uint64_t n = std::min<uint64_t>(mask(value(2), 32), 127);
    uint64_t v = mask(value(1), bits);
    int64_t s = signedOf(v, bits);
    uint64_t r;
    if (op == "shl")
      r = n >= 64 ? 0 : v << n;
    else if (isSigned)
      r = static_cast<uint64_t>(s >> std::min<uint64_t>(n, 63));
    else
      r = n >= 64 ? 0 : v >> n;
    set(mask(r, bits));
    return true;
  }
  if (op == "div" || op == "rem") {
    uint64_t a = mask(value(1), bits), b = mask(value(2), bits);
    int64_t c = signedOf(a, bits), d = signedOf(b, bits);
    if (b == 0)
      throw Failure("division by zero");
    uint64_t r = isSigned ? static_cast<uint64_t>(op == "div" ? c / d : c % d)
                          : (op == "div" ? a / b : a % b);
    set(mask(r, bits));
    return true;
  }
  if (op == "min" || op == "max") {
    uint64_t a = mask(value(1), bits), b = mask(value(2), bits);
    bool less = isSigned ? signedOf(a, bits) < signedOf(b, bits) : a < b;
    set(less == (op == "min") ? a : b);
    return true;
  }
  bool reads = in.operands.size() > 1 &&
               in.operands[1].kind != Operand::memory &&
               in.operands[1].kind != Operand::vector;
  uint64_t a = reads ? mask(value(1), bits) : 0;
  if (op == "neg")
    set(mask(0 - a, bits));
  else if (op == "abs")
    set(mask(signedOf(a, bits) < 0 ? 0 - a : a, bits));
  else if (op == "not")
    set(type.kind == 'p' ? ~a & 1 : mask(~a, bits));
  else if (op == "cnot")
    set(a == 0);
  else if (op == "popc")
    set(std::popcount(a));
  else if (op == "clz")
    set(std::countl_zero(a) - (64 - bits));
  else if (op == "brev") {
    uint64_t r = 0;
    for (int i = 0; i < bits; ++i)
      r |= (a >> i & 1) << (bits - 1 - i);
    set(r);
  } else if (op == "bfind") {
    uint64_t v = isSigned && signedOf(a, bits) < 0 ? mask(~a, bits) : a;
    int top = v ? 63 - std::countl_zero(v) : -1;
    if (in.has("shiftamt") && top >= 0)
      top = bits - 1 - top;
    set(mask(static_cast<uint64_t>(top), 32));
  } else if (op == "bfe") {
    uint64_t at = value(2) & 255, count = value(3) & 255;
    uint64_t r = at >= 64 ? 0 : mask(a >> at, static_cast<int>(count));
    if (isSigned && count && count < 64)
      r = static_cast<uint64_t>(signedOf(r, static_cast<int>(count)));
    set(mask(count ? r : 0, bits));
  } else if (op == "bfi") {
    uint64_t b = value(2), at = value(3) & 255, count = value(4) & 255;
    uint64_t field = mask(~0ull, static_cast<int>(count)) << at;
    set(mask((b & ~field) | (a << at & field), bits));
  } else if (op == "prmt") {
    uint64_t bytes = mask(value(1), 32) | value(2) << 32, selector = value(3);
    uint64_t r = 0;
    for (int i = 0; i < 4; ++i) {
      uint64_t s = selector >> (4 * i) & 15,
               byte = bytes >> (8 * (s & 7)) & 255;
      if (s & 8)
        byte = byte & 128 ? 255 : 0;
      r |= byte << (8 * i);
    }
    set(r);
  } else if (op == "shf") {
    uint64_t wide = mask(value(1), 32) | mask(value(2), 32) << 32;
    uint64_t n = in.has("wrap") ? value(3) & 31
                                : std::min<uint64_t>(mask(value(3), 32), 32);
    set(mask(in.has("l") ? wide << n >> 32 : wide >> n, 32));
  } else {
    return false;
  }
  return true;
}

} // namespace dsv2::ptx
