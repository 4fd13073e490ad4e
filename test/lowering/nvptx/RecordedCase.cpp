//===- RecordedCase.cpp - Kernel runs to repeat on a GPU ------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "test/lowering/nvptx/RecordedCase.h"

#include <cstring>
#include <fstream>
#include <iterator>
#include <type_traits>

namespace dsv2::test {
namespace {

constexpr char magic[8] = {'D', 'S', 'V', '2', 'C', 'A', 'S', '2'};

/// Visits the fields of a case in the order of the file.
template <typename Archive, typename Case>
void visit(Archive &archive, Case &recorded) {
  archive(recorded.name);
  archive(recorded.entry);
  archive(recorded.ptx);
  archive(recorded.cubin);
  for (auto *number : {&recorded.blocks, &recorded.threads, &recorded.cluster,
                       &recorded.sharedBytes})
    archive(*number);
  for (auto &size : recorded.sizes)
    archive(size);
  archive(recorded.before);
  archive(recorded.after);
  archive(recorded.maps, [&](auto &map) {
    archive(map.binding);
    archive(map.element);
    archive(map.swizzle);
    archive(map.sizes);
    archive(map.strides);
    archive(map.box);
  });
}

struct Writer {
  std::ofstream &out;

  void bytes(const void *data, size_t size) {
    out.write(static_cast<const char *>(data),
              static_cast<std::streamsize>(size));
  }
  template <typename T>
    requires std::is_arithmetic_v<T>
  void operator()(const T &value) {
    bytes(&value, sizeof(value));
  }
  void operator()(const std::string &text) {
    (*this)(uint64_t(text.size()));
    bytes(text.data(), text.size());
  }
  template <typename T, typename Each>
  void operator()(const std::vector<T> &list, Each each) {
    (*this)(uint64_t(list.size()));
    for (const T &item : list)
      each(item);
  }
  template <typename T>
  void operator()(const std::vector<T> &list) {
    if constexpr (std::is_arithmetic_v<T>) {
      (*this)(uint64_t(list.size()));
      bytes(list.data(), list.size() * sizeof(T));
    } else {
      (*this)(list, [&](const T &item) { (*this)(item); });
    }
  }
};

struct Reader {
  const std::string &in;
  size_t at = 0;
  bool failed = false;

  void bytes(void *data, size_t size) {
    failed |= size > in.size() - at;
    if (failed)
      return;
    std::memcpy(data, in.data() + at, size);
    at += size;
  }
  template <typename T>
    requires std::is_arithmetic_v<T>
  void operator()(T &value) {
    bytes(&value, sizeof(value));
  }
  size_t count(size_t itemBytes) {
    uint64_t size = 0;
    (*this)(size);
    failed |= size > (in.size() - at) / itemBytes;
    return failed ? 0 : size;
  }
  void operator()(std::string &text) {
    text.resize(count(1));
    bytes(text.data(), text.size());
  }
  template <typename T, typename Each>
  void operator()(std::vector<T> &list, Each each) {
    list.resize(count(1));
    for (T &item : list)
      each(item);
  }
  template <typename T>
  void operator()(std::vector<T> &list) {
    if constexpr (std::is_arithmetic_v<T>) {
      list.resize(count(sizeof(T)));
      bytes(list.data(), list.size() * sizeof(T));
    } else {
      (*this)(list, [&](T &item) { (*this)(item); });
    }
  }
};

} // namespace

bool writeCase(const std::string &path, const RecordedCase &recorded) {
  std::ofstream out(path, std::ios::binary);
  Writer writer{out};
  writer.bytes(magic, sizeof(magic));
  visit(writer, recorded);
  return out.good();
}

RecordedCase readCase(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(file)), {});
  RecordedCase recorded;
  if (text.size() < sizeof(magic) ||
      std::memcmp(text.data(), magic, sizeof(magic)) != 0)
    return {};
  Reader reader{text, sizeof(magic)};
  visit(reader, recorded);
  return reader.failed ? RecordedCase() : recorded;
}

} // namespace dsv2::test
