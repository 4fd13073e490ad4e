//===- Instance.cpp - Instances of the C API ------------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "runtime/api/Handles.h"

using namespace dsv2;
using namespace dsv2::api;

dsv2_status_t dsv2_instance_create(const dsv2_instance_options_t *options,
                                   dsv2_instance_t **out_instance) {
  return guarded([&] {
    DSV2_REQUIRE(out_instance);
    dsv2_instance_options_t given = DSV2_INSTANCE_OPTIONS_INIT;
    DSV2_RETURN_IF_ERROR(readOptions(options, given));
    NumaMode mode = NumaMode::inherit;
    switch (given.numa) {
    case DSV2_NUMA_INHERIT:
      break;
    case DSV2_NUMA_INTERLEAVE:
      mode = NumaMode::interleave;
      break;
    case DSV2_NUMA_LOCAL:
      mode = NumaMode::local;
      break;
    default:
      return Status(StatusCode::invalidArgument,
                    "numa is " + std::to_string(given.numa) +
                        ", expected a value of dsv2_numa_t");
    }
    ThreadPoolOptions poolOptions;
    poolOptions.threads = given.threads;
    poolOptions.pin = given.pin_threads;
    Result<std::unique_ptr<ThreadPool>> pool = ThreadPool::create(poolOptions);
    if (!pool.ok())
      return pool.status();
    *out_instance =
        new dsv2_instance{*std::move(pool), NumaPlacement::detect(mode)};
    return Status();
  });
}

void dsv2_instance_release(dsv2_instance_t *instance) { delete instance; }

int32_t dsv2_instance_threads(const dsv2_instance_t *instance) {
  return instance ? instance->pool->size() : 0;
}

int32_t dsv2_instance_numa_nodes(const dsv2_instance_t *instance) {
  return instance ? static_cast<int32_t>(instance->placement.nodes.size()) : 0;
}
