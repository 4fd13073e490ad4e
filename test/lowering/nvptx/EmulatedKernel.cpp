//===- EmulatedKernel.cpp - Running a GPU kernel without a GPU ------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "test/lowering/nvptx/EmulatedKernel.h"
#include "test/lowering/nvptx/RecordedCase.h"
#include "test/lowering/nvptx/emulator/Machine.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

using namespace mlir::dsv2::nvptx;

namespace dsv2::test {

DeviceBuffer::DeviceBuffer(int64_t bytes)
    : storage(static_cast<size_t>(bytes + 256), 0xff), bytes(bytes) {
  auto address = reinterpret_cast<uint64_t>(storage.data());
  start = storage.data() + ((address + 255) / 256 * 256 - address);
}

static ptx::TensorMapImage imageOf(const TensorMap &map, void *base) {
  constexpr int32_t elementBytes[] = {4, 2, 2, 4, 1, 1};
  constexpr int32_t swizzleBytes[] = {0, 32, 64, 128};
  ptx::TensorMapImage image;
  image.base = base;
  image.rank = static_cast<int32_t>(map.sizes.size());
  image.elementBytes = elementBytes[static_cast<int>(map.element)];
  image.swizzleBytes = swizzleBytes[static_cast<int>(map.swizzle)];
  for (size_t i = 0; i < map.sizes.size(); ++i) {
    image.sizes[i] = static_cast<uint32_t>(map.sizes[i]);
    image.box[i] = static_cast<uint32_t>(map.box[i]);
  }
  for (size_t i = 0; i < map.strides.size(); ++i)
    image.strides[i] = static_cast<uint64_t>(map.strides[i]);
  return image;
}

/// What the bindings hold.
static std::vector<std::vector<uint8_t>>
contentsOf(const std::vector<DeviceBuffer *> &bindings) {
  std::vector<std::vector<uint8_t>> contents;
  for (const DeviceBuffer *binding : bindings)
    contents.emplace_back(binding->data(), binding->data() + binding->size());
  return contents;
}

/// Writes a run to the directory that DSV2_RECORD_CASES names.
static void record(RecordedCase recorded, const KernelInfo &info,
                   const char *directory) {
  static int count = 0;
  for (const TensorMap &map : info.tensorMaps) {
    RecordedMap &copy = recorded.maps.emplace_back();
    copy.binding = map.binding;
    copy.element = static_cast<uint32_t>(map.element);
    copy.swizzle = static_cast<uint32_t>(map.swizzle);
    copy.sizes.assign(map.sizes.begin(), map.sizes.end());
    copy.strides.assign(map.strides.begin(), map.strides.end());
    copy.box.assign(map.box.begin(), map.box.end());
  }
  const auto *test = testing::UnitTest::GetInstance()->current_test_info();
  recorded.name = std::string(test->test_suite_name()) + "." + test->name() +
                  "-" + std::to_string(count++);
  std::string file = recorded.name;
  std::replace(file.begin(), file.end(), '/', '-');
  EXPECT_TRUE(
      writeCase(std::string(directory) + "/" + file + ".case", recorded));
}

void runEmulated(const AssembledKernel &kernel,
                 const std::vector<DeviceBuffer *> &bindings,
                 const StepSizes &sizes, uint64_t seed,
                 int64_t persistentBlocks) {
  const KernelInfo &info = kernel.info();
  ptx::Module module = ptx::parse(kernel.ptx());
  std::string name = const_cast<KernelInfo &>(info).func.getName().str();
  const ptx::Entry &entry = module.entries[name];
  ASSERT_EQ(entry.params.size(), bindings.size() + 1 + info.tensorMaps.size());

  alignas(16) int32_t dims[5] = {static_cast<int32_t>(sizes.tokens),
                                 static_cast<int32_t>(sizes.sequences),
                                 static_cast<int32_t>(sizes.context),
                                 static_cast<int32_t>(sizes.logitRows),
                                 static_cast<int32_t>(sizes.firstContextRow)};
  ptx::LaunchShape shape;
  shape.memory.push_back({dims, sizeof(dims)});
  alignas(64) std::vector<uint8_t> params(entry.paramBytes);
  auto put = [&](size_t index, const void *bytes, size_t size) {
    std::memcpy(params.data() + entry.params[index].offset, bytes, size);
  };
  for (size_t i = 0; i < bindings.size(); ++i) {
    uint8_t *address = bindings[i]->data();
    put(i, &address, 8);
    shape.memory.push_back(
        {address, static_cast<uint64_t>(bindings[i]->size())});
  }
  int32_t *dimsAddress = dims;
  put(bindings.size(), &dimsAddress, 8);
  for (size_t i = 0; i < info.tensorMaps.size(); ++i) {
    const TensorMap &map = info.tensorMaps[i];
    ptx::TensorMapImage image = imageOf(map, bindings[map.binding]->data());
    put(bindings.size() + 1 + i, &image, sizeof(image));
  }

  const Workgroups &groups = info.launch.workgroups;
  int64_t values[] = {1, sizes.tokens, sizes.sequences, sizes.context,
                      sizes.logitRows};
  int64_t value = values[static_cast<int>(groups.dim)];
  shape.blocks = groups.count * ((value + groups.tile - 1) / groups.tile);
  if (groups.blocksPerSM)
    shape.blocks = persistentBlocks;
  else if (groups.dim != Dim::one && info.launch.cluster == 1)
    shape.blocks += 1;
  shape.threads = info.launch.threads;
  shape.sharedBytes = info.sharedBytes;
  shape.seed = seed;
  RecordedCase recorded;
  const char *directory = std::getenv("DSV2_RECORD_CASES");
  if (directory)
    recorded.before = contentsOf(bindings);
  EXPECT_EQ(ptx::run(module, name, shape, params), "");
  if (!directory)
    return;
  recorded.after = contentsOf(bindings);
  recorded.entry = name;
  recorded.ptx = kernel.ptx();
  if (kernel.assembly())
    recorded.cubin = kernel.assembly()->cubin;
  recorded.blocks = static_cast<uint32_t>(shape.blocks);
  recorded.threads = static_cast<uint32_t>(shape.threads);
  recorded.cluster = static_cast<uint32_t>(info.launch.cluster);
  recorded.sharedBytes = static_cast<uint32_t>(shape.sharedBytes);
  std::copy(std::begin(dims), std::end(dims), recorded.sizes.begin());
  record(std::move(recorded), info, directory);
}

std::vector<float> randomFloats(int64_t count, std::mt19937 &random) {
  std::uniform_real_distribution<float> uniform(-1.0f, 1.0f);
  std::vector<float> values(count);
  for (float &v : values)
    v = uniform(random);
  return values;
}

std::vector<uint16_t> bf16Of(const std::vector<float> &values) {
  std::vector<uint16_t> rounded;
  for (float v : values)
    rounded.push_back(floatToBf16(v));
  return rounded;
}

} // namespace dsv2::test
