//===- SpeedCase.cpp - Kernel runs to measure on a GPU --------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "test/integration/gpu/SpeedCase.h"

#include <nlohmann/json.hpp>

#include <fstream>

using Json = nlohmann::ordered_json;

namespace dsv2::test {
namespace {

/// Visits the fields of a part of a case with their names.
template <typename Visitor, typename Map>
void visitMap(Visitor &&visit, Map &map) {
  visit("binding", map.binding);
  visit("element", map.element);
  visit("swizzle", map.swizzle);
  visit("sizes", map.sizes);
  visit("strides", map.strides);
  visit("box", map.box);
}
template <typename Visitor, typename Buffer>
void visitBuffer(Visitor &&visit, Buffer &buffer) {
  visit("bytes", buffer.bytes);
  visit("fill", buffer.fill);
  visit("first", buffer.first);
  visit("step", buffer.step);
  visit("divisor", buffer.divisor);
  visit("most", buffer.most);
  visit("shuffled", buffer.shuffled);
  visit("rotates", buffer.rotates);
}
template <typename Visitor, typename Launch>
void visitLaunch(Visitor &&visit, Launch &launch) {
  visit("kernel", launch.kernel);
  visit("threads", launch.threads);
  visit("cluster", launch.cluster);
  visit("shared_bytes", launch.sharedBytes);
  visit("blocks", launch.blocks);
  visit("blocks_per_sm", launch.blocksPerSM);
  visit("bindings", launch.bindings);
}
template <typename Visitor, typename Case>
void visitCase(Visitor &&visit, Case &speed) {
  visit("group", speed.group);
  visit("name", speed.name);
  visit("sizes", speed.sizes);
  visit("output", speed.output);
  visit("bytes", speed.bytes);
  visit("operations", speed.operations);
  visit("against", speed.against);
  visit("goal", speed.goal);
  visit("shape", speed.shape);
}

/// Fields to an object, and back.
auto writer(Json &json) {
  return [&](const char *name, const auto &value) { json[name] = value; };
}
auto reader(const Json &json) {
  return [&](const char *name, auto &value) { json.at(name).get_to(value); };
}

template <typename T, typename Visit>
Json listOf(const std::vector<T> &items, Visit visit) {
  Json list = Json::array();
  for (const T &item : items) {
    Json each = Json::object();
    visit(each, item);
    list.push_back(std::move(each));
  }
  return list;
}
template <typename T, typename Visit>
void readList(const Json &list, std::vector<T> &items, Visit visit) {
  for (const Json &each : list)
    visit(each, items.emplace_back());
}

} // namespace

Status writeSpeedCases(const std::string &path,
                       const std::vector<SpeedCase> &cases) {
  Json all = listOf(cases, [](Json &json, const SpeedCase &speed) {
    visitCase(writer(json), speed);
    json["buffers"] = listOf(speed.buffers, [](Json &to, const auto &buffer) {
      visitBuffer(writer(to), buffer);
    });
    json["launches"] = listOf(speed.launches, [](Json &to, const auto &launch) {
      visitLaunch(writer(to), launch);
      to["maps"] = listOf(launch.maps, [](Json &at, const auto &map) {
        visitMap(writer(at), map);
      });
    });
  });
  std::ofstream file(path);
  file << all.dump(1) << "\n";
  file.close();
  return file ? Status()
              : Status(StatusCode::ioError, "cannot write '" + path + "'");
}

Result<std::vector<SpeedCase>> readSpeedCases(const std::string &path) {
  std::ifstream file(path);
  Json all = Json::parse(file, nullptr, /*allow_exceptions=*/false);
  std::vector<SpeedCase> cases;
  try {
    readList(all, cases, [](const Json &json, SpeedCase &speed) {
      visitCase(reader(json), speed);
      readList(json.at("buffers"), speed.buffers,
               [](const Json &from, SpeedBuffer &buffer) {
                 visitBuffer(reader(from), buffer);
               });
      readList(json.at("launches"), speed.launches,
               [](const Json &from, SpeedLaunch &launch) {
                 visitLaunch(reader(from), launch);
                 readList(from.at("maps"), launch.maps,
                          [](const Json &at, RecordedMap &map) {
                            visitMap(reader(at), map);
                          });
               });
    });
  } catch (const Json::exception &) {
    cases.clear();
  }
  if (cases.empty())
    return Status(StatusCode::dataLoss, "expected cases as gpu-cases writes "
                                        "them in '" +
                                            path + "'");
  return cases;
}

} // namespace dsv2::test
