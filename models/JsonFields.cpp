//===- JsonFields.cpp - Checked access to a JSON object -------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "models/JsonFields.h"

#include <cstdio>

using namespace dsv2;

static std::string shortNumber(double value) {
  char buffer[32];
  std::snprintf(buffer, sizeof(buffer), "%g", value);
  return buffer;
}

std::string JsonFields::describe(const Json &value) {
  if (value.is_array())
    return "an array";
  if (value.is_object())
    return "an object";
  constexpr size_t longest = 40;
  // ASCII output stays one line and can be cut anywhere.
  std::string text = value.dump(-1, ' ', /*ensure_ascii=*/true,
                                Json::error_handler_t::replace);
  if (text.size() > longest)
    text = text.substr(0, longest) + "...";
  return text;
}

void JsonFields::fail(const std::string &text) {
  if (problem.ok())
    problem = Status(StatusCode::invalidArgument, where + ": " + text);
}

void JsonFields::adopt(const Status &status) {
  if (problem.ok())
    problem = status;
}

const JsonFields::Json *JsonFields::find(const char *key) const {
  auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

const JsonFields::Json *JsonFields::require(const char *key) {
  const Json *value = find(key);
  if (!value)
    fail(std::string(key) + (absent(key) ? " is missing" : " is null") +
         "; the model cannot be built without it");
  return value;
}

int64_t JsonFields::toInteger(const char *key, const Json &value, int64_t low,
                              int64_t high) {
  bool fits = value.is_number_integer() &&
              !(value.is_number_unsigned() &&
                value.get<uint64_t>() > static_cast<uint64_t>(INT64_MAX));
  int64_t integer = fits ? value.get<int64_t>() : 0;
  if (fits && integer >= low && integer <= high)
    return integer;
  fail(std::string(key) + " is " + describe(value) +
       ", expected an integer from " + std::to_string(low) + " to " +
       std::to_string(high));
  return low;
}

int64_t JsonFields::integer(const char *key, int64_t low, int64_t high) {
  const Json *value = require(key);
  return value ? toInteger(key, *value, low, high) : low;
}

int64_t JsonFields::integer(const char *key, int64_t low, int64_t high,
                            int64_t fallback) {
  const Json *value = find(key);
  return value ? toInteger(key, *value, low, high) : fallback;
}

double JsonFields::toNumber(const char *key, const Json &value, double low,
                            double high) {
  double number = value.is_number() ? value.get<double>() : 0;
  if (value.is_number() && number >= low && number <= high)
    return number;
  fail(std::string(key) + " is " + describe(value) +
       ", expected a number from " + shortNumber(low) + " to " +
       shortNumber(high));
  return low;
}

double JsonFields::number(const char *key, double low, double high) {
  const Json *value = require(key);
  return value ? toNumber(key, *value, low, high) : low;
}

double JsonFields::number(const char *key, double low, double high,
                          double fallback) {
  const Json *value = find(key);
  return value ? toNumber(key, *value, low, high) : fallback;
}

std::vector<int64_t> JsonFields::integers(const char *key, int64_t low,
                                          int64_t high, size_t most) {
  const Json *value = find(key);
  if (!value)
    return {};
  if (!value->is_array())
    return {toInteger(key, *value, low, high)};
  std::vector<int64_t> list;
  if (value->size() > most)
    fail(std::string(key) + " has " + std::to_string(value->size()) +
         " entries, expected at most " + std::to_string(most));
  else
    for (const Json &entry : *value)
      list.push_back(toInteger(key, entry, low, high));
  return list;
}

bool JsonFields::boolean(const char *key, bool fallback) {
  const Json *value = find(key);
  if (!value)
    return fallback;
  if (!value->is_boolean())
    fail(std::string(key) + " is " + describe(*value) +
         ", expected true or false");
  return value->is_boolean() ? value->get<bool>() : fallback;
}

std::string JsonFields::text(const char *key, std::string_view fallback) {
  const Json *value = find(key);
  if (!value)
    return std::string(fallback);
  if (!value->is_string())
    fail(std::string(key) + " is " + describe(*value) + ", expected a string");
  return value->is_string() ? value->get<std::string>() : std::string(fallback);
}
