#include "ir/check_copy_certificate.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "ir/effects.h"
#include "ir/errors.h"
#include "ir/first_runs.h"
#include "ir/units.h"
#include "ir/window_facts.h"

namespace stint {
namespace {

__extension__ typedef __int128 Wide;

// Small enough that no sum below overflows 128 bits.
constexpr std::int64_t kLargestMultiplier = std::int64_t{1} << 52;
constexpr std::int64_t kLargestPrice = std::int64_t{1} << 50;
constexpr std::size_t kMostMultipliers = std::size_t{1} << 24;

class Evaluation {
 public:
  Evaluation(const Profile& profile, const Certificate& certificate, const std::string& where)
      : profile_(profile),
        certificate_(certificate),
        where_(where),
        facts_(WindowFactsOf(profile, certificate, where)),
        count_(facts_.count) {}

  std::int64_t Run() {
    if (certificate_.cuts.empty()) return DurationsNs();
    AddRows();
    return Total();
  }

 private:
  // -- Rows --------------------------------------------------------------------------------------

  [[noreturn]] void Fail(const std::string& fact) const {
    throw InputError(fmt::format("{}/rows/{}", where_, group_), fact);
  }
  [[noreturn]] void FailEntry(const std::string& fact) const {
    Fail(fmt::format("the row of multiplier {} {}", entry_, fact));
  }

  void AddRows() {
    const std::vector<Wide> by_buffer(facts_.buffers.size(), 0);
    const std::vector<Wide> by_op(facts_.ops.size(), 0);
    kept_.assign(facts_.starts.size(), by_buffer);
    on_host_ = to_device_ = to_host_ = kept_;
    again_.assign(facts_.starts.size(), by_op);
    again_after_ = again_;
    times_.assign(facts_.starts.size(), 0);
    for (auto* prices : {&compute_, &way_in_, &way_out_, &memory_, &host_memory_}) {
      prices->assign(facts_.starts.size(), 0);
    }
    std::size_t multiplier_count = 0;
    for (group_ = 0; group_ < certificate_.rows.size(); ++group_) {
      const BoundRows& rows = certificate_.rows[group_];
      multiplier_count += rows.multipliers.size();
      if (multiplier_count > kMostMultipliers) Fail("has too many multipliers");
      CheckLists(rows);
      for (entry_ = 0; entry_ < rows.multipliers.size(); ++entry_) Add(rows);
    }
  }

  void CheckLists(const BoundRows& rows) const {
    if (rows.cut < 0 || rows.cut >= count_) Fail("is about a cut that is not there");
    const bool has_ops = rows.row == BoundRow::kClosure || rows.row == BoundRow::kSuffixClosure ||
                         rows.row == BoundRow::kSuffixSum || rows.row == BoundRow::kOrigin ||
                         rows.row == BoundRow::kSuffixOrigin;
    const bool is_of_window = rows.row == BoundRow::kMemory || rows.row == BoundRow::kHostMemory ||
                              rows.row == BoundRow::kCompute ||
                              rows.row == BoundRow::kSuffixCompute ||
                              rows.row == BoundRow::kToHost || rows.row == BoundRow::kToDevice;
    const bool has_buffers = !is_of_window && rows.row != BoundRow::kSuffixSum;
    const std::size_t count = rows.multipliers.size();
    if (rows.ops.size() != (has_ops ? count : 0) ||
        rows.buffers.size() != (has_buffers ? count : 0)) {
      Fail("has lists of the wrong lengths");
    }
  }

  /// The buffer of the row, made before its cut.
  BufferId BufferOf(const BoundRows& rows) const {
    const BufferId buffer = rows.buffers[entry_];
    if (Index(buffer) >= facts_.buffers.size() || !facts_.buffers[Index(buffer)].is_movable ||
        facts_.buffers[Index(buffer)].alike_count == 0) {
      FailEntry("names no buffer that moves, or not the first of those alike");
    }
    return buffer;
  }
  bool IsBefore(BufferId buffer, std::int32_t window) const {
    return facts_.buffers[Index(buffer)].creator < facts_.Start(window);
  }
  BufferId EarlierBufferOf(const BoundRows& rows) const {
    const BufferId buffer = BufferOf(rows);
    if (!IsBefore(buffer, rows.cut)) FailEntry("names no buffer made before its cut");
    return buffer;
  }
  OpId OpOf(const BoundRows& rows) const {
    const OpId op = rows.ops[entry_];
    if (Index(op) >= facts_.ops.size() || facts_.ops[Index(op)].place >= facts_.Start(rows.cut)) {
      FailEntry("names no op before its cut");
    }
    return op;
  }
  /// As the op reads it; also checks that the buffer counts for itself alone.
  Value ReadOf(OpId op, BufferId buffer) const {
    if (facts_.buffers[Index(buffer)].alike_count == 1) {
      for (const Value& value : facts_.effects[Index(op)].reads) {
        if (value.buffer == buffer) return value;
      }
    }
    FailEntry("names a buffer that its op does not read, or one of several alike");
  }

  using Columns = std::vector<std::vector<Wide>>;
  static Wide& At(Columns& columns, std::int32_t window, std::size_t index) {
    return columns[static_cast<std::size_t>(window)][index];
  }
  std::size_t CreatorOf(BufferId buffer) const {
    return Index(
        facts_.runs.order[static_cast<std::size_t>(facts_.buffers[Index(buffer)].creator)]);
  }
  /// Takes y from the reduced costs of S(u, w) + I(u, w) + r(u, w).
  void AddSource(std::int32_t window, BufferId buffer, bool is_as_created, Wide y) {
    At(kept_, window, Index(buffer)) -= y;
    At(to_device_, window, Index(buffer)) -= y;
    const bool can_run = is_as_created && !facts_.buffers[Index(buffer)].is_persistent;
    if (can_run) At(again_, window, CreatorOf(buffer)) -= y;
  }
  /// The same of S(u, w) + H(u, w) + r(u, w), or Z of the creator in place of r: `again` says
  /// which.
  void AddOrigin(std::int32_t window, BufferId buffer, bool is_as_created, Columns& again, Wide y) {
    At(kept_, window, Index(buffer)) -= y;
    At(on_host_, window, Index(buffer)) -= y;
    const bool can_run = is_as_created && !facts_.buffers[Index(buffer)].is_persistent;
    if (can_run) At(again, window, CreatorOf(buffer)) -= y;
  }
  /// The same of S(u, w) + I(u, w) + I(u, w + 1) + ... + Z of the creator.
  void AddSuffixSource(std::int32_t window, BufferId buffer, bool is_as_created, Wide y) {
    At(kept_, window, Index(buffer)) -= y;
    const std::int32_t last = facts_.buffers[Index(buffer)].wanted_until;
    for (std::int32_t t = window; t <= last; ++t) At(to_device_, t, Index(buffer)) -= y;
    const bool can_run = is_as_created && !facts_.buffers[Index(buffer)].is_persistent;
    if (can_run) At(again_after_, window, CreatorOf(buffer)) -= y;
  }

  void Add(const BoundRows& rows) {
    const std::int64_t y = rows.multipliers[entry_];
    if (y < 0 || y > kLargestMultiplier) FailEntry("is out of range");
    const auto w = static_cast<std::size_t>(rows.cut);
    switch (rows.row) {
      case BoundRow::kMemory:
        return AddPrice(memory_[w], y);
      case BoundRow::kHostMemory:
        if (certificate_.host_limit_bytes == 0) FailEntry("is about a limit that is not there");
        return AddPrice(host_memory_[w], y);
      case BoundRow::kCompute:
        return AddCompute(rows.cut, rows.cut, false, y);
      case BoundRow::kSuffixCompute:
        return AddCompute(rows.cut, count_ - 1, true, y);
      case BoundRow::kToHost:
        AddTime(w, y);
        way_out_[w] += y;
        return;
      case BoundRow::kToDevice:
        AddTime(w, y);
        way_in_[w] += y;
        return;
      case BoundRow::kNeed:
      case BoundRow::kSuffixNeed:
        return AddNeed(rows, y);
      case BoundRow::kClosure:
      case BoundRow::kSuffixClosure:
        return AddClosure(rows, y);
      case BoundRow::kSuffixSum: {
        const OpId op = OpOf(rows);
        At(again_after_, rows.cut, Index(op)) += y;
        for (std::int32_t t = rows.cut; t < count_; ++t) At(again_, t, Index(op)) -= y;
        return;
      }
      case BoundRow::kCarry: {
        const BufferId buffer = EarlierBufferOf(rows);
        At(kept_, NextOf(rows, buffer), Index(buffer)) += y;
        return AddSource(rows.cut, buffer, true, y);
      }
      case BoundRow::kWrite: {
        const BufferId buffer = EarlierBufferOf(rows);
        At(to_host_, rows.cut, Index(buffer)) += y;
        return AddSource(rows.cut, buffer, true, y);
      }
      case BoundRow::kFetch: {
        const BufferId buffer = EarlierBufferOf(rows);
        At(to_device_, rows.cut, Index(buffer)) += y;
        At(on_host_, rows.cut, Index(buffer)) -= y;
        At(to_host_, rows.cut, Index(buffer)) -= y;
        return;
      }
      case BoundRow::kHost:
        return AddHost(rows, y);
      case BoundRow::kSomewhere:
      case BoundRow::kSuffixSomewhere:
        return AddSomewhere(rows, y);
      case BoundRow::kOrigin:
      case BoundRow::kSuffixOrigin: {
        const OpId op = OpOf(rows);
        const BufferId buffer = EarlierBufferOf(rows);
        const bool is_as_created = ReadOf(op, buffer).version == 0;
        Columns& again = rows.row == BoundRow::kSuffixOrigin ? again_after_ : again_;
        At(again, rows.cut, Index(op)) += y;
        return AddOrigin(rows.cut, buffer, is_as_created, again, y);
      }
    }
  }

  /// The next cut; after the last one it is the first, for persistent buffers.
  std::int32_t NextOf(const BoundRows& rows, BufferId buffer) const {
    if (rows.cut + 1 < count_) return rows.cut + 1;
    if (!facts_.buffers[Index(buffer)].is_persistent) FailEntry("has no cut after its own");
    return 0;
  }

  void AddPrice(Wide& price, Wide y) const {
    price += y;
    if (price > kLargestPrice) FailEntry("is out of range with those before");
  }

  /// Else a window could take any time, and the sum would prove nothing.
  void AddTime(std::size_t window, Wide y) {
    times_[window] += y;
    if (times_[window] > certificate_.scale) {
      FailEntry(fmt::format("is, with those before, more than window {} costs", window));
    }
  }

  void AddCompute(std::int32_t first, std::int32_t last, bool is_suffix, Wide y) {
    for (std::int32_t t = first; t <= last; ++t) {
      const auto window = static_cast<std::size_t>(t);
      AddTime(window, y);
      compute_[window] += y;
      total_ += y * facts_.window_ns[window];
      if (is_suffix) total_ += y * facts_.late_ns[window];
    }
  }

  void AddNeed(const BoundRows& rows, Wide y) {
    const BufferId buffer = EarlierBufferOf(rows);
    const WindowBuffer& facts = facts_.buffers[Index(buffer)];
    const bool is_suffix = rows.row == BoundRow::kSuffixNeed;
    const bool is_needed =
        is_suffix ? (facts.used | facts.late) >> rows.cut != 0 : HasBit(facts.used, rows.cut);
    if (!is_needed) FailEntry("names a buffer that is not needed then");
    total_ += y;
    const bool is_as_created = facts.first_write >= facts_.Start(rows.cut);
    if (is_suffix) return AddSuffixSource(rows.cut, buffer, is_as_created, y);
    AddSource(rows.cut, buffer, is_as_created, y);
  }

  void AddSomewhere(const BoundRows& rows, Wide y) {
    const BufferId buffer = EarlierBufferOf(rows);
    const WindowBuffer& facts = facts_.buffers[Index(buffer)];
    const bool is_suffix = rows.row == BoundRow::kSuffixSomewhere;
    if (is_suffix && (facts.used | facts.late) >> rows.cut == 0) {
      FailEntry("names a buffer that is not needed then");
    }
    if (!is_suffix && !facts.is_persistent && !HasBit(facts.used, rows.cut)) {
      FailEntry("names a buffer that need not be anywhere");
    }
    total_ += y;
    AddOrigin(rows.cut, buffer, facts.first_write >= facts_.Start(rows.cut),
              is_suffix ? again_after_ : again_, y);
  }

  void AddClosure(const BoundRows& rows, Wide y) {
    const OpId op = OpOf(rows);
    const BufferId buffer = EarlierBufferOf(rows);
    const bool is_as_created = ReadOf(op, buffer).version == 0;
    if (rows.row == BoundRow::kSuffixClosure) {
      At(again_after_, rows.cut, Index(op)) += y;
      return AddSuffixSource(rows.cut, buffer, is_as_created, y);
    }
    At(again_, rows.cut, Index(op)) += y;
    AddSource(rows.cut, buffer, is_as_created, y);
  }

  void AddHost(const BoundRows& rows, Wide y) {
    const BufferId buffer = BufferOf(rows);
    const WindowBuffer& facts = facts_.buffers[Index(buffer)];
    At(on_host_, NextOf(rows, buffer), Index(buffer)) += y;
    const bool is_after_late_write = facts.late_write >= 0 && rows.cut == count_ - 1;
    const std::int32_t first = is_after_late_write ? facts.late_write : rows.cut;
    for (std::int32_t t = first; t <= rows.cut; ++t) At(to_host_, t, Index(buffer)) -= y;
    // An activation's older versions may stay on the host; a persistent buffer has one place there.
    const bool is_fresh = facts.is_persistent && HasBit(facts.written, rows.cut);
    const bool was_there = IsBefore(buffer, rows.cut) && !is_fresh && !is_after_late_write;
    if (was_there) At(on_host_, rows.cut, Index(buffer)) -= y;
  }

  // -- Columns -----------------------------------------------------------------------------------

  void AddColumn(Wide reduced_cost) { total_ += std::min<Wide>(0, reduced_cost); }

  void AddColumnsOfBuffers(std::int32_t window) {
    const auto w = static_cast<std::size_t>(window);
    const Wide in = way_in_[w];
    const Wide out = way_out_[w];
    const std::int64_t other = certificate_.other_way_permille;
    for (std::size_t i = 0; i < facts_.buffers.size(); ++i) {
      const WindowBuffer& facts = facts_.buffers[i];
      if (!facts.is_movable || facts.alike_count == 0) continue;
      AddColumn(to_device_[w][i] + in * facts.to_device_ns +
                out * (facts.to_device_ns * other / 1000));
      AddColumn(to_host_[w][i] + out * facts.to_host_ns + in * (facts.to_host_ns * other / 1000));
      if (facts.creator >= facts_.Start(window)) continue;  // Not made before the cut.
      AddColumn(on_host_[w][i] + host_memory_[w] * facts.blocks);
      const Wide kept = kept_[w][i] + memory_[w] * facts.blocks;
      if (HasBit(facts.held, window)) {
        total_ += kept;
      } else {
        AddColumn(kept);
      }
    }
  }

  void AddColumnsOfOps(std::int32_t window) {
    const auto w = static_cast<std::size_t>(window);
    for (std::size_t i = 0; i < facts_.ops.size(); ++i) {
      const WindowOp& op = facts_.ops[i];
      const bool may_run = op.place < facts_.Start(window) && op.again_until >= window;
      if (!may_run) continue;
      AddColumn(again_[w][i] + compute_[w] * profile_.ops[i].duration_ns);
      AddColumn(again_after_[w][i]);
    }
  }

  std::int64_t Total() {
    for (std::int32_t window = 0; window < count_; ++window) {
      const auto w = static_cast<std::size_t>(window);
      const std::int64_t free_blocks =
          (certificate_.limit_bytes - facts_.taken_bytes[w]) / kAlignmentBytes;
      total_ -= memory_[w] * free_blocks;
      total_ -= host_memory_[w] * (certificate_.host_limit_bytes / kAlignmentBytes);
      AddColumnsOfBuffers(window);
      AddColumnsOfOps(window);
    }
    const std::int64_t durations_ns = DurationsNs();
    const Wide proven_ns = (total_ + certificate_.scale - 1) / certificate_.scale;
    if (total_ <= 0 || proven_ns <= durations_ns) return durations_ns;
    const Wide most_ns = std::numeric_limits<std::int64_t>::max();
    return static_cast<std::int64_t>(std::min(proven_ns, most_ns));
  }

  std::int64_t DurationsNs() const {
    std::int64_t durations_ns = 0;
    for (const Phase& phase : profile_.phases) {
      for (std::size_t op = Index(phase.begin); op < Index(phase.end); ++op) {
        durations_ns += profile_.ops[op].duration_ns * phase.repeat_count;
      }
    }
    return durations_ns;
  }

  const Profile& profile_;
  const Certificate& certificate_;
  const std::string& where_;
  const WindowFacts facts_;
  const std::int32_t count_;  // Of windows.
  // Reduced costs of the columns by window, the prices below left out.
  Columns kept_{};
  Columns on_host_{};
  Columns to_device_{};
  Columns to_host_{};
  Columns again_{};
  Columns again_after_{};
  // Sums of multipliers by window.
  std::vector<Wide> times_{};
  std::vector<Wide> compute_{};
  std::vector<Wide> way_in_{};
  std::vector<Wide> way_out_{};
  std::vector<Wide> memory_{};
  std::vector<Wide> host_memory_{};
  Wide total_ = 0;
  std::size_t group_ = 0;
  std::size_t entry_ = 0;
};

/// Ops in the order in which `plan` runs them first.
std::vector<OpId> FirstRunsIn(const Profile& profile, const Plan& plan) {
  std::vector<OpId> order{};
  std::vector<bool> has_run(profile.ops.size(), false);
  const auto add = [&](const std::vector<Instruction>& instructions) {
    for (const Instruction& instruction : instructions) {
      const bool is_first = instruction.kind == InstructionKind::kCompute &&
                            Index(instruction.op) < has_run.size() &&
                            !has_run[Index(instruction.op)];
      if (!is_first) continue;
      has_run[Index(instruction.op)] = true;
      order.push_back(instruction.op);
    }
  };
  for (const PhasePlan& phase : plan.phases) {
    add(phase.prologue);
    add(phase.body);
    add(phase.epilogue);
  }
  return order;
}

}  // namespace

bool IsCopyClass(const std::string& plan_class) {
  return plan_class == "recorded-order-copies" || plan_class == "updates-at-once-copies" ||
         plan_class == "updates-movable-copies";
}

std::int64_t ProvenDurationWithCopiesNs(const Profile& profile, const Certificate& certificate,
                                        const std::string& where) {
  return Evaluation(profile, certificate, where).Run();
}

void CheckWithinCopyClass(const Profile& profile, const Plan& plan, const std::string& where) {
  const Certificate& certificate = plan.certificate;
  const auto fail = [&](const char* key, const char* fact) {
    throw InputError(where + ":/certificate" + key, fact);
  };
  if (plan.arena_bytes > certificate.limit_bytes) {
    fail("/limit_bytes", "is less than the plan's own arena");
  }
  if (certificate.host_limit_bytes > 0 && plan.host_bytes > certificate.host_limit_bytes) {
    fail("/host_limit_bytes", "is less than the plan's own host pool");
  }
  for (const Shard& shard : plan.shards) {
    // One buffer alone may be larger: it has no other way.
    const bool is_too_large = certificate.largest_copy_bytes > 0 && shard.members.size() > 1 &&
                              shard.size_bytes > certificate.largest_copy_bytes;
    if (is_too_large) fail("/largest_copy_bytes", "is less than a shard of the plan takes");
  }
  const std::vector<OpEffects> effects = DeriveEffects(profile);
  const FirstRuns runs = FirstRunsOf(profile, effects, UpdatesOf(certificate.plan_class));
  std::vector<OpId> expected = runs.order;
  std::vector<OpId> found = FirstRunsIn(profile, plan);
  if (certificate.plan_class == "updates-movable-copies") {
    const auto is_update = [&](OpId op) { return runs.is_update[Index(op)]; };
    std::erase_if(expected, is_update);
    std::erase_if(found, is_update);
  }
  if (found != expected) fail("/plan_class", "is of plans that run ops in another order");
}

}  // namespace stint
