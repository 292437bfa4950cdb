#include "planner/joint_bound.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "ir/check_copy_certificate.h"
#include "ir/copy_floor.h"
#include "ir/units.h"
#include "planner/joint_gaps.h"
#include "planner/joint_lp.h"
#include "planner/linear_program.h"
#include "planner/program.h"
#include "planner/solver.h"

namespace stint {
namespace {

constexpr std::int64_t kScale = std::int64_t{1} << 20;
// From this size on copies reach the link's rate.
constexpr std::int64_t kLargeCopyBytes = std::int64_t{4} << 20;

/// Windows before the peak of activations, and from there on.
struct WindowCounts {
  int forward = 1;
  int backward = 1;
};
// Few windows are solved in a moment.
constexpr WindowCounts kFewWindows[] = {{1, 1}, {1, 3}, {2, 5}, {3, 6}};

// Without state: above so many ops a second cut takes the solver too long for what it adds, and
// activations are free below this size only.
constexpr std::size_t kMostOpsOfTwoCuts = 3'000;
constexpr std::int64_t kSmallBytes = std::int64_t{32} << 10;

using Clock = std::chrono::steady_clock;

const char* ClassOf(UpdateOrder updates) {
  switch (updates) {
    case UpdateOrder::kRecorded:
      return "recorded-order-copies";
    case UpdateOrder::kAtOnce:
      return "updates-at-once-copies";
    case UpdateOrder::kMovable:
      return "updates-movable-copies";
  }
  return "";
}

Certificate EmptyCertificate(const Profile& profile, const JointBoundRequest& request) {
  return {.plan_class = ClassOf(request.updates),
          .method = "windows",
          .limit_bytes = request.arena_bytes,
          .host_limit_bytes = request.host_bytes,
          .largest_copy_bytes = request.largest_copy_bytes,
          .other_way_permille = OtherWayPermille(profile.device, kLargeCopyBytes),
          .scale = kScale};
}

JointBound BoundOf(const Profile& profile, Certificate certificate) {
  JointBound bound{.certificate = std::move(certificate)};
  bound.duration_ns = ProvenDurationWithCopiesNs(profile, bound.certificate, "certificate");
  return bound;
}

/// The bound of the closed form by place, found from sums alone.
class ClosedForm {
 public:
  ClosedForm(const Profile& profile, const std::vector<OpEffects>& effects,
             const std::vector<OpId>& order, const CopyFloor& floor)
      : profile_(profile), effects_(effects), program_(MakeProgram(profile, effects, order)) {
    const std::size_t op_count = order.size();
    std::vector<std::size_t> last_use(profile.buffers.size(), op_count);
    for (std::size_t place = 0; place < op_count; ++place) {
      for (const Value& value : effects[Index(order[place])].reads) {
        last_use[Index(value.buffer)] = place;
      }
    }
    // fetch_ns_[p]: to bring all persistent buffers that are used from place p on.
    fetch_ns_.assign(op_count + 1, 0);
    for (std::size_t i = 0; i < profile.buffers.size(); ++i) {
      const Buffer& buffer = profile.buffers[i];
      if (!buffer.is_persistent || last_use[i] == op_count) continue;
      const std::int64_t copy_ns = floor.SharedNs(CopyWay::kToDevice, buffer.size_bytes);
      fetch_ns_[last_use[i]] += copy_ns;
      const double price = static_cast<double>(copy_ns) /
                           static_cast<double>(std::max<std::int64_t>(1, Blocks(buffer)));
      price_ns_ = std::max(price_ns_, price);
    }
    for (std::size_t place = op_count; place-- > 0;) fetch_ns_[place] += fetch_ns_[place + 1];
  }

  /// Of a block of 512 bytes at the cut.
  double price_ns() const { return price_ns_; }

  /// The place with the highest bound; 0 if there is none.
  std::int32_t Best(std::int64_t limit_bytes) const {
    std::int32_t best = 0;
    double best_ns = 0;
    std::int64_t start_ns = 0;
    for (std::size_t place = 0; place < program_.ops.size(); ++place) {
      const ProgramOp& op = program_.ops[place];
      const double bound_ns = static_cast<double>(start_ns + fetch_ns_[place]) -
                              price_ns_ * static_cast<double>(FreeBlocks(op, limit_bytes));
      if (place > 0 && !op.creates.empty() && bound_ns > best_ns) {
        best = static_cast<std::int32_t>(place);
        best_ns = bound_ns;
      }
      start_ns += op.duration_ns;
    }
    return best;
  }

 private:
  static std::int64_t Blocks(const Buffer& buffer) {
    return AlignUp(buffer.size_bytes) / kAlignmentBytes;
  }
  std::int64_t FreeBlocks(const ProgramOp& op, std::int64_t limit_bytes) const {
    std::int64_t taken_bytes = op.script_peak_bytes;
    for (const BufferId id : op.reads) taken_bytes += program_.buffers[Index(id)].residence_bytes;
    return (limit_bytes - taken_bytes) / kAlignmentBytes;
  }

  const Profile& profile_;
  const std::vector<OpEffects>& effects_;
  const Program program_;
  std::vector<std::int64_t> fetch_ns_{};
  double price_ns_ = 0;  // Of a block at the cut: as much as fetching the dearest one.
};

JointProgram Windows(const Profile& profile, const std::vector<OpEffects>& effects,
                     const JointBoundRequest& request, const Certificate& certificate,
                     const std::vector<std::int32_t>& cuts) {
  return MakeJointProgram(profile, effects, request.updates, cuts, request.largest_copy_bytes,
                          certificate.other_way_permille);
}

void NameCuts(const JointProgram& joint, Certificate& certificate) {
  for (const std::int32_t cut : joint.cuts) {
    certificate.cuts.push_back(joint.order[static_cast<std::size_t>(cut)]);
  }
}

/// What is first run before the cut takes its time; what is used after it and does not fit at it is
/// fetched after it.
std::vector<BoundRows> ClosedFormRows(const JointProgram& joint, double price_ns) {
  BoundRows needs{.row = BoundRow::kSuffixNeed, .cut = 1};
  for (const JointBuffer& buffer : joint.buffers) {
    const bool is_needed = ((buffer.used | buffer.late) >> 1) != 0;
    if (!buffer.is_persistent || !is_needed) continue;
    needs.buffers.push_back(buffer.id);
    needs.multipliers.push_back(buffer.to_device_ns * kScale);
  }
  const auto price = static_cast<std::int64_t>(price_ns * static_cast<double>(kScale));
  return {{.row = BoundRow::kMemory, .cut = 1, .multipliers = {price}},
          needs,
          {.row = BoundRow::kCompute, .cut = 0, .multipliers = {kScale}},
          {.row = BoundRow::kToDevice, .cut = 1, .multipliers = {kScale}}};
}

/// Windows whose cuts get suffix rows: in programs without state all, so that more cuts prove no
/// less. Where state is paged, they raise the bound by less than a tenth of a percent, and double
/// the solver's time.
std::vector<std::int32_t> SuffixWindows(const JointProgram& joint) {
  std::vector<std::int32_t> windows{};
  const bool has_state = std::ranges::any_of(joint.buffers, [](const JointBuffer& buffer) {
    return buffer.written != 0 || buffer.late_write >= 0;
  });
  for (std::int32_t w = 1; w < joint.window_count() && !has_state; ++w) windows.push_back(w);
  return windows;
}

bool OverwritesState(const Profile& profile) {
  return std::ranges::any_of(profile.ops, [&](const Op& op) {
    return std::ranges::any_of(
        op.writes, [&](BufferId id) { return profile.buffers[Index(id)].is_persistent; });
  });
}

/// Few windows first, at last as many as asked for. Without state the peak of activations alone,
/// then with the op that needs most bytes after it: more windows prove hardly more.
std::vector<WindowCounts> WindowCountsFor(const Profile& profile, bool has_state,
                                          const JointBoundRequest& request) {
  if (!has_state) {
    if (profile.ops.size() > kMostOpsOfTwoCuts) return {{1, 0}};
    return {{1, 0}, {1, 1}};
  }
  std::vector<WindowCounts> rounds{};
  for (const WindowCounts& counts : kFewWindows) {
    const bool is_less =
        counts.forward <= request.forward_count && counts.backward < request.backward_count;
    if (is_less) rounds.push_back(counts);
  }
  rounds.push_back({request.forward_count, request.backward_count});
  return rounds;
}

}  // namespace

JointBound ClosedFormJointBound(const Profile& profile, const std::vector<OpEffects>& effects,
                                const JointBoundRequest& request) {
  Certificate certificate = EmptyCertificate(profile, request);
  JointBound none{.duration_ns = KeepAllDurationNs(profile),
                  .certificate = certificate,
                  .part = "joint bound: sum of durations"};
  if (!HasJointProgram(profile, effects)) return none;
  const CopyFloor floor(profile.device, request.largest_copy_bytes, certificate.other_way_permille);
  const ClosedForm form(profile, effects, JointOrder(profile, effects, request.updates), floor);
  const std::int32_t place = form.Best(request.arena_bytes);
  if (place == 0) return none;
  const JointProgram joint = Windows(profile, effects, request, certificate, {0, place});
  NameCuts(joint, certificate);
  certificate.rows = ClosedFormRows(joint, form.price_ns());
  JointBound bound = BoundOf(profile, std::move(certificate));
  bound.part = "joint bound: closed form";
  return bound.duration_ns > none.duration_ns ? bound : none;
}

JointBound ProveJointBoundAt(const Profile& profile, const std::vector<OpEffects>& effects,
                             const JointBoundRequest& request,
                             const std::vector<std::int32_t>& cuts) {
  Certificate certificate = EmptyCertificate(profile, request);
  const JointProgram joint = Windows(profile, effects, request, certificate, cuts);
  const JointLp lp = BuildJointLp(joint, {.arena_bytes = request.arena_bytes,
                                          .host_bytes = request.host_bytes,
                                          .small_blocks = request.small_bytes / kAlignmentBytes,
                                          .suffixes = SuffixWindows(joint)});
  // The simplex takes a tenth of the interior point's time here, and its vertices have few
  // multipliers.
  const LpResult result =
      SolveLinearProgram(lp.program, {.time_limit_s = request.time_limit_s, .stop = request.stop});
  NameCuts(joint, certificate);
  if (!result.row_duals.empty()) {
    certificate.rows = RoundDuals(lp, result.row_duals, certificate.scale);
  }
  JointBound bound = BoundOf(profile, std::move(certificate));
  bound.part = "joint bound: windows";
  if (result.status == LpStatus::kInfeasible) bound.part += ": nothing fits";
  if (result.status == LpStatus::kFailed) bound.part += ": " + result.failure;
  if (result.status == LpStatus::kOptimal) bound.relaxation_ns = result.objective * kLpTimeNs;
  if (!result.values.empty()) bound.guide = GuideOf(joint, lp, result.values);
  return bound;
}

JointBound ProveJointBound(const Profile& profile, const std::vector<OpEffects>& effects,
                           const JointBoundRequest& request) {
  JointBound closed = ClosedFormJointBound(profile, effects, request);
  if (!HasJointProgram(profile, effects)) return closed;
  if (!HasHighs()) {
    closed.part += "; windows: " + WhyNoHighs();
    return closed;
  }
  const Clock::time_point begin = Clock::now();
  JointBound best = std::move(closed);
  const bool has_state = OverwritesState(profile);
  for (const WindowCounts& counts : WindowCountsFor(profile, has_state, request)) {
    JointBoundRequest rest = request;
    if (!has_state) rest.small_bytes = std::min(rest.small_bytes, kSmallBytes);
    rest.time_limit_s -= std::chrono::duration<double>(Clock::now() - begin).count();
    if (rest.time_limit_s <= 0 || (request.stop != nullptr && request.stop->load())) break;
    JointBound windows = ProveJointBoundAt(
        profile, effects, rest,
        ChooseCuts(profile, effects, request.updates, counts.forward, counts.backward));
    if (windows.relaxation_ns == 0) {
      best.part += "; " + windows.part;
      break;
    }
    if (windows.duration_ns >= best.duration_ns) {
      best = std::move(windows);
    } else if (best.guide.cuts.empty()) {
      best.guide = std::move(windows.guide);
      best.relaxation_ns = windows.relaxation_ns;
    }
  }
  return best;
}

}  // namespace stint
