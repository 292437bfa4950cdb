#include "ir/check_certificate.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <vector>

#include "ir/check_copy_certificate.h"
#include "ir/effects.h"
#include "ir/errors.h"
#include "ir/units.h"
#include "ir/words.h"

namespace stint {
namespace {

__extension__ typedef __int128 Wide;

constexpr std::int32_t kNever = std::numeric_limits<std::int32_t>::max();
constexpr std::int64_t kLargestMultiplier = std::int64_t{1} << 62;
constexpr std::size_t kMostCuts = 64;
constexpr std::size_t kMostMultipliers = std::size_t{1} << 24;

/// What the rows ask of the profile, by op index in the recorded order.
struct Facts {
  std::int64_t persistent_bytes = 0;
  std::vector<OpEffects> effects{};
  // By buffer; creator is kNever for those that are not the plan's to place.
  std::vector<std::int32_t> creator{};
  std::vector<std::int32_t> first_write{};
  std::vector<std::vector<std::int32_t>> uses{};  // By ops with a fixed place; outputs end with
                                                  // the count of ops.
  // By op: from here on, running it again is wrong; kNever if it never is, 0 if it always is.
  std::vector<std::int32_t> wrong_from{};
};

bool HasFixedPlace(const OpEffects& effect) { return !effect.creates.empty(); }

bool IsPlaced(const Buffer& buffer) { return !buffer.is_persistent && !buffer.is_host; }

bool IsRepeated(const Profile& profile, std::int32_t op) {
  for (const Phase& phase : profile.phases) {
    if (OpId{op} >= phase.begin && OpId{op} < phase.end) return phase.repeat_count > 1;
  }
  return false;
}

Facts FactsOf(const Profile& profile) {
  const std::size_t buffer_count = profile.buffers.size();
  Facts facts = {.effects = DeriveEffects(profile)};
  facts.creator.assign(buffer_count, kNever);
  facts.first_write.assign(buffer_count, kNever);
  facts.uses.resize(buffer_count);
  facts.wrong_from.assign(profile.ops.size(), kNever);
  for (const Buffer& buffer : profile.buffers) {
    const bool is_always_there = buffer.is_persistent && !buffer.is_host;
    if (is_always_there) facts.persistent_bytes += AlignUp(buffer.size_bytes);
  }
  // Backwards, so that the next op that writes each buffer is known.
  std::vector<std::int32_t> next_write(buffer_count, kNever);
  const auto op_count = static_cast<std::int32_t>(profile.ops.size());
  for (std::int32_t op = op_count - 1; op >= 0; --op) {
    const OpEffects& effect = facts.effects[static_cast<std::size_t>(op)];
    std::int32_t& wrong_from = facts.wrong_from[static_cast<std::size_t>(op)];
    if (!effect.is_recomputable) wrong_from = 0;
    for (const Value& value : effect.reads) {
      // What its creator makes, the creator can make again for this op.
      const bool is_as_created =
          value.version == 0 && IsPlaced(profile.buffers[Index(value.buffer)]);
      if (!is_as_created) wrong_from = std::min(wrong_from, next_write[Index(value.buffer)]);
      if (HasFixedPlace(effect)) facts.uses[Index(value.buffer)].push_back(op);
    }
    for (const Value& value : effect.writes) {
      next_write[Index(value.buffer)] = op;
      facts.first_write[Index(value.buffer)] = op;
    }
    for (const BufferId buffer : effect.creates) {
      if (IsPlaced(profile.buffers[Index(buffer)])) facts.creator[Index(buffer)] = op;
    }
  }
  for (std::size_t i = 0; i < buffer_count; ++i) {
    std::reverse(facts.uses[i].begin(), facts.uses[i].end());
    const bool stays = profile.buffers[i].role == BufferRole::kOutput &&
                       facts.creator[i] != kNever && !IsRepeated(profile, facts.creator[i]);
    if (stays) facts.uses[i].push_back(op_count);
  }
  return facts;
}

/// Most bytes of an op's own requests that live at once.
std::int64_t RequestPeakBytes(const Op& op) {
  std::int64_t peak_bytes = 0;
  for (std::size_t now = 0; now < op.requests.size(); ++now) {
    std::int64_t live_bytes = 0;
    for (std::size_t i = 0; i <= now; ++i) {
      const Request& request = op.requests[i];
      const bool is_live =
          request.buffer || request.freed_after_request >= static_cast<std::int32_t>(now);
      if (is_live) live_bytes += AlignUp(request.size_bytes);
    }
    peak_bytes = std::max(peak_bytes, live_bytes);
  }
  return peak_bytes;
}

class Evaluation {
 public:
  Evaluation(const Profile& profile, const Certificate& certificate, const std::string& where)
      : profile_(profile), certificate_(certificate), where_(where), facts_(FactsOf(profile)) {}

  std::int64_t Run() {
    CheckHead();
    const std::size_t cut_count = certificate_.cuts.size();
    runs_.assign(cut_count, std::vector<Wide>(profile_.ops.size(), 0));
    suffix_runs_ = runs_;
    kept_.assign(cut_count, std::vector<Wide>(profile_.buffers.size(), 0));
    prices_.assign(cut_count, 0);
    std::size_t multiplier_count = 0;
    for (group_ = 0; group_ < certificate_.rows.size(); ++group_) {
      const BoundRows& rows = certificate_.rows[group_];
      multiplier_count += rows.multipliers.size();
      if (multiplier_count > kMostMultipliers) Fail("has too many multipliers");
      CheckLists(rows);
      for (entry_ = 0; entry_ < rows.multipliers.size(); ++entry_) Add(rows);
    }
    return Total();
  }

 private:
  [[noreturn]] void Fail(const std::string& fact) const {
    throw InputError(fmt::format("{}/rows/{}", where_, group_), fact);
  }
  [[noreturn]] void FailEntry(const std::string& fact) const {
    Fail(fmt::format("the row of multiplier {} {}", entry_, fact));
  }

  void CheckHead() const {
    if (certificate_.cuts.size() > kMostCuts) throw InputError(where_ + "/cuts", "are too many");
    const bool is_amount =
        certificate_.limit_bytes >= 0 && certificate_.limit_bytes <= kLargestMultiplier;
    if (!is_amount) throw InputError(where_ + "/limit_bytes", "is out of range");
    if (certificate_.scale <= 0 || certificate_.scale > kLargestMultiplier) {
      throw InputError(where_ + "/scale", "is out of range");
    }
    for (std::size_t i = 0; i < certificate_.cuts.size(); ++i) {
      const OpId cut = certificate_.cuts[i];
      const std::string pointer = fmt::format("{}/cuts/{}", where_, i);
      if (Index(cut) >= profile_.ops.size()) throw InputError(pointer, "is no op of the profile");
      if (i > 0 && cut <= certificate_.cuts[i - 1]) throw InputError(pointer, "is not ascending");
      if (!HasFixedPlace(facts_.effects[Index(cut)])) {
        throw InputError(pointer, "is an op that may come early");
      }
    }
  }

  void CheckLists(const BoundRows& rows) const {
    const auto cut_count = static_cast<std::int32_t>(certificate_.cuts.size());
    if (rows.cut < 0 || rows.cut >= cut_count) Fail("is about a cut that is not there");
    const bool has_ops = rows.row == BoundRow::kClosure || rows.row == BoundRow::kSuffixClosure ||
                         rows.row == BoundRow::kSuffixSum;
    const bool has_buffers = rows.row != BoundRow::kMemory && rows.row != BoundRow::kSuffixSum;
    const std::size_t count = rows.multipliers.size();
    if (rows.ops.size() != (has_ops ? count : 0) ||
        rows.buffers.size() != (has_buffers ? count : 0)) {
      Fail("has lists of the wrong lengths");
    }
  }

  std::int32_t CutOp(std::int32_t cut) const {
    return static_cast<std::int32_t>(Index(certificate_.cuts[static_cast<std::size_t>(cut)]));
  }
  /// The last op of the segment: the next cut's, or the end of the program.
  std::int32_t SegmentEnd(std::int32_t cut) const {
    const bool is_last = cut + 1 == static_cast<std::int32_t>(certificate_.cuts.size());
    return is_last ? static_cast<std::int32_t>(profile_.ops.size()) : CutOp(cut + 1);
  }

  OpId OpOf(const BoundRows& rows) const {
    const OpId op = rows.ops[entry_];
    if (Index(op) >= profile_.ops.size() ||
        static_cast<std::int32_t>(Index(op)) >= CutOp(rows.cut)) {
      FailEntry("names no op before its cut");
    }
    return op;
  }
  BufferId BufferOf(const BoundRows& rows, std::int32_t cut) const {
    const BufferId buffer = rows.buffers[entry_];
    if (Index(buffer) >= profile_.buffers.size() || facts_.creator[Index(buffer)] >= CutOp(cut)) {
      FailEntry("names no buffer made before its cut");
    }
    return buffer;
  }

  /// Whether an op reads `buffer` for the first time after `after`, and by `last`.
  bool IsUsed(BufferId buffer, std::int32_t after, std::int32_t last) const {
    const std::vector<std::int32_t>& uses = facts_.uses[Index(buffer)];
    const auto next = std::upper_bound(uses.begin(), uses.end(), after);
    return next != uses.end() && *next <= last;
  }
  std::optional<Value> ReadOf(OpId op, BufferId buffer) const {
    for (const Value& value : facts_.effects[Index(op)].reads) {
      if (value.buffer == buffer) return value;
    }
    return std::nullopt;
  }

  static Wide& At(std::vector<std::vector<Wide>>& columns, std::int32_t cut, std::size_t index) {
    return columns[static_cast<std::size_t>(cut)][index];
  }
  /// S(u, cut), and R or Z of its creator where that makes the value in question.
  void AddSource(std::vector<std::vector<Wide>>& runs, std::int32_t cut, BufferId buffer,
                 bool is_as_created, Wide multiplier) {
    At(kept_, cut, Index(buffer)) -= multiplier;
    if (is_as_created) {
      At(runs, cut, static_cast<std::size_t>(facts_.creator[Index(buffer)])) -= multiplier;
    }
  }

  void Add(const BoundRows& rows) {
    const std::int64_t multiplier = rows.multipliers[entry_];
    if (multiplier < 0 || multiplier > kLargestMultiplier) FailEntry("is out of range");
    const std::int32_t cut = rows.cut;
    const std::int32_t begin = CutOp(cut);
    switch (rows.row) {
      case BoundRow::kMemory:
        prices_[static_cast<std::size_t>(cut)] += multiplier;
        return;
      case BoundRow::kNeed:
      case BoundRow::kSuffixNeed: {
        const BufferId buffer = BufferOf(rows, cut);
        const bool is_suffix = rows.row == BoundRow::kSuffixNeed;
        const std::int32_t last = is_suffix ? kNever : SegmentEnd(cut);
        if (!IsUsed(buffer, begin, last)) FailEntry("names a buffer that is not needed then");
        total_ += multiplier;
        const bool is_as_created = facts_.first_write[Index(buffer)] > begin;
        return AddSource(is_suffix ? suffix_runs_ : runs_, cut, buffer, is_as_created, multiplier);
      }
      case BoundRow::kClosure:
      case BoundRow::kSuffixClosure: {
        const OpId op = OpOf(rows);
        const BufferId buffer = BufferOf(rows, cut);
        const std::optional<Value> read = ReadOf(op, buffer);
        if (!read) FailEntry("names a buffer that its op does not read");
        auto& runs = rows.row == BoundRow::kClosure ? runs_ : suffix_runs_;
        At(runs, cut, Index(op)) += multiplier;
        return AddSource(runs, cut, buffer, read->version == 0, multiplier);
      }
      case BoundRow::kCarry: {
        if (cut == 0) FailEntry("has no cut before its own");
        const BufferId buffer = BufferOf(rows, cut - 1);
        At(kept_, cut, Index(buffer)) += multiplier;
        return AddSource(runs_, cut - 1, buffer, true, multiplier);
      }
      case BoundRow::kSuffixSum: {
        const OpId op = OpOf(rows);
        At(suffix_runs_, cut, Index(op)) += multiplier;
        for (std::size_t d = static_cast<std::size_t>(cut); d < runs_.size(); ++d) {
          runs_[d][Index(op)] -= multiplier;
        }
        return;
      }
      default:
        Fail("is of a kind for plans with copies");
    }
  }

  /// Adds what the columns of one cut contribute: min(0, reduced cost), or the whole of it where
  /// the column is fixed at 1.
  void AddColumns(std::size_t cut) {
    const OpId cut_op = certificate_.cuts[cut];
    const auto begin = static_cast<std::int32_t>(Index(cut_op));
    const OpEffects& effect = facts_.effects[Index(cut_op)];
    std::int64_t taken_bytes = facts_.persistent_bytes + RequestPeakBytes(profile_.ops[begin]);
    std::vector<bool> is_read(profile_.buffers.size(), false);
    for (const Value& value : effect.reads) {
      if (!IsPlaced(profile_.buffers[Index(value.buffer)])) continue;
      taken_bytes += AlignUp(profile_.buffers[Index(value.buffer)].size_bytes);
      is_read[Index(value.buffer)] = true;
    }
    const std::int64_t free_bytes = certificate_.limit_bytes - taken_bytes;
    // Rounded down, also below 0.
    const std::int64_t free_blocks =
        free_bytes / kAlignmentBytes - (free_bytes % kAlignmentBytes < 0 ? 1 : 0);
    total_ -= prices_[cut] * free_blocks;
    for (std::size_t i = 0; i < profile_.buffers.size(); ++i) {
      const std::int64_t blocks = AlignUp(profile_.buffers[i].size_bytes) / kAlignmentBytes;
      const Wide reduced = kept_[cut][i] + (is_read[i] ? Wide{0} : prices_[cut] * blocks);
      if (is_read[i]) total_ += reduced;
      const bool has_column = facts_.creator[i] < begin && !is_read[i];
      if (has_column && reduced < 0) total_ += reduced;
    }
    for (std::size_t op = 0; op < profile_.ops.size(); ++op) {
      if (facts_.wrong_from[op] <= begin) continue;
      const Wide duration = Wide{profile_.ops[op].duration_ns} * certificate_.scale;
      total_ += std::min(Wide{0}, duration + runs_[cut][op]);
      total_ += std::min(Wide{0}, suffix_runs_[cut][op]);
    }
  }

  std::int64_t Total() {
    for (std::size_t cut = 0; cut < certificate_.cuts.size(); ++cut) AddColumns(cut);
    std::int64_t durations_ns = 0;
    for (const Phase& phase : profile_.phases) {
      for (std::size_t op = Index(phase.begin); op < Index(phase.end); ++op) {
        durations_ns += profile_.ops[op].duration_ns * phase.repeat_count;
      }
    }
    if (total_ <= 0) return durations_ns;  // No multipliers at all prove that.
    const Wide more_ns = (total_ + certificate_.scale - 1) / certificate_.scale;
    const Wide most_ns = std::numeric_limits<std::int64_t>::max() - durations_ns;
    return durations_ns + static_cast<std::int64_t>(std::min(more_ns, most_ns));
  }

  const Profile& profile_;
  const Certificate& certificate_;
  const std::string& where_;
  Facts facts_;
  // Coefficients of the columns by cut: R, Z and S, costs and prices left out.
  std::vector<std::vector<Wide>> runs_{};
  std::vector<std::vector<Wide>> suffix_runs_{};
  std::vector<std::vector<Wide>> kept_{};
  std::vector<Wide> prices_{};
  Wide total_ = 0;
  std::size_t group_ = 0;
  std::size_t entry_ = 0;
};

}  // namespace

std::int64_t ProvenDurationNs(const Profile& profile, const Certificate& certificate,
                              const std::string& where) {
  return Evaluation(profile, certificate, where).Run();
}

void CheckCertificate(const Profile& profile, const Plan& plan, const std::string& where) {
  const Certificate& certificate = plan.certificate;
  const std::string pointer = where + ":/certificate";
  std::int64_t proven_ns = 0;
  if (certificate.method == "none") {
    // A plan without a bound.
  } else if (IsCopyClass(certificate.plan_class)) {
    if (certificate.method != "windows") {
      throw InputError(pointer + "/method", "is none that bounds plans with copies");
    }
    CheckWithinCopyClass(profile, plan, where);
    proven_ns = ProvenDurationWithCopiesNs(profile, certificate, pointer);
  } else if (certificate.method != "sum-of-durations" && certificate.method != "cuts") {
    throw InputError(pointer + "/method", "is none that Stint knows");
  } else if (certificate.plan_class != "recorded-order" &&
             certificate.plan_class != "updates-movable") {
    throw InputError(pointer + "/plan_class", "is none that Stint knows bounds of");
  } else {
    proven_ns = ProvenDurationNs(profile, certificate, pointer);
  }
  if (certificate.method == "cuts" && plan.peak_bytes > certificate.limit_bytes) {
    throw InputError(pointer + "/limit_bytes", "is less than the plan's own peak");
  }
  const bool can_claim = certificate.method == "cuts" && certificate.claimed_ns >= 0 &&
                         certificate.claimed_ns <= kLargestMultiplier;
  if (certificate.claimed_ns != 0 && !can_claim) {
    throw InputError(pointer + "/claimed_ns", "is no amount, or there are no cuts to claim it of");
  }
  if (plan.lower_bound_ns - certificate.claimed_ns != proven_ns) {
    throw InputError(where + ":/lower_bound_ns",
                     fmt::format("is {}, but its certificate proves {} and claims {} more",
                                 plan.lower_bound_ns, proven_ns, certificate.claimed_ns));
  }
}

}  // namespace stint
