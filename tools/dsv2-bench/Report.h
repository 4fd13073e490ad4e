//===- Report.h - Measurements as tables and records ------------*- C++ -*-===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#ifndef DSV2_TOOLS_BENCH_REPORT_H
#define DSV2_TOOLS_BENCH_REPORT_H

#include "tools/dsv2-bench/Measure.h"
#include "tools/dsv2-bench/Options.h"

namespace dsv2 {

struct Statistics {
  double mean = 0, deviation = 0, median = 0;
};

/// With the deviation of a sample; 0 for one value.
Statistics statisticsOf(std::vector<double> values);

/// Prints each measurement as it is made.
class Report {
public:
  /// Appends lines of JSON to `records`, unless that is empty.
  Report(OutputFormat format, const std::string &modelPath,
         const std::string &records)
      : format(format), modelPath(modelPath), recordsPath(records) {}

  Status begin();
  Status add(const LoadedModel &model, const Measurement &measurement);
  /// Ends the output; markdown shows the profiles here, below the table.
  Status end();

private:
  Status appendRecord(const std::string &line) const;

  const OutputFormat format;
  const std::string modelPath, recordsPath;
  bool isFirst = true;
  std::string profiles;
};

} // namespace dsv2

#endif // DSV2_TOOLS_BENCH_REPORT_H
