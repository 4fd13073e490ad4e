//===- JsonFields.h - Checked access to a JSON object -----------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
// Reads typed fields of untrusted JSON. The first problem is kept as a status
// and turns the later reads into no-ops, so that a reader is a plain list of
// fields with one check at its end.
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_MODELS_JSONFIELDS_H
#define DSV2_MODELS_JSONFIELDS_H

#include "runtime/base/Status.h"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace dsv2 {

class JsonFields {
public:
  using Json = nlohmann::json;

  /// `object` must outlive this; `where` begins every message.
  JsonFields(const Json &object, std::string_view where)
      : object(object), where(where) {}

  const Status &status() const { return problem; }
  bool ok() const { return problem.ok(); }
  const std::string &origin() const { return where; }

  /// Keeps the first problem: "<where>: <text>".
  void fail(const std::string &text);

  /// Keeps a problem that another reader found, as it is.
  void adopt(const Status &status);

  /// The value of `key`, or null when it is absent or JSON null.
  const Json *find(const char *key) const;

  /// True when the key is absent; an explicit null is present.
  bool absent(const char *key) const { return !object.contains(key); }

  /// An integer in [low, high]. The readers without a fallback require the key.
  int64_t integer(const char *key, int64_t low, int64_t high);
  int64_t integer(const char *key, int64_t low, int64_t high, int64_t fallback);

  /// A finite number in [low, high].
  double number(const char *key, double low, double high);
  double number(const char *key, double low, double high, double fallback);

  /// One integer or a list of at most `most` of them, all in [low, high]; empty
  /// when the key is absent.
  std::vector<int64_t> integers(const char *key, int64_t low, int64_t high,
                                size_t most);

  bool boolean(const char *key, bool fallback);
  std::string text(const char *key, std::string_view fallback);

  /// A value cut to a length that fits into a message.
  static std::string describe(const Json &value);

private:
  const Json *require(const char *key);
  int64_t toInteger(const char *key, const Json &value, int64_t low,
                    int64_t high);
  double toNumber(const char *key, const Json &value, double low, double high);

  const Json &object;
  std::string where;
  Status problem;
};

} // namespace dsv2

#endif // DSV2_MODELS_JSONFIELDS_H
