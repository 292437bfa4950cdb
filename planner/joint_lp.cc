#include "planner/joint_lp.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

namespace stint {
namespace {

constexpr std::int32_t kNone = -1;

struct Term {
  std::int32_t column = kNone;
  double value = 1;
};

class Builder {
 public:
  Builder(const JointProgram& joint, const JointLpLimits& limits)
      : joint_(joint), limits_(limits), count_(joint.window_count()) {}

  JointLp Build() {
    FindRanges();
    AddColumns();
    for (std::size_t b = 0; b < joint_.buffers.size(); ++b) {
      if (is_there_[b]) continue;
      for (std::int32_t w = FirstWindow(b); w <= last_[b]; ++w) AddBufferRows(b, w);
    }
    for (std::size_t place = 0; place < joint_.ops.size(); ++place) AddClosures(place);
    for (const std::int32_t window : limits_.suffixes) AddSuffix(window);
    for (std::int32_t w = 0; w < count_; ++w) AddWindowRows(w);
    return std::move(lp_);
  }

 private:
  bool IsPersistent(std::size_t b) const { return joint_.buffers[b].is_persistent; }
  std::int32_t WindowMade(std::size_t b) const {
    const std::int32_t creator = joint_.buffers[b].creator;
    return creator < 0 ? kNone : joint_.ops[static_cast<std::size_t>(creator)].window;
  }
  /// The first window in which anything can happen to it.
  std::int32_t FirstWindow(std::size_t b) const { return std::max(0, WindowMade(b)); }
  bool IsBefore(std::size_t b, std::int32_t window) const {
    return joint_.buffers[b].creator < joint_.cuts[static_cast<std::size_t>(window)];
  }
  std::size_t BufferIndex(BufferId id) const {
    return static_cast<std::size_t>(joint_.buffer_of[Index(id)]);
  }
  static std::int32_t At(const JointColumns& columns, std::size_t index, std::int32_t window) {
    return columns[index][static_cast<std::size_t>(window)];
  }

  /// The last window in which each buffer can be wanted, by a first run or by one again, and which
  /// buffers are always there.
  void FindRanges() {
    const std::size_t buffer_count = joint_.buffers.size();
    last_.assign(buffer_count, kNone);
    is_there_.assign(buffer_count, false);
    for (std::size_t b = 0; b < buffer_count; ++b) {
      const JointBuffer& buffer = joint_.buffers[b];
      const bool is_made = buffer.creator < static_cast<std::int32_t>(joint_.ops.size());
      is_there_[b] = !is_made || buffer.blocks == 0 ||
                     (!buffer.is_persistent && buffer.blocks < limits_.small_blocks);
      for (std::int32_t w = 0; w < count_; ++w) {
        const bool is_used = (((buffer.used | buffer.late | buffer.held) >> w) & 1) != 0;
        if (is_used || buffer.is_persistent) last_[b] = w;
      }
    }
    last_again_.assign(joint_.ops.size(), kNone);
    for (std::size_t place = joint_.ops.size(); place-- > 0;) {
      const JointOp& op = joint_.ops[place];
      if (!op.can_run_again) continue;
      for (const BufferId id : op.creates) {
        if (joint_.buffer_of[Index(id)] < 0) continue;
        const std::size_t b = BufferIndex(id);
        if (!is_there_[b]) last_again_[place] = std::max(last_again_[place], last_[b]);
      }
      while (last_again_[place] > op.window &&
             op.lost_from < joint_.cuts[static_cast<std::size_t>(last_again_[place])]) {
        --last_again_[place];
      }
      if (last_again_[place] <= op.window) continue;
      for (const Value& value : op.reads) {
        std::int32_t& last = last_[BufferIndex(value.buffer)];
        last = std::max(last, last_again_[place]);
      }
    }
    for (std::size_t b = 0; b < buffer_count; ++b) {
      if (last_[b] <= WindowMade(b)) is_there_[b] = true;  // Dies where it was made.
    }
  }

  void AddColumns() {
    LinearProgram& program = lp_.program;
    for (std::int32_t w = 0; w < count_; ++w) {
      lp_.times.push_back(program.AddColumn(1, 0, kNoLimit));
    }
    const std::vector<std::int32_t> none(static_cast<std::size_t>(count_), kNone);
    for (auto* columns : {&lp_.kept, &lp_.on_host, &lp_.fetched, &lp_.written}) {
      columns->assign(joint_.buffers.size(), none);
    }
    lp_.again.assign(joint_.ops.size(), none);
    for (std::size_t b = 0; b < joint_.buffers.size(); ++b) {
      if (is_there_[b]) continue;
      for (std::int32_t w = FirstWindow(b); w <= last_[b]; ++w) {
        const auto column = static_cast<std::size_t>(w);
        lp_.written[b][column] = program.AddColumn(0, 0, 1);
        if (!IsBefore(b, w)) continue;
        const bool is_held = ((joint_.buffers[b].held >> w) & 1) != 0;
        lp_.kept[b][column] = program.AddColumn(0, is_held ? 1 : 0, 1);
        lp_.on_host[b][column] = program.AddColumn(0, 0, 1);
        lp_.fetched[b][column] = program.AddColumn(0, 0, 1);
      }
    }
    for (std::size_t place = 0; place < joint_.ops.size(); ++place) {
      for (std::int32_t w = joint_.ops[place].window + 1; w <= last_again_[place]; ++w) {
        lp_.again[place][static_cast<std::size_t>(w)] = program.AddColumn(0, 0, 1);
      }
    }
  }

  void AddRow(const JointRow& row, double lower, const std::vector<Term>& terms) {
    lp_.program.AddRow(lower, kNoLimit);
    lp_.rows.push_back(row);
    for (const Term& term : terms) {
      if (term.column != kNone) lp_.program.AddEntry(term.column, term.value);
    }
  }

  /// S + I + r: what makes a buffer available in a window after the one it was made in.
  std::vector<Term> Sources(std::size_t b, std::int32_t window, bool is_as_created) const {
    std::vector<Term> terms{{At(lp_.kept, b, window)}, {At(lp_.fetched, b, window)}};
    if (is_as_created && !IsPersistent(b)) {
      terms.push_back({At(lp_.again, static_cast<std::size_t>(joint_.buffers[b].creator), window)});
    }
    return terms;
  }
  /// S + H + r: where what is wanted in a window, or after its cut, can come from; `run` is the
  /// column of its creator then, or none. Without it, half of a buffer in the arena, copied out and
  /// back, would make a whole one; and several cuts might prove less than one of them.
  std::vector<Term> Origins(std::size_t b, std::int32_t window, std::int32_t run) const {
    return {{At(lp_.kept, b, window)}, {At(lp_.on_host, b, window)}, {run}};
  }
  bool IsAsCreated(std::size_t b, std::int32_t window) const {
    return joint_.buffers[b].first_write >= joint_.cuts[static_cast<std::size_t>(window)];
  }

  void AddBufferRows(std::size_t b, std::int32_t w) {
    const JointBuffer& buffer = joint_.buffers[b];
    const auto row = [&](BoundRow kind) {
      return JointRow{.row = kind, .window = w, .buffer = buffer.id};
    };
    const bool is_before = IsBefore(b, w);
    const bool is_used = ((buffer.used >> w) & 1) != 0;
    const bool is_held = ((buffer.held >> w) & 1) != 0;
    if (is_before) {
      if (is_used && !is_held) AddRow(row(BoundRow::kNeed), 1, Sources(b, w, IsAsCreated(b, w)));
      AddRow(row(BoundRow::kFetch), 0,
             {{At(lp_.on_host, b, w)}, {At(lp_.written, b, w)}, {At(lp_.fetched, b, w), -1}});
      if (!is_used || !IsAsCreated(b, w)) {
        std::vector<Term> terms = Sources(b, w, true);
        terms.push_back({At(lp_.written, b, w), -1});
        AddRow(row(BoundRow::kWrite), 0, terms);
      }
      if (buffer.is_persistent || (is_used && !is_held)) {
        const bool can_run = !buffer.is_persistent && IsAsCreated(b, w);
        const std::int32_t run =
            can_run ? At(lp_.again, static_cast<std::size_t>(buffer.creator), w) : kNone;
        AddRow(row(BoundRow::kSomewhere), 1, Origins(b, w, run));
      }
    }
    const bool is_last = w == last_[b];
    if (is_last && !buffer.is_persistent) return;
    const std::int32_t next = is_last ? 0 : w + 1;
    if (is_before && !is_used) {
      std::vector<Term> terms = Sources(b, w, true);
      AddOrJoin(terms, {At(lp_.kept, b, next), -1});
      AddRow(row(BoundRow::kCarry), 0, terms);
    }
    AddHostRow(b, w, next);
  }

  /// With one window only, S(u, w) and S(u, w + 1) are the same column.
  static void AddOrJoin(std::vector<Term>& terms, const Term& term) {
    for (Term& each : terms) {
      if (each.column != term.column) continue;
      each.value += term.value;
      return;
    }
    terms.push_back(term);
  }

  void AddHostRow(std::size_t b, std::int32_t w, std::int32_t next) {
    const JointBuffer& buffer = joint_.buffers[b];
    const bool is_after_late_write = buffer.late_write >= 0 && w == count_ - 1;
    std::vector<Term> terms{};
    for (std::int32_t t = is_after_late_write ? buffer.late_write : w; t <= w; ++t) {
      terms.push_back({At(lp_.written, b, t)});
    }
    const bool is_fresh = buffer.is_persistent && ((buffer.written >> w) & 1) != 0;
    if (IsBefore(b, w) && !is_fresh && !is_after_late_write) {
      terms.push_back({At(lp_.on_host, b, w)});
    }
    AddOrJoin(terms, {At(lp_.on_host, b, next), -1});
    AddRow({.row = BoundRow::kHost, .window = w, .buffer = buffer.id}, 0, terms);
  }

  void AddClosures(std::size_t place) {
    const JointOp& op = joint_.ops[place];
    for (std::int32_t w = op.window + 1; w <= last_again_[place]; ++w) {
      const std::int32_t run = At(lp_.again, place, w);
      for (const Value& value : op.reads) {
        const std::size_t b = BufferIndex(value.buffer);
        const bool is_one = joint_.buffers[b].members.size() == 1;
        if (is_there_[b] || !is_one || !IsBefore(b, w)) continue;
        // Where a first run in the window needs it anyway, the need row says more.
        const bool is_needed = ((joint_.buffers[b].used >> w) & 1) != 0 &&
                               (value.version != 0 || IsPersistent(b) || IsAsCreated(b, w));
        if (is_needed && (IsPersistent(b) || value.version == 0)) continue;
        std::vector<Term> terms = Sources(b, w, value.version == 0);
        terms.push_back({run, -1});
        AddRow(
            {.row = BoundRow::kClosure, .window = w, .op = op.id, .buffer = joint_.buffers[b].id},
            0, terms);
      }
    }
  }

  // -- Suffix rows -------------------------------------------------------------------------------

  std::vector<Term> SuffixSources(std::size_t b, std::int32_t window, bool is_as_created,
                                  const std::vector<std::int32_t>& run_after) const {
    std::vector<Term> terms{{At(lp_.kept, b, window)}};
    for (std::int32_t t = window; t < count_; ++t) terms.push_back({At(lp_.fetched, b, t)});
    if (is_as_created && !IsPersistent(b)) terms.push_back({RunOf(b, run_after)});
    return terms;
  }
  std::int32_t RunOf(std::size_t b, const std::vector<std::int32_t>& run_after) const {
    return run_after[static_cast<std::size_t>(joint_.buffers[b].creator)];
  }

  void AddSuffix(std::int32_t window) {
    std::vector<std::int32_t> run_after(joint_.ops.size(), kNone);
    for (std::size_t place = 0; place < joint_.ops.size(); ++place) {
      if (joint_.ops[place].window >= window || last_again_[place] < window) continue;
      run_after[place] = lp_.program.AddColumn(0, 0, 1);
    }
    for (std::size_t place = 0; place < joint_.ops.size(); ++place) {
      if (run_after[place] == kNone) continue;
      const JointOp& op = joint_.ops[place];
      std::vector<Term> sum{{run_after[place], -1}};
      for (std::int32_t t = window; t <= last_again_[place]; ++t) {
        sum.push_back({At(lp_.again, place, t)});
      }
      AddRow({.row = BoundRow::kSuffixSum, .window = window, .op = op.id}, 0, sum);
      for (const Value& value : op.reads) {
        const std::size_t b = BufferIndex(value.buffer);
        const bool is_one = joint_.buffers[b].members.size() == 1;
        if (is_there_[b] || !is_one || IsPersistent(b)) continue;
        JointRow row{.row = BoundRow::kSuffixClosure,
                     .window = window,
                     .op = op.id,
                     .buffer = joint_.buffers[b].id};
        std::vector<Term> terms = SuffixSources(b, window, value.version == 0, run_after);
        terms.push_back({run_after[place], -1});
        AddRow(row, 0, terms);
        if (!IsBefore(b, window)) continue;
        row.row = BoundRow::kSuffixOrigin;
        terms = Origins(b, window, value.version == 0 ? RunOf(b, run_after) : kNone);
        terms.push_back({run_after[place], -1});
        AddRow(row, 0, terms);
      }
    }
    for (std::size_t b = 0; b < joint_.buffers.size(); ++b) {
      const JointBuffer& buffer = joint_.buffers[b];
      const bool is_needed = ((buffer.used | buffer.late) >> window) != 0;
      if (is_there_[b] || !IsBefore(b, window) || !is_needed) continue;
      AddRow({.row = BoundRow::kSuffixNeed, .window = window, .buffer = buffer.id}, 1,
             SuffixSources(b, window, IsAsCreated(b, window), run_after));
      if (buffer.is_persistent) continue;  // Always somewhere.
      AddRow({.row = BoundRow::kSuffixSomewhere, .window = window, .buffer = buffer.id}, 1,
             Origins(b, window, IsAsCreated(b, window) ? RunOf(b, run_after) : kNone));
    }
  }

  // -- Rows of windows ---------------------------------------------------------------------------

  void AddWindowRows(std::int32_t w) {
    const auto window = static_cast<std::size_t>(w);
    std::vector<Term> compute{{lp_.times[window]}};
    AddRuns(w, compute);
    AddRow({.row = BoundRow::kCompute, .window = w},
           static_cast<double>(joint_.window_ns[window]) / kLpTimeNs, compute);
    std::vector<Term> in{{lp_.times[window]}};
    std::vector<Term> out{{lp_.times[window]}};
    std::vector<Term> memory{};
    std::vector<Term> host{};
    for (std::size_t b = 0; b < joint_.buffers.size(); ++b) {
      const JointBuffer& buffer = joint_.buffers[b];
      const auto blocks = static_cast<double>(buffer.blocks) / kLpMemoryBlocks;
      in.push_back({At(lp_.fetched, b, w), -static_cast<double>(buffer.to_device_ns) / kLpTimeNs});
      out.push_back({At(lp_.written, b, w), -static_cast<double>(buffer.to_host_ns) / kLpTimeNs});
      if (joint_.other_way_permille > 0) AddOtherWay(b, w, in, out);
      memory.push_back({At(lp_.kept, b, w), -blocks});
      host.push_back({At(lp_.on_host, b, w), -blocks});
    }
    AddRow({.row = BoundRow::kToDevice, .window = w}, 0, in);
    AddRow({.row = BoundRow::kToHost, .window = w}, 0, out);
    const std::int64_t free_blocks =
        limits_.arena_bytes / 512 - joint_.taken_blocks[window] - HeldSmallBlocks(w);
    AddRow({.row = BoundRow::kMemory, .window = w},
           -static_cast<double>(free_blocks) / kLpMemoryBlocks, memory);
    if (limits_.host_bytes > 0) {
      const std::int64_t host_blocks = limits_.host_bytes / 512;
      AddRow({.row = BoundRow::kHostMemory, .window = w},
             -static_cast<double>(host_blocks) / kLpMemoryBlocks, host);
    }
    if (joint_.updates == UpdateOrder::kMovable) AddSuffixCompute(w);
  }

  void AddOtherWay(std::size_t b, std::int32_t w, std::vector<Term>& in,
                   std::vector<Term>& out) const {
    const auto share = static_cast<double>(joint_.other_way_permille) / 1000 / kLpTimeNs;
    in.push_back(
        {At(lp_.written, b, w), -share * static_cast<double>(joint_.buffers[b].to_host_ns)});
    out.push_back(
        {At(lp_.fetched, b, w), -share * static_cast<double>(joint_.buffers[b].to_device_ns)});
  }

  void AddRuns(std::int32_t w, std::vector<Term>& terms) const {
    for (std::size_t place = 0; place < joint_.ops.size(); ++place) {
      const double run_ms = static_cast<double>(joint_.ops[place].duration_ns) / kLpTimeNs;
      if (run_ms > 0) terms.push_back({At(lp_.again, place, w), -run_ms});
    }
  }

  void AddSuffixCompute(std::int32_t w) {
    std::vector<Term> terms{};
    std::int64_t base_ns = 0;
    for (std::int32_t t = w; t < count_; ++t) {
      const auto window = static_cast<std::size_t>(t);
      terms.push_back({lp_.times[window]});
      AddRuns(t, terms);
      base_ns += joint_.window_ns[window] + joint_.late_ns[window];
    }
    AddRow({.row = BoundRow::kSuffixCompute, .window = w}, static_cast<double>(base_ns) / kLpTimeNs,
           terms);
  }

  /// What the cut's op uses of buffers that have no columns.
  std::int64_t HeldSmallBlocks(std::int32_t w) const {
    std::int64_t blocks = 0;
    for (std::size_t b = 0; b < joint_.buffers.size(); ++b) {
      const bool is_held = ((joint_.buffers[b].held >> w) & 1) != 0;
      if (is_held && is_there_[b] && IsBefore(b, w)) blocks += joint_.buffers[b].blocks;
    }
    return blocks;
  }

  const JointProgram& joint_;
  const JointLpLimits& limits_;
  const std::int32_t count_;
  std::vector<std::int32_t> last_{};        // By buffer: the last window with columns.
  std::vector<bool> is_there_{};            // By buffer: has no columns, and is always there.
  std::vector<std::int32_t> last_again_{};  // By place: the last window with a column R.
  JointLp lp_{};
};

bool IsTimeRow(BoundRow row) {
  return row == BoundRow::kCompute || row == BoundRow::kSuffixCompute || row == BoundRow::kToHost ||
         row == BoundRow::kToDevice;
}

bool IsMemoryRow(BoundRow row) { return row == BoundRow::kMemory || row == BoundRow::kHostMemory; }

/// By how much all multipliers must shrink for no window's time to have more than its cost.
double ShrinkFor(const JointLp& lp, const std::vector<double>& duals) {
  std::vector<double> sums(lp.times.size(), 0);
  for (std::size_t r = 0; r < lp.rows.size(); ++r) {
    const JointRow& row = lp.rows[r];
    if (!IsTimeRow(row.row)) continue;
    const auto first = static_cast<std::size_t>(row.window);
    const std::size_t last = row.row == BoundRow::kSuffixCompute ? sums.size() - 1 : first;
    for (std::size_t w = first; w <= last; ++w) sums[w] += std::max(0.0, duals[r]);
  }
  return 1 / std::max(1.0, *std::ranges::max_element(sums));
}

}  // namespace

JointLp BuildJointLp(const JointProgram& joint, const JointLpLimits& limits) {
  return Builder(joint, limits).Build();
}

std::vector<BoundRows> RoundDuals(const JointLp& lp, const std::vector<double>& duals,
                                  std::int64_t scale) {
  constexpr double kMost = static_cast<double>(std::int64_t{1} << 52);
  constexpr double kLeastNs = 1.0 / 64;  // Smaller ones are noise of the interior point.
  const double shrink = ShrinkFor(lp, duals);
  std::map<std::tuple<BoundRow, std::int32_t>, BoundRows> groups{};
  for (std::size_t r = 0; r < lp.rows.size(); ++r) {
    const JointRow& row = lp.rows[r];
    double multiplier = duals[r] * shrink * static_cast<double>(scale);
    if (IsMemoryRow(row.row)) {
      multiplier *= kLpTimeNs / kLpMemoryBlocks;
    } else if (!IsTimeRow(row.row)) {
      multiplier *= kLpTimeNs;
      if (multiplier < kLeastNs * static_cast<double>(scale)) continue;
    }
    // Times are rounded down: their sum must not pass the scale.
    const auto whole = static_cast<std::int64_t>(
        std::min(kMost, IsTimeRow(row.row) ? std::floor(multiplier) : std::round(multiplier)));
    if (!(whole > 0)) continue;
    BoundRows& group = groups[{row.row, row.window}];
    group.row = row.row;
    group.cut = row.window;
    const bool has_op = row.row == BoundRow::kClosure || row.row == BoundRow::kSuffixClosure ||
                        row.row == BoundRow::kSuffixSum || row.row == BoundRow::kOrigin ||
                        row.row == BoundRow::kSuffixOrigin;
    const bool has_buffer =
        !IsTimeRow(row.row) && !IsMemoryRow(row.row) && row.row != BoundRow::kSuffixSum;
    if (has_op) group.ops.push_back(row.op);
    if (has_buffer) group.buffers.push_back(row.buffer);
    group.multipliers.push_back(whole);
  }
  std::vector<BoundRows> rows{};
  rows.reserve(groups.size());
  for (auto& [key, group] : groups) rows.push_back(std::move(group));
  return rows;
}

}  // namespace stint
