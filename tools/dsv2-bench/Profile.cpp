//===- Profile.cpp - Where the time of a step goes ------------------------===//
//
// SPDX-License-Identifier: Apache-2.0
//
//===----------------------------------------------------------------------===//

#include "tools/dsv2-bench/Profile.h"

#include "tools/common/Format.h"

#include <algorithm>
#include <array>
#include <map>

using namespace dsv2;

void ProfileCosts::add(const CostModel &costs, const StepShape &shape,
                       const Limits &limits) {
  size_t program = costs.programOf(shape);
  std::vector<StepCost> dispatches = costs.dispatchCosts(shape);
  entries.resize(costs.programCount());
  entries[program].resize(dispatches.size());
  for (size_t i = 0; i < dispatches.size(); ++i) {
    entries[program][i].cost += dispatches[i];
    entries[program][i].leastTime += dispatches[i].leastTime(limits);
  }
}

/// Calls visit(program, dispatch, entry) for each entry that ran; entries are
/// in the order of programs and of their dispatches.
template <typename Visitor>
static void visitEntries(const dsv2_session_t *session, Visitor visit) {
  size_t count = dsv2_session_profile_count(session);
  size_t program = 0, dispatch = 0;
  std::string name;
  for (size_t i = 0; i < count; ++i, ++dispatch) {
    dsv2_profile_entry_t entry = DSV2_PROFILE_ENTRY_INIT;
    if (!takeStatus(dsv2_session_profile(session, i, &entry)).ok())
      return;
    if (i > 0 && name != entry.program) {
      ++program;
      dispatch = 0;
    }
    name = entry.program;
    if (entry.runs > 0)
      visit(program, dispatch, entry);
  }
}

/// "layers.12.q" to "layers.*.q".
static std::string withoutLayer(const std::string &label) {
  std::string result;
  for (size_t at = 0; at <= label.size();) {
    size_t dot = std::min(label.find('.', at), label.size());
    std::string part = label.substr(at, dot - at);
    bool isNumber = !part.empty() &&
                    part.find_first_not_of("0123456789") == std::string::npos;
    result += (at ? "." : "") + (isNumber ? "*" : part);
    at = dot + 1;
  }
  return result;
}

std::vector<ProfileRow>
ProfileCosts::rows(const dsv2_session_t *session) const {
  std::map<std::array<std::string, 3>, ProfileRow> rows;
  visitEntries(session, [&](size_t program, size_t dispatch,
                            const dsv2_profile_entry_t &entry) {
    std::string label = withoutLayer(entry.label);
    ProfileRow &row = rows[{entry.program, entry.kernel, label}];
    row.program = entry.program;
    row.kernel = entry.kernel;
    row.label = label;
    row.runs += entry.runs;
    row.nanoseconds += entry.nanoseconds;
    if (program < entries.size() && dispatch < entries[program].size()) {
      row.cost += entries[program][dispatch].cost;
      row.leastTime += entries[program][dispatch].leastTime;
    }
  });
  std::vector<ProfileRow> sorted;
  for (auto &[key, row] : rows)
    sorted.push_back(std::move(row));
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const ProfileRow &a, const ProfileRow &b) {
                     return a.nanoseconds > b.nanoseconds;
                   });
  return sorted;
}

double dsv2::touchedExperts(const CostModel &costs,
                            const dsv2_session_t *session, int64_t tokens) {
  double sum = 0, count = 0;
  visitEntries(session, [&](size_t program, size_t dispatch,
                            const dsv2_profile_entry_t &entry) {
    double share =
        costs.touchedExperts(program, dispatch, tokens,
                             double(entry.workgroups) / double(entry.runs));
    if (share < 0)
      return;
    sum += share;
    ++count;
  });
  return count > 0 ? sum / count : -1;
}

std::string dsv2::profileText(const std::vector<ProfileRow> &rows) {
  ProfileRow total;
  for (const ProfileRow &row : rows) {
    total.nanoseconds += row.nanoseconds;
    total.cost += row.cost;
    total.leastTime += row.leastTime;
  }
  total.runs = 1;
  total.label = "all";
  std::vector<std::vector<std::string>> cells = {
      {"of step", "ms", "runs", "us/run", "MB/run", "GOP/run", "bound us/run",
       "of bound", "program", "place", "kernel"}};
  auto add = [&](const ProfileRow &row) {
    auto runs = double(row.runs), time = double(row.nanoseconds);
    double operations = 0;
    for (double ofType : row.cost.operations)
      operations += ofType;
    bool isBounded = row.leastTime > 0;
    cells.push_back(
        {format("%.1f %%", 100 * time / double(total.nanoseconds)),
         format("%.3f", time / 1e6), std::to_string(row.runs),
         format("%.2f", time / 1e3 / runs),
         isBounded ? format("%.3f", row.cost.bytes / 1e6 / runs) : "-",
         isBounded ? format("%.3f", operations / 1e9 / runs) : "-",
         isBounded ? format("%.2f", row.leastTime * 1e6 / runs) : "-",
         isBounded ? format("%.1f %%", 100 * row.leastTime * 1e9 / time) : "-",
         row.program, row.label, row.kernel});
  };
  for (const ProfileRow &row : rows)
    add(row);
  add(total);
  return formatColumns(cells, "rrrrrrrrlll");
}
