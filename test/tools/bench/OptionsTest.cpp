//===- OptionsTest.cpp - Numbers on dsv2-bench's command line -------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "tools/dsv2-bench/Options.h"
#include "tools/dsv2-bench/Report.h"

#include <gtest/gtest.h>

using namespace dsv2;

using Numbers = std::vector<int64_t>;

TEST(BenchOptionsTest, ListsAndRanges) {
  auto parse = [](const char *text) {
    Result<Numbers> numbers = parseNumbers(text, "-p");
    EXPECT_TRUE(numbers.ok()) << text;
    return numbers.ok() ? *numbers : Numbers();
  };
  EXPECT_EQ(parse("512"), Numbers{512});
  EXPECT_EQ(parse("1,2,4"), (Numbers{1, 2, 4}));
  EXPECT_EQ(parse("1-4"), (Numbers{1, 2, 3, 4}));
  EXPECT_EQ(parse("1-20*4"), (Numbers{1, 4, 16}));
  EXPECT_EQ(parse("10-30+10,7"), (Numbers{10, 20, 30, 7}));
  EXPECT_EQ(parse("0"), Numbers{0});
}

TEST(BenchOptionsTest, BadNumbers) {
  for (const char *text :
       {"", "x", "1,", ",1", "4-1", "1-", "1-4*1", "0-4*2", "1-4+0", "-1",
        "1-4*", "99999999999999999999", "1 2", "1-2000"}) {
    Result<Numbers> numbers = parseNumbers(text, "--n-gen");
    ASSERT_FALSE(numbers.ok()) << text;
    EXPECT_EQ(numbers.status().message().rfind("--n-gen", 0), 0u);
  }
}

TEST(BenchOptionsTest, Statistics) {
  Statistics odd = statisticsOf({3, 1, 8});
  EXPECT_DOUBLE_EQ(odd.mean, 4);
  EXPECT_DOUBLE_EQ(odd.median, 3);
  EXPECT_DOUBLE_EQ(odd.deviation, std::sqrt(13.0));
  EXPECT_DOUBLE_EQ(statisticsOf({1, 2, 3, 10}).median, 2.5);
  EXPECT_EQ(statisticsOf({5}).deviation, 0);
  EXPECT_EQ(statisticsOf({}).mean, 0);
}
