//===- PtxModule.cpp - PTX text, decoded for the emulator -----------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "test/lowering/nvptx/emulator/PtxModule.h"

#include <cctype>
#include <cstdlib>
#include <cstring>
#include <set>

namespace dsv2::ptx {
namespace {

std::string stripComments(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    if (text.substr(i, 2) == "//") {
      while (i < text.size() && text[i] != '\n')
        ++i;
    } else if (text.substr(i, 2) == "/*") {
      i = text.find("*/", i);
      i = i == text.npos ? text.size() : i + 2;
    } else {
      out += text[i++];
    }
  }
  return out;
}

std::string trim(std::string_view s) {
  while (!s.empty() && std::isspace(static_cast<unsigned char>(s.front())))
    s.remove_prefix(1);
  while (!s.empty() && std::isspace(static_cast<unsigned char>(s.back())))
    s.remove_suffix(1);
  return std::string(s);
}

std::vector<std::string> split(std::string_view s, char separator) {
  std::vector<std::string> parts;
  int depth = 0;
  std::string part;
  for (char c : s) {
    depth +=
        (c == '{' || c == '[' || c == '(') - (c == '}' || c == ']' || c == ')');
    if (c == separator && depth == 0) {
      parts.push_back(trim(part));
      part.clear();
    } else {
      part += c;
    }
  }
  if (!trim(part).empty())
    parts.push_back(trim(part));
  return parts;
}

bool isNameChar(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '$' ||
         c == '%';
}

uint64_t typeBytes(std::string_view type) {
  if (type.ends_with("64"))
    return 8;
  if (type.ends_with("32"))
    return 4;
  return type.ends_with("16") ? 2 : 1;
}

/// Reads one .entry: statements are separated by ';', scopes of inline
/// assembly by braces.
class Body {
public:
  Body(Module &module, Entry &entry) : module(module), entry(entry) {}

  void read(std::string_view text) {
    scopes.push_back(0);
    std::string statement;
    int vectorDepth = 0;
    for (size_t i = 0; i < text.size(); ++i) {
      char c = text[i];
      if (c == '{' && vectorDepth == 0 && trim(statement).empty()) {
        scopes.push_back(++lastScope);
        continue;
      }
      if (c == '}' && vectorDepth == 0) {
        scopes.pop_back();
        continue;
      }
      vectorDepth += (c == '{') - (c == '}');
      if (c == ':' && vectorDepth == 0 && isLabel(statement)) {
        labels[qualified(trim(statement), scopes.back())] = entry.code.size();
        statement.clear();
        continue;
      }
      if (c == ';') {
        line(trim(statement));
        statement.clear();
        continue;
      }
      statement += c;
    }
    for (auto &[instruction, name, scope] : pending) {
      uint64_t target = ~0ull;
      for (int s : scope)
        if (auto it = labels.find(qualified(name, s)); it != labels.end())
          target = it->second;
      if (target == ~0ull)
        module.error = "no label " + name;
      entry.code[instruction].operands[0].value = target;
    }
    entry.registers = static_cast<int32_t>(registers.size());
  }

private:
  struct Jump {
    size_t instruction;
    std::string name;
    std::vector<int> scope;
  };

  Module &module;
  Entry &entry;
  std::vector<int> scopes;
  int lastScope = 0;
  std::map<std::string, uint64_t> labels;
  std::map<std::string, int32_t> registers;
  std::set<std::string> scoped; ///< registers declared by name
  std::vector<Jump> pending;

  static std::string qualified(const std::string &name, int scope) {
    return name + "@" + std::to_string(scope);
  }

  static bool isLabel(const std::string &statement) {
    std::string name = trim(statement);
    if (name.empty())
      return false;
    for (char c : name)
      if (!isNameChar(c))
        return false;
    return true;
  }

  int32_t registerId(const std::string &name) {
    std::string key = name;
    for (int scope : scopes)
      if (scoped.contains(qualified(name, scope)))
        key = qualified(name, scope);
    return registers.try_emplace(key, static_cast<int32_t>(registers.size()))
        .first->second;
  }

  bool isRegister(const std::string &name) {
    if (name.starts_with('%'))
      return true;
    for (int scope : scopes)
      if (scoped.contains(qualified(name, scope)))
        return true;
    return false;
  }

  static bool special(const std::string &name, uint64_t &out) {
    static const char *names[] = {
        "%tid.x",    "%tid.y",    "%tid.z",   "%ntid.x",  "%ntid.y",
        "%ntid.z",   "%ctaid.x",  "%ctaid.y", "%ctaid.z", "%nctaid.x",
        "%nctaid.y", "%nctaid.z", "%laneid",  "%warpid"};
    for (size_t i = 0; i < std::size(names); ++i)
      if (name == names[i]) {
        out = i;
        return true;
      }
    if (name.starts_with("%cluster") || name.starts_with("%clock") ||
        name.starts_with("%smid") || name.starts_with("%globaltimer") ||
        name.starts_with("%nsmid") || name.starts_with("%ncluster")) {
      out = static_cast<uint64_t>(Special::other);
      return true;
    }
    return false;
  }

  Operand operand(std::string text) {
    Operand o;
    text = trim(text);
    if (text.starts_with('!')) {
      o = operand(text.substr(1));
      o.negated = true;
      return o;
    }
    if (text.starts_with('{')) {
      o.kind = Operand::vector;
      for (const std::string &e :
           split(std::string_view(text).substr(1, text.size() - 2), ','))
        o.elements.push_back(operand(e));
      return o;
    }
    if (text.starts_with('[')) {
      std::vector<std::string> inner =
          split(std::string_view(text).substr(1, text.size() - 2), ',');
      o.kind = Operand::memory;
      std::string base = inner[0];
      size_t plus = base.find_first_of("+-", 1);
      if (plus != base.npos) {
        o.value = static_cast<uint64_t>(std::strtoll(
            base.c_str() + plus + (base[plus] == '+' ? 1 : 0), nullptr, 0));
        base = trim(base.substr(0, plus));
      }
      for (const Param &p : entry.params)
        if (p.name == base) {
          o.kind = Operand::param;
          o.value += p.offset;
          return o;
        }
      if (auto it = module.shared.find(base); it != module.shared.end())
        o.value += it->second;
      else if (isRegister(base))
        o.reg0 = registerId(base);
      else
        o.value += std::strtoull(base.c_str(), nullptr, 0);
      for (size_t i = 1; i < inner.size(); ++i) // coordinates of a tensor
        o.elements.push_back(operand(inner[i]));
      return o;
    }
    size_t bar = text.find('|');
    if (bar != text.npos) {
      o = operand(text.substr(0, bar));
      Operand second = operand(text.substr(bar + 1));
      o.pair = second.reg0;
      return o;
    }
    uint64_t which;
    if (special(text, which)) {
      o.kind = Operand::special;
      o.value = which;
      return o;
    }
    if (text == "_" || isRegister(text)) {
      o.kind = Operand::reg;
      o.reg0 = registerId(text);
      return o;
    }
    o.kind = Operand::imm;
    if (text.starts_with("0f") || text.starts_with("0F")) {
      o.value = std::strtoull(text.c_str() + 2, nullptr, 16);
    } else if (text.starts_with("0d") || text.starts_with("0D")) {
      o.value = std::strtoull(text.c_str() + 2, nullptr, 16);
      o.wideFloat = true;
    } else if (text == "true") {
      o.value = 1;
    } else if (std::isdigit(static_cast<unsigned char>(text[0])) ||
               text[0] == '-') {
      o.value =
          text[0] == '-'
              ? static_cast<uint64_t>(std::strtoll(text.c_str(), nullptr, 0))
              : std::strtoull(text.c_str(), nullptr, 0);
    } else if (auto it = module.shared.find(text); it != module.shared.end()) {
      o.value = it->second;
    } else {
      for (const Param &p : entry.params)
        if (p.name == text) {
          o.kind = Operand::param;
          o.value = p.offset;
          return o;
        }
      o.kind = Operand::label;
    }
    return o;
  }

  void line(std::string text) {
    if (text.empty())
      return;
    if (text.starts_with(".reg")) {
      for (std::string &name :
           split(std::string_view(text).substr(text.find_first_of(" \t", 5)),
                 ','))
        if (!name.starts_with('%'))
          scoped.insert(qualified(name, scopes.back()));
      return;
    }
    if (text.starts_with('.')) // .loc, .pragma, .local
      return;
    Instruction in;
    in.text = text;
    if (text.starts_with('@')) {
      size_t end = text.find_first_of(" \t");
      std::string name = text.substr(1, end - 1);
      in.negated = name.starts_with('!');
      in.predicate = registerId(in.negated ? name.substr(1) : name);
      text = trim(text.substr(end));
    }
    size_t end = text.find_first_of(" \t");
    std::string opcode = text.substr(0, end);
    for (char &c : opcode) // ::cta and the like are one part
      if (c == ':')
        c = '_';
    in.parts = split(opcode, '.');
    std::vector<std::string> operands;
    if (end != text.npos)
      operands = split(std::string_view(text).substr(end), ',');
    for (const std::string &o : operands)
      in.operands.push_back(operand(o));
    if (in.parts[0] == "bra")
      pending.push_back({entry.code.size(), operands[0], scopes});
    entry.code.push_back(std::move(in));
  }
};

} // namespace

bool Instruction::has(std::string_view part) const {
  for (const std::string &p : parts)
    if (p == part)
      return true;
  return false;
}

int Instruction::number(std::string_view prefix) const {
  for (const std::string &p : parts) {
    size_t at = p.find(prefix);
    if (at != p.npos && at + prefix.size() < p.size() &&
        std::isdigit(static_cast<unsigned char>(p[at + prefix.size()])))
      return std::atoi(p.c_str() + at + prefix.size());
  }
  return -1;
}

Module parse(std::string_view original) {
  Module module;
  std::string text = stripComments(original);
  // Shared variables: static ones first, then the dynamic area.
  uint64_t next = 1024;
  std::vector<std::string> dynamic;
  for (const std::string &statement : split(text, ';')) {
    size_t at = statement.find(".shared ");
    size_t bracket = statement.rfind('[');
    if (at == statement.npos || bracket == statement.npos ||
        statement.find(".entry") != statement.npos)
      continue;
    size_t start = statement.find_last_of(" \t", bracket) + 1;
    std::string name = statement.substr(start, bracket - start);
    uint64_t size = std::strtoull(statement.c_str() + bracket + 1, nullptr, 10);
    if (size == 0) {
      dynamic.push_back(name);
      continue;
    }
    next = (next + 127) / 128 * 128;
    module.shared[name] = next;
    next += size;
  }
  module.dynamicShared = (next + 1023) / 1024 * 1024;
  for (const std::string &name : dynamic)
    module.shared[name] = module.dynamicShared;

  for (size_t at = text.find(".entry"); at != text.npos;
       at = text.find(".entry", at + 1)) {
    size_t open = text.find('(', at);
    Entry entry;
    entry.name = trim(std::string_view(text).substr(at + 6, open - at - 6));
    size_t close = text.find(')', open);
    for (const std::string &p : split(
             std::string_view(text).substr(open + 1, close - open - 1), ',')) {
      Param param;
      size_t nameAt = p.find_last_of(" \t") + 1;
      param.name = p.substr(nameAt);
      uint64_t count = 1, align = 1;
      if (size_t b = param.name.find('['); b != std::string::npos) {
        count = std::strtoull(param.name.c_str() + b + 1, nullptr, 10);
        param.name.resize(b);
      }
      uint64_t element = 8;
      for (const std::string &word : split(p, ' '))
        if (word.size() >= 3 && word[0] == '.' &&
            std::strchr("bus f", word[1]) &&
            std::isdigit(static_cast<unsigned char>(word[2])))
          element = typeBytes(word);
      align = element;
      if (size_t a = p.find(".align "); a != p.npos && count > 1)
        align = std::strtoull(p.c_str() + a + 7, nullptr, 10);
      entry.paramBytes = (entry.paramBytes + align - 1) / align * align;
      param.offset = entry.paramBytes;
      param.size = element * count;
      entry.paramBytes += param.size;
      entry.params.push_back(param);
    }
    size_t begin = text.find('{', close);
    size_t stop = begin;
    int depth = 0;
    do {
      depth += (text[stop] == '{') - (text[stop] == '}');
      ++stop;
    } while (depth > 0 && stop < text.size());
    Body(module, entry)
        .read(std::string_view(text).substr(begin + 1, stop - begin - 2));
    module.entries[entry.name] = std::move(entry);
  }
  return module;
}

} // namespace dsv2::ptx
