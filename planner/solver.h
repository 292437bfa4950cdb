// The contract of every solver: a problem in, a schedule and a proven bound out. "No" is an answer,
// not an error. Solvers decide when ops run and what is kept; addresses come after
// (planner/packing.h).
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ir/effects.h"
#include "ir/plan.h"
#include "ir/profile.h"

namespace stint {

/// Where things lie. From solvers that give addresses themselves, because their copies wait for
/// places and so addresses decide how long a schedule takes.
struct SchedulePlaces {
  std::vector<Placement> initial{};  // As Plan::initial, host, shards, host_bytes, arena_bytes.
  std::vector<Placement> host{};
  std::vector<Shard> shards{};
  std::int64_t host_bytes = 0;
  std::int64_t arena_bytes = 0;
};

struct Schedule {
  std::vector<PhasePlan> phases{};  // Without places: request_offsets and offset_bytes are empty,
                                    // persistent buffers stay in the arena.
  std::optional<SchedulePlaces> places{};
};

/// What to schedule: a profile within so many bytes. Keeps references; they must outlive it.
struct Problem {
  const Profile& profile;
  const std::vector<OpEffects>& effects;  // DeriveEffects(profile).
  std::int64_t budget_bytes = 0;  // For residences and requests, each rounded up to 512. Not the
                                  // device's overhead.
  std::optional<std::int64_t> host_bytes{};  // What a schedule may put on the host, each copy
                                             // rounded up to 512; nothing: any amount.
  std::int64_t lower_bound_ns = 0;  // Proved already: whoever reaches it may stop. 0: not known.
  bool wants_bound = true;          // Whether a better bound for this budget is of use.
  const Schedule* start = nullptr;  // To begin with, if it is of use; it may take more than the
                                    // budget. May be null.
};

struct SolveProgress {
  std::int64_t duration_ns = 0;     // Of the best schedule so far; 0: none yet.
  std::int64_t lower_bound_ns = 0;  //
};

struct SolveOptions {
  double time_limit_s = 60;                 // Wall clock; > 0.
  std::int64_t work_limit = 0;              // In steps of the solver's own; 0: none. Deterministic.
  double gap = 0;                           // Stop once the schedule is proven to be within this
                                            // share of the keep-all duration: 0.001 is 0.1
                                            // percentage points. 0: only at a full proof.
  std::int64_t seed = 0;                    //
  const std::atomic<bool>* stop = nullptr;  // Set by Ctrl-C: return the best so far. May be null.
  std::function<void(const SolveProgress&)> on_progress{};  // May be empty.
};

enum class SolveStatus : std::uint8_t {
  kOptimal,     // `schedule` is set and no faster one fits the budget.
  kFeasible,    // `schedule` is set; a limit stopped the proof. See lower_bound_ns.
  kInfeasible,  // Proved: no schedule fits. See min_budget_bytes.
  kUnknown,     // A limit, or the end of a heuristic's wits, before any of the above.
};

struct SolveResult {
  SolveStatus status{};
  std::optional<Schedule> schedule{};
  std::int64_t peak_bytes = 0;        // Of the schedule.
  std::int64_t duration_ns = 0;       // Of the schedule, one iteration.
  std::int64_t lower_bound_ns = 0;    // Valid for every schedule of the certificate's class.
  std::int64_t min_budget_bytes = 0;  // No schedule fits less, whatever it recomputes.
  std::string binding{};      // The op and the buffers that min_budget_bytes comes from, in words.
  Certificate certificate{};  //
  // What holds besides of all plans of the certificate's class within the problem's budget:
  std::int64_t proven_bound_ns = 0;   // By `proof`, a certificate of method "cuts"; 0: nothing.
  Certificate proof{};                //
  std::int64_t claimed_bound_ns = 0;  // According to a floating-point solver, over
  std::vector<OpId> claimed_cuts{};   // these cuts; see Certificate. 0: nothing.
  std::int64_t step_count = 0;        // That count towards SolveOptions::work_limit.
  std::vector<std::string> parts{};   // What ran, in order, as Plan::solver_parts.
};

/// One iteration of `profile` with every op once: what overheads and gaps are shares of.
std::int64_t KeepAllDurationNs(const Profile& profile);

/// Whether `best` has a schedule as close to its bound as `options` ask for. A solver asks after
/// each better schedule or bound. O(ops).
bool IsCloseEnough(const Profile& profile, const SolveOptions& options, const SolveProgress& best);

/// Stateless; one object may solve on several threads.
class Solver {
 public:
  virtual ~Solver() = default;

  /// Its name in the registry and in plans: "keep-all", "greedy".
  virtual std::string Name() const = 0;

  /// Whether its schedules of `profile` may move buffers to the host: bounds and peaks of schedules
  /// that do not are then none of theirs, and they come with places.
  virtual bool MakesCopies(const Profile& profile) const;

  /// Deterministic when only work_limit is set: equal arguments give equal results.
  /// @throws InputError if `problem` is malformed. An impossible budget is not an error.
  virtual SolveResult Solve(const Problem& problem, const SolveOptions& options) const = 0;
};

/// All solvers, in the order they are documented. A new one is one file and one line in
/// registry.cc.
std::vector<std::unique_ptr<Solver>> AllSolvers();

/// @throws InputError naming `--solver` and the known names.
std::unique_ptr<Solver> MakeSolver(const std::string& name);

}  // namespace stint
