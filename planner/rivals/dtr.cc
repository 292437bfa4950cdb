#include <algorithm>
#include <cstdint>
#include <numeric>
#include <optional>
#include <vector>

#include "planner/lookahead.h"
#include "planner/rivals/rival_run.h"
#include "planner/rivals/rivals.h"

namespace stint {
namespace {

/// Which evicted values a heuristic counts besides the candidate: h_DTR-local, h_DTR-eq, h_DTR.
enum class Neighbours : std::uint8_t { kNone, kComponents, kExact };

/// cost / (bytes * staleness): of a value's own op and of what is evicted around it. Staleness is
/// the compute time since the value was last read or made.
class DtrScorer : public EvictionScorer {
 public:
  DtrScorer(const Program& program, Neighbours neighbours, WorkMeter& work)
      : program_(program),
        neighbours_(neighbours),
        work_(work),
        facts_(program.buffers.size()),
        component_of_(program.buffers.size()),
        visits_(program.buffers.size(), 0) {
    for (const ProgramOp& op : program.ops) {
      for (const BufferId made : op.creates) {
        for (const BufferId read : op.reads) {
          facts_[Index(read)].children.push_back(made);
        }
      }
    }
  }

  double Score(BufferId buffer) override {
    const auto cost_ns = static_cast<double>(CostOf(buffer) + CostAround(buffer) + 1);
    const auto size_bytes = static_cast<double>(program_.buffers[Index(buffer)].residence_bytes);
    const auto staleness_ns = static_cast<double>(clock_ns_ - facts_[Index(buffer)].seen_ns + 1);
    return cost_ns / (size_bytes * staleness_ns);
  }

  void SawRun(const ProgramOp& op, const std::vector<BufferId>& kept) override {
    clock_ns_ += op.duration_ns;
    for (const BufferId read : op.reads) facts_[Index(read)].seen_ns = clock_ns_;
    for (const BufferId made : kept) {
      Facts& facts = facts_[Index(made)];
      facts.seen_ns = clock_ns_;
      if (!facts.is_evicted) continue;
      // It leaves its component, as far as a union can be undone: by its own cost.
      facts.is_evicted = false;
      components_[Root(component_of_[Index(made)])].cost_ns -= CostOf(made);
    }
  }

  void SawEviction(BufferId buffer) override {
    facts_[Index(buffer)].is_evicted = true;
    const std::size_t own = components_.size();
    components_.push_back({.parent = own, .cost_ns = CostOf(buffer)});
    component_of_[Index(buffer)] = own;
    ForEachEvictedNeighbour(buffer, [&](BufferId other) {
      const std::size_t root = Root(component_of_[Index(other)]);
      const std::size_t own_root = Root(own);
      if (root == own_root) return;
      components_[own_root].parent = root;
      components_[root].cost_ns += components_[own_root].cost_ns;
    });
  }

 private:
  struct Facts {
    std::vector<BufferId> children{};  // Made by ops that read it.
    std::int64_t seen_ns = 0;          // When it was last used.
    bool is_evicted = false;
  };
  struct Component {
    std::size_t parent = 0;  // Itself at the root.
    std::int64_t cost_ns = 0;
  };

  const ProgramOp& CreatorOf(BufferId buffer) const {
    return program_.ops[static_cast<std::size_t>(program_.buffers[Index(buffer)].creator)];
  }
  std::int64_t CostOf(BufferId buffer) const { return CreatorOf(buffer).duration_ns; }

  template <typename Use>
  void ForEachEvicted(const std::vector<BufferId>& buffers, const Use& use) const {
    for (const BufferId buffer : buffers) {
      if (facts_[Index(buffer)].is_evicted) use(buffer);
    }
  }
  template <typename Use>
  void ForEachEvictedNeighbour(BufferId buffer, const Use& use) const {
    ForEachEvicted(CreatorOf(buffer).reads, use);
    ForEachEvicted(facts_[Index(buffer)].children, use);
  }

  std::size_t Root(std::size_t component) {
    while (components_[component].parent != component) {
      Component& here = components_[component];
      here.parent = components_[here.parent].parent;
      component = here.parent;
    }
    return component;
  }

  std::int64_t CostAround(BufferId buffer) {
    switch (neighbours_) {
      case Neighbours::kNone:
        return 0;
      case Neighbours::kComponents:
        return CostOfComponents(buffer);
      case Neighbours::kExact:
        break;
    }
    ++visit_;
    const std::int64_t above_ns = CostReached(
        buffer, [&](BufferId b) -> const auto& { return CreatorOf(b).reads; });
    return above_ns +
           CostReached(
               buffer, [&](BufferId b) -> const auto& { return facts_[Index(b)].children; });
  }

  std::int64_t CostOfComponents(BufferId buffer) {
    std::int64_t cost_ns = 0;
    roots_.clear();
    ForEachEvictedNeighbour(buffer, [&](BufferId other) {
      work_.Add(1);
      const std::size_t root = Root(component_of_[Index(other)]);
      if (std::ranges::find(roots_, root) != roots_.end()) return;
      roots_.push_back(root);
      cost_ns += components_[root].cost_ns;
    });
    return cost_ns;
  }

  /// Of all evicted values that can be reached over evicted ones.
  template <typename Next>
  std::int64_t CostReached(BufferId buffer, const Next& next_of) {
    std::int64_t cost_ns = 0;
    stack_.assign(1, buffer);
    while (!stack_.empty()) {
      const BufferId here = stack_.back();
      stack_.pop_back();
      work_.Add(1);
      ForEachEvicted(next_of(here), [&](BufferId next) {
        if (visits_[Index(next)] == visit_) return;
        visits_[Index(next)] = visit_;
        cost_ns += CostOf(next);
        stack_.push_back(next);
      });
    }
    return cost_ns;
  }

  const Program& program_;
  Neighbours neighbours_{};
  WorkMeter& work_;
  std::vector<Facts> facts_{};               // By buffer.
  std::vector<std::size_t> component_of_{};  // By buffer: valid while it is evicted.
  std::vector<Component> components_{};      // A forest: union-find.
  std::vector<std::int64_t> visits_{};       // By buffer: the last search that came by.
  std::int64_t visit_ = 0;
  std::vector<BufferId> stack_{};  // For the searches.
  std::vector<std::size_t> roots_{};
  std::int64_t clock_ns_ = 0;  // Compute so far.
};

class DtrSolver : public Solver {
 public:
  std::string Name() const override { return "dtr"; }

  SolveResult Solve(const Problem& problem, const SolveOptions& options) const override {
    RivalRun run(problem, options, "eviction on demand");
    for (const Neighbours neighbours :
         {Neighbours::kComponents, Neighbours::kNone, Neighbours::kExact}) {
      if (run.IsOver()) break;
      DtrScorer scorer(run.program(), neighbours, run.work());
      std::optional<Schedule> schedule =
          BuildLookahead(problem.profile, run.program(), problem.budget_bytes, scorer,
                         run.duration_limit_ns(), run.work());
      if (schedule) run.Offer(std::move(*schedule));
    }
    return run.Take();
  }
};

}  // namespace

std::unique_ptr<Solver> MakeDtrSolver() { return std::make_unique<DtrSolver>(); }

}  // namespace stint
