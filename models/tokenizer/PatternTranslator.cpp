//===- PatternTranslator.cpp - Oniguruma patterns for PCRE2 ---------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "models/tokenizer/PatternTranslator.h"

#include "models/tokenizer/CharacterSets.h"

#include <cctype>
#include <charconv>
#include <cstdint>
#include <cstdio>

using namespace dsv2;

namespace {

bool isAlphanumeric(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0;
}

bool isPunctuation(char c) {
  auto byte = static_cast<unsigned char>(c);
  return byte < 0x80 && std::ispunct(byte) != 0;
}

std::string codePoint(uint32_t value) {
  char text[16];
  std::snprintf(text, sizeof(text), "\\x{%x}", static_cast<unsigned>(value));
  return text;
}

/// Walks a pattern once and writes its translation.
class Translator {
public:
  explicit Translator(std::string_view pattern) : input(pattern) {}

  Result<std::string> run();

private:
  bool atEnd() const { return position == input.size(); }
  char peek() const { return atEnd() ? '\0' : input[position]; }
  bool take(std::string_view token);

  Status refuse(const std::string &what) const {
    return Status(StatusCode::incompatible,
                  "expected a pattern without " + what +
                      ", but it has one before byte " +
                      std::to_string(position));
  }

  Status group();
  Status interval();
  Status escape();
  Status characterClass();
  Status classItem(bool &shorthand);
  Status namedSet(char letter, CharacterSet &set, bool &negated);
  /// The code point of an escaped character such as `\t`, `\x{41}` or `\-`.
  Status escapedCharacter(char letter);

  std::string_view input;
  size_t position = 0;
  std::string output;
};

bool Translator::take(std::string_view token) {
  if (!input.substr(position).starts_with(token))
    return false;
  position += token.size();
  return true;
}

Result<std::string> Translator::run() {
  // Written out, this would try every start within every run of white space:
  // quadratic time. A match can only begin where a run begins.
  if (input == "\\s+$") {
    std::string space = "[" + shorthandSet('s')->items + "]";
    return "(?<!" + space + ")" + space + "+(?=\\n|\\z)";
  }
  while (!atEnd()) {
    char c = input[position];
    if (c == '(') {
      DSV2_RETURN_IF_ERROR(group());
    } else if (c == '[') {
      ++position;
      DSV2_RETURN_IF_ERROR(characterClass());
    } else if (c == '{') {
      DSV2_RETURN_IF_ERROR(interval());
    } else if (c == '\\') {
      ++position;
      DSV2_RETURN_IF_ERROR(escape());
    } else {
      ++position;
      if (c == '$')
        output += "(?=\\n|\\z)";
      else if (c == '^')
        output += "(?:\\A|(?<=\\n)(?!\\z))";
      else if (c == '.')
        output += "[^\\n]";
      else
        output += c;
    }
  }
  return std::move(output);
}

Status Translator::group() {
  for (std::string_view same :
       {"(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>", "(?i:", "(?-i:"})
    if (take(same)) {
      output += same;
      return {};
    }
  if (position == 0 && take("(?i)")) {
    output += "(?i)";
    return {};
  }
  ++position;
  if (peek() == '?' || peek() == '*')
    return refuse("a group of another kind than (...), (?:...), (?i:...), "
                  "(?>...) or a look-around");
  output += '(';
  return {};
}

Status Translator::interval() {
  size_t end = position + 1;
  size_t commas = 0;
  while (end < input.size() &&
         (std::isdigit(static_cast<unsigned char>(input[end])) ||
          input[end] == ',')) {
    commas += input[end] == ',';
    ++end;
  }
  std::string_view body = input.substr(position + 1, end - position - 1);
  bool quantifies = end < input.size() && input[end] == '}' && commas <= 1 &&
                    !body.empty() && body != ",";
  if (!quantifies) {
    ++position;
    output += "\\{";
    return {};
  }
  position = end + 1;
  if (peek() == '+' || (peek() == '?' && commas == 0))
    return refuse("a second quantifier behind {...}");
  output += body.starts_with(',') ? "{0" : "{";
  output += body;
  output += '}';
  return {};
}

Status Translator::namedSet(char letter, CharacterSet &set, bool &negated) {
  negated = std::isupper(static_cast<unsigned char>(letter)) != 0;
  std::optional<CharacterSet> found;
  if (letter == 'p' || letter == 'P') {
    size_t end = input.find('}', position);
    if (!take("{") || end == std::string_view::npos)
      return refuse("a property that is not written \\p{name}");
    if (take("^"))
      negated = !negated;
    found = propertySet(input.substr(position, end - position));
    position = end + 1;
    if (!found)
      return refuse("a property other than general categories and scripts");
  } else {
    found = shorthandSet(static_cast<char>(letter | 0x20));
  }
  set = *std::move(found);
  return {};
}

Status Translator::escapedCharacter(char letter) {
  constexpr std::string_view names = "tnrfvae";
  constexpr std::string_view values = "\t\n\r\f\v\a\x1b";
  if (size_t i = names.find(letter); i != std::string_view::npos) {
    output += codePoint(static_cast<unsigned char>(values[i]));
    return {};
  }
  if (letter == 'x' || letter == 'u') {
    bool braces = letter == 'x' && take("{");
    size_t most = braces ? 8 : letter == 'x' ? 2 : 4;
    const char *begin = input.data() + position;
    const char *limit = begin + std::min<size_t>(most, input.size() - position);
    uint32_t value = 0;
    auto [end, error] = std::from_chars(begin, limit, value, 16);
    size_t digits = static_cast<size_t>(end - begin);
    position += digits;
    bool whole = error == std::errc() && (letter != 'u' || digits == 4) &&
                 (!braces || take("}"));
    // Without braces, \x80 and above would be one byte of a character.
    if (!whole || value > 0x10FFFF || (value >= 0xD800 && value < 0xE000) ||
        (letter == 'x' && !braces && value > 0x7F))
      return refuse("an escape that names no character");
    output += codePoint(value);
    return {};
  }
  if (isAlphanumeric(letter))
    return refuse(std::string("the escape \\") + letter);
  if (isPunctuation(letter))
    output += '\\';
  output += letter;
  return {};
}

Status Translator::escape() {
  if (atEnd())
    return refuse("a backslash at its end");
  char letter = input[position++];
  if (std::string_view("sSdDwWhHpP").find(letter) != std::string_view::npos) {
    CharacterSet set;
    bool negated;
    DSV2_RETURN_IF_ERROR(namedSet(letter, set, negated));
    output += (negated ? "[^" : "[") + set.items + "]";
    return {};
  }
  if (letter == 'b' || letter == 'B') {
    std::string word = "[" + shorthandSet('w')->items + "]";
    std::string first = letter == 'b' ? "(?!" : "(?=";
    std::string second = letter == 'b' ? "(?=" : "(?!";
    output += "(?:(?<=" + word + ")" + first + word + ")|(?<!" + word + ")" +
              second + word + "))";
    return {};
  }
  bool reference = letter >= '1' && letter <= '9' &&
                   !std::isdigit(static_cast<unsigned char>(peek()));
  if (reference || letter == 'A' || letter == 'z') {
    output += '\\';
    output += letter;
    return {};
  }
  return escapedCharacter(letter);
}

Status Translator::classItem(bool &shorthand) {
  shorthand = false;
  char c = input[position++];
  if (c == '[' || (c == '&' && peek() == '&'))
    return refuse("a character class within a class");
  if (c != '\\') {
    if (isPunctuation(c))
      output += '\\';
    output += c;
    return {};
  }
  if (atEnd())
    return refuse("a backslash at its end");
  char letter = input[position++];
  if (letter == 'b') { // a backspace, here
    output += codePoint(0x08);
    return {};
  }
  if (std::string_view("sSdDwWhHpP").find(letter) == std::string_view::npos)
    return escapedCharacter(letter);
  shorthand = true;
  CharacterSet set;
  bool negated;
  DSV2_RETURN_IF_ERROR(namedSet(letter, set, negated));
  if (negated && set.complement.empty())
    return refuse("a negated property within a character class");
  output += negated ? set.complement : set.items;
  return {};
}

Status Translator::characterClass() {
  output += '[';
  if (take("^"))
    output += '^';
  if (peek() == ']')
    return refuse("an empty character class");
  while (!atEnd() && peek() != ']') {
    bool shorthand;
    DSV2_RETURN_IF_ERROR(classItem(shorthand));
    bool range = peek() == '-' && position + 1 < input.size() &&
                 input[position + 1] != ']';
    if (!range)
      continue;
    if (shorthand)
      return refuse("a range that begins with a set");
    ++position;
    output += '-';
    DSV2_RETURN_IF_ERROR(classItem(shorthand));
    if (shorthand)
      return refuse("a range that ends with a set");
  }
  if (!take("]"))
    return refuse("a character class without end");
  output += ']';
  return {};
}

} // namespace

Result<std::string> dsv2::translatePattern(std::string_view pattern) {
  return Translator(pattern).run();
}

std::string dsv2::literalPattern(std::string_view text) {
  std::string pattern;
  for (char c : text) {
    if (isPunctuation(c))
      pattern += '\\';
    pattern += c;
  }
  return pattern;
}
