#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "planner/rivals/rival_run.h"
#include "planner/rivals/rivals.h"

namespace stint {
namespace {

// Bytes are counted in so many parts of all that could be saved, as PyTorch's dynamic program does.
constexpr std::int32_t kPartCount = 10000;
// Internal budgets that are tried, before the fitting one closest to the first that does not fit is
// looked for by halving.
constexpr std::int32_t kGridCount = 32;

/// A forward op whose results backward reads: they are saved, or it runs again.
struct Item {
  std::int32_t op = 0;
  std::int64_t units = 0;
  std::int32_t parts = 0;  // Of all items' units, rounded up.
};

std::vector<Item> ItemsOf(const FlatProgram& program, std::int32_t border) {
  std::vector<bool> is_read_later(program.values.size(), false);
  for (std::int32_t op = border; op <= program.op_count; ++op) {
    for (const std::int32_t value : program.ReadsOf(op)) {
      is_read_later[static_cast<std::size_t>(value)] = true;
    }
  }
  std::vector<Item> items{};
  std::int64_t all_units = 0;
  for (std::int32_t op = 0; op < border; ++op) {
    Item item{.op = op};
    for (const std::int32_t value : program.MadeBy(op)) {
      const auto index = static_cast<std::size_t>(value);
      if (is_read_later[index]) item.units += program.values[index].units;
    }
    const bool can_run_again = program.ops[static_cast<std::size_t>(op)].again_until >= border;
    if (item.units > 0 && can_run_again) items.push_back(item);
    all_units += items.empty() || items.back().op != op ? 0 : item.units;
  }
  all_units = std::max<std::int64_t>(all_units, 1);
  for (Item& item : items) {
    item.parts = static_cast<std::int32_t>((item.units * kPartCount + all_units - 1) / all_units);
  }
  return items;
}

/// The exact dynamic program, once for all capacities.
class Knapsack {
 public:
  Knapsack(const FlatProgram& program, const std::vector<Item>& items) : items_(items) {
    std::vector<std::int64_t> best_ns(kPartCount + 1, 0);
    is_taken_.assign(items.size(), std::vector<bool>(kPartCount + 1, false));
    for (std::size_t i = 0; i < items.size(); ++i) {
      const std::int64_t gain_ns = program.ops[static_cast<std::size_t>(items[i].op)].duration_ns;
      for (std::int32_t room = kPartCount; room >= items[i].parts; --room) {
        const std::int64_t taken_ns =
            best_ns[static_cast<std::size_t>(room - items[i].parts)] + gain_ns;
        if (taken_ns > best_ns[static_cast<std::size_t>(room)]) {
          best_ns[static_cast<std::size_t>(room)] = taken_ns;
          is_taken_[i][static_cast<std::size_t>(room)] = true;
        }
      }
    }
  }

  /// The ops to save the results of within `room` parts.
  std::vector<std::int32_t> ChooseFor(std::int32_t room) const {
    std::vector<std::int32_t> ops{};
    for (std::size_t i = items_.size(); i-- > 0;) {
      if (!is_taken_[i][static_cast<std::size_t>(room)]) continue;
      ops.push_back(items_[i].op);
      room -= items_[i].parts;
    }
    return ops;
  }

 private:
  const std::vector<Item>& items_;
  std::vector<std::vector<bool>> is_taken_{};  // By item and room.
};

class KnapsackSolver : public Solver {
 public:
  std::string Name() const override { return "knapsack"; }

  SolveResult Solve(const Problem& problem, const SolveOptions& options) const override {
    RivalRun run(problem, options, "knapsack of saved bytes");
    if (run.IsOverWhenFlat()) return run.Take();
    const std::vector<Item> items = ItemsOf(run.flat(), run.border());
    run.work().Add(static_cast<std::int64_t>(items.size()) * kPartCount / 64);
    const Knapsack knapsack(run.flat(), items);
    const auto fits = [&](std::int32_t room) {
      KeepSet is_kept(run.flat().values.size(), false);
      for (const std::int32_t op : knapsack.ChooseFor(room)) {
        for (const std::int32_t value : run.flat().MadeBy(op)) {
          is_kept[static_cast<std::size_t>(value)] = true;
        }
      }
      return run.OfferKept(is_kept);
    };
    const bool keeps_promise = fits(PromisedParts(run, items));
    // Its own budget does not see bursts, and peaks do not fall with it: try all of it.
    std::int32_t fitting = -1;
    for (std::int32_t step = 0; step <= kGridCount && !run.IsOver(); ++step) {
      const std::int32_t room = kPartCount * step / kGridCount;
      if (fits(room)) fitting = room;
    }
    std::int32_t failing = std::min(fitting + kPartCount / kGridCount, kPartCount);
    while (fitting >= 0 && failing - fitting > 1 && !run.IsOver()) {
      const std::int32_t middle = (fitting + failing) / 2;
      (fits(middle) ? fitting : failing) = middle;
    }
    if (!keeps_promise && fitting >= 0) {
      run.AddPart(
          fmt::format("asked for {:.1f} % of what can be saved, since the plan for the budget "
                      "itself exceeds it",
                      100.0 * fitting / kPartCount));
    }
    return run.Take();
  }

 private:
  /// What PyTorch would be asked for: the budget less what lives at the border anyway.
  static std::int32_t PromisedParts(const RivalRun& run, const std::vector<Item>& items) {
    std::int64_t item_units = 0;
    for (const Item& item : items) item_units += item.units;
    const std::int64_t border_units =
        InsertionPlan(run.flat()).PeakUnits(run.border(), run.border());
    const std::int64_t free_units = run.budget_units() - (border_units - item_units);
    return static_cast<std::int32_t>(std::clamp<std::int64_t>(
        item_units == 0 ? 0 : free_units * kPartCount / item_units, 0, kPartCount));
  }
};

}  // namespace

std::unique_ptr<Solver> MakeKnapsackSolver() { return std::make_unique<KnapsackSolver>(); }

}  // namespace stint
