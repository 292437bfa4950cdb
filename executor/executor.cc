#include "executor/executor.h"

#include <algorithm>
#include <set>

#include "executor/io_slots.h"
#include "executor/plan_run.h"
#include "ir/errors.h"

namespace stint {
namespace {

/// Value below which a `quarters` / 4 part of the sorted samples lies.
std::int64_t Quartile(const std::vector<std::int64_t>& sorted, std::size_t quarters) {
  return sorted[(sorted.size() - 1) * quarters / 4];
}

/// Computes beyond the first of each op, in each repetition of a body and in each phase's ends.
std::int64_t CountRecomputedOps(const Profile& profile, const Plan& plan) {
  std::int64_t count = 0;
  for (std::size_t i = 0; i < plan.phases.size(); ++i) {
    const std::int64_t op_count = static_cast<std::int64_t>(Index(profile.phases[i].end)) -
                                  static_cast<std::int64_t>(Index(profile.phases[i].begin));
    const auto count_computes = [](const std::vector<Instruction>& instructions) {
      return std::count_if(instructions.begin(), instructions.end(), [](const Instruction& step) {
        return step.kind == InstructionKind::kCompute;
      });
    };
    count += (count_computes(plan.phases[i].body) - op_count) * profile.phases[i].repeat_count +
             count_computes(plan.phases[i].prologue) + count_computes(plan.phases[i].epilogue);
  }
  return count;
}

}  // namespace

Report Execute(const Profile& profile, const Plan& plan, DeviceRuntime& runtime,
               const LoadValue& load, const ExecuteOptions& options) {
  Check(options.iteration_count >= 0, "iterations are counted");
  const bool gives_results = options.on_result != nullptr;
  const bool is_cuda = runtime.kind() == DeviceKind::kCuda;
  const bool use_graphs = options.use_graph && is_cuda;
  PlanRun run(profile, plan, runtime, options);
  std::int64_t process_bytes = 0;
  const auto look_at_process = [&] {
    if (is_cuda) process_bytes = std::max(process_bytes, runtime.ProcessBytes());
  };

  run.Load(load);
  std::vector<std::int64_t> durations_ns;
  const bool is_only_one = options.iteration_count == 0;
  const Pass first{.use_graphs = use_graphs && is_only_one,
                   .spares_first_repetition = true,
                   .gives_results = gives_results,
                   .notes_copy_times = is_only_one};
  if (is_only_one) {
    durations_ns.push_back(runtime.TimeOnce([&] { run.Iterate(first); }));
  } else {
    run.Iterate(first);
  }
  look_at_process();
  if (use_graphs && !is_only_one) {
    // Captures the graphs. Whoever looks at results sees those of the graphs, too.
    if (gives_results) run.Load(load);
    run.Iterate(
        {.iteration = gives_results ? 0 : 1, .use_graphs = true, .gives_results = gives_results});
    look_at_process();
  }
  const bool has_graphs = run.HasGraphs();
  std::int64_t iteration = 2;
  const auto iterate = [&](bool notes_copy_times) {
    run.Iterate({.iteration = iteration++,
                 .use_graphs = use_graphs,
                 .times_instructions = !has_graphs,
                 .notes_copy_times = notes_copy_times});
    look_at_process();
  };
  if (!is_only_one) {
    durations_ns = runtime.TimeEach(
        options.iteration_count, [&](std::int64_t) { iterate(/*notes_copy_times=*/!has_graphs); });
  }
  if (has_graphs && !is_only_one && run.HasCopies()) {
    iterate(/*notes_copy_times=*/true);  // Captures graphs that do.
    iterate(/*notes_copy_times=*/true);
    runtime.Synchronize();
  }
  Report report = run.MakeReport();
  std::sort(durations_ns.begin(), durations_ns.end());
  report.duration_ns = Quartile(durations_ns, 2);
  report.spread_ns = (Quartile(durations_ns, 3) - Quartile(durations_ns, 1)) / 2;
  report.iteration_count = std::ssize(durations_ns);
  report.process_bytes = process_bytes;
  report.recomputed_op_count = CountRecomputedOps(profile, plan);
  return report;
}

Report RunLoop(const Profile& profile, const Plan& plan, DeviceRuntime& runtime,
               const LoadValue& load, const LoopOptions& options) {
  const ExecuteOptions plain;
  PlanRun run(profile, plan, runtime, plain);
  IoSlots slots(profile, runtime, options);
  const bool is_cuda = runtime.kind() == DeviceKind::kCuda;
  const bool use_graphs = options.use_graph && is_cuda;
  std::shared_ptr<StateSnapshot> snapshot;
  if (options.wants_state) {
    snapshot = std::make_shared<StateSnapshot>(profile, plan, runtime, options.snapshot.get());
  }
  run.Load(load);
  const std::int64_t begin = options.first_iteration;
  std::int64_t end = begin + options.iteration_count;
  std::int64_t next_given = begin;
  const auto give_before = [&](std::int64_t iteration) {
    while (next_given < iteration) slots.Give(next_given++);
  };
  std::int64_t process_bytes = 0;
  for (std::int64_t i = begin; i < end; ++i) {
    slots.Prepare(i);
    // The first one makes libraries load what they need, which no graph can.
    run.Iterate({.iteration = i, .use_graphs = use_graphs && i > begin, .slots = &slots});
    give_before(i);
    if (options.is_last && options.is_last(i)) end = i + 1;
    // What a process takes it has taken once libraries are loaded and graphs captured.
    if (is_cuda && (i < begin + 2 || i + 1 == end)) {
      process_bytes = std::max(process_bytes, runtime.ProcessBytes());
    }
    if (options.wants_state && options.wants_state(i)) {
      run.TakeState(snapshot);
      give_before(i + 1);
      options.on_state(i, snapshot);
    }
  }
  give_before(end);
  Report report = run.MakeReport();
  report.iteration_count = end - begin;
  if (snapshot != nullptr) report.snapshot_bytes = plan.snapshot_bytes;
  report.process_bytes = process_bytes;
  return report;
}

}  // namespace stint
