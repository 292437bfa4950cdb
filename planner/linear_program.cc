#include "planner/linear_program.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "ir/errors.h"

namespace stint {
namespace {

// The part of HiGHS's C interface that is used here; the wheel brings no header. Its integers have
// 32 bits (checked when it is loaded).
using HighsInt = std::int32_t;
constexpr HighsInt kStatusError = -1;
constexpr HighsInt kRowwise = 2;
constexpr HighsInt kMinimise = 1;
constexpr HighsInt kModelOptimal = 7;
constexpr HighsInt kModelInfeasible = 8;
constexpr HighsInt kModelObjectiveBound = 11;
constexpr HighsInt kModelInterrupted = 17;  // From bound and target, by time, iterations and
                                            // solutions, to a callback's wish: limits.
constexpr HighsInt kSolutionFeasible = 2;
// Where a callback may ask for the end.
constexpr HighsInt kInterruptCallbacks[] = {1, 2, 6};  // In the simplex, interior point and tree.

/// What a callback may answer; only its first field is used.
struct CallbackAnswer {
  int is_interrupted = 0;
};
using Callback = void (*)(int kind, const char* message, const void* facts, CallbackAnswer* answer,
                          void* user);

struct Highs {
  void* (*create)() = nullptr;
  void (*destroy)(void*) = nullptr;
  HighsInt (*int_bytes)(const void*) = nullptr;
  HighsInt (*pass)(void*, HighsInt, HighsInt, HighsInt, HighsInt, HighsInt, double, const double*,
                   const double*, const double*, const double*, const double*, const HighsInt*,
                   const HighsInt*, const double*, const HighsInt*) = nullptr;
  HighsInt (*set_bool)(void*, const char*, HighsInt) = nullptr;
  HighsInt (*set_int)(void*, const char*, HighsInt) = nullptr;
  HighsInt (*set_double)(void*, const char*, double) = nullptr;
  HighsInt (*set_string)(void*, const char*, const char*) = nullptr;
  HighsInt (*set_callback)(void*, Callback, void*) = nullptr;
  HighsInt (*start_callback)(void*, int) = nullptr;
  HighsInt (*set_solution)(void*, const double*, const double*, const double*,
                           const double*) = nullptr;
  HighsInt (*run)(void*) = nullptr;
  HighsInt (*model_status)(const void*) = nullptr;
  HighsInt (*int_info)(const void*, const char*, HighsInt*) = nullptr;
  HighsInt (*double_info)(const void*, const char*, double*) = nullptr;
  HighsInt (*solution)(const void*, double*, double*, double*, double*) = nullptr;

  std::string failure{};  // Why it cannot be used; empty: it can.
};

template <typename Function>
bool Find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  return function != nullptr;
}

void* OpenLibrary() {
  if (const char* chosen = std::getenv("STINT_HIGHS")) {
    return dlopen(chosen, RTLD_NOW | RTLD_LOCAL);
  }
  // An empty name would open this program itself.
  const std::string wheel = STINT_HIGHS_WHEEL;
  void* library = wheel.empty() ? nullptr : dlopen(wheel.c_str(), RTLD_NOW | RTLD_LOCAL);
  return library != nullptr ? library : dlopen("libhighs.so.1", RTLD_NOW | RTLD_LOCAL);
}

Highs Load() {
  Highs highs{};
  // Never closed: its threads may outlive any one use.
  void* library = OpenLibrary();
  if (library == nullptr) {
    highs.failure = "no HiGHS";
    return highs;
  }
  const bool is_whole = Find(library, "Highs_create", highs.create) &&
                        Find(library, "Highs_destroy", highs.destroy) &&
                        Find(library, "Highs_getSizeofHighsInt", highs.int_bytes) &&
                        Find(library, "Highs_passMip", highs.pass) &&
                        Find(library, "Highs_setBoolOptionValue", highs.set_bool) &&
                        Find(library, "Highs_setIntOptionValue", highs.set_int) &&
                        Find(library, "Highs_setDoubleOptionValue", highs.set_double) &&
                        Find(library, "Highs_setStringOptionValue", highs.set_string) &&
                        Find(library, "Highs_setCallback", highs.set_callback) &&
                        Find(library, "Highs_startCallback", highs.start_callback) &&
                        Find(library, "Highs_setSolution", highs.set_solution) &&
                        Find(library, "Highs_run", highs.run) &&
                        Find(library, "Highs_getModelStatus", highs.model_status) &&
                        Find(library, "Highs_getIntInfoValue", highs.int_info) &&
                        Find(library, "Highs_getDoubleInfoValue", highs.double_info) &&
                        Find(library, "Highs_getSolution", highs.solution);
  if (!is_whole || highs.int_bytes(nullptr) != sizeof(HighsInt)) {
    highs.failure = "a HiGHS of another kind";
  }
  return highs;
}

const Highs& TheHighs() {
  static const Highs highs = Load();
  return highs;
}

void StopIfAsked(int /*kind*/, const char* /*message*/, const void* /*facts*/,
                 CallbackAnswer* answer, void* user) {
  const auto* stop = static_cast<const std::atomic<bool>*>(user);
  if (answer != nullptr && stop->load(std::memory_order_relaxed)) {
    answer->is_interrupted = 1;
  }
}

/// One instance of HiGHS with one program in it.
class Model {
 public:
  Model(const Highs& highs, const LinearProgram& program, const LpOptions& options)
      : highs_(highs), program_(program), model_(highs.create()) {
    SetOptions(options);
    std::vector<HighsInt> kinds(program.is_whole.begin(), program.is_whole.end());
    has_whole_ = std::find(kinds.begin(), kinds.end(), 1) != kinds.end();
    has_failed_ =
        highs.pass(model_, program.column_count(), program.row_count(),
                   static_cast<HighsInt>(program.entry_values.size()), kRowwise, kMinimise, 0,
                   program.costs.data(), program.column_lower.data(), program.column_upper.data(),
                   program.row_lower.data(), program.row_upper.data(), program.row_starts.data(),
                   program.entry_columns.data(), program.entry_values.data(),
                   has_whole_ ? kinds.data() : nullptr) == kStatusError;
    if (!options.start.empty()) {
      highs.set_solution(model_, options.start.data(), nullptr, nullptr, nullptr);
    }
  }
  ~Model() { highs_.destroy(model_); }
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  LpResult Solve() {
    if (has_failed_ || highs_.run(model_) == kStatusError) {
      return {.failure = "HiGHS refused the program"};
    }
    const HighsInt status = highs_.model_status(model_);
    LpResult result{};
    if (status == kModelInfeasible) {
      result.status = LpStatus::kInfeasible;
      return result;
    }
    if (status == kModelOptimal) {
      result.status = LpStatus::kOptimal;
    } else if (status >= kModelObjectiveBound && status <= kModelInterrupted) {
      result.status = LpStatus::kFeasible;
    } else {
      return {.failure = fmt::format("HiGHS ended in state {}", status)};
    }
    TakeSolution(result);
    return result;
  }

 private:
  void SetOptions(const LpOptions& options) {
    highs_.set_bool(model_, "output_flag", 0);
    highs_.set_double(model_, "time_limit", std::max(options.time_limit_s, 0.01));
    highs_.set_double(model_, "mip_rel_gap", options.relative_gap);
    highs_.set_int(model_, "threads", options.thread_count);
    highs_.set_int(model_, "random_seed", options.seed);
    if (options.node_limit > 0) {
      constexpr std::int64_t kMost = std::numeric_limits<HighsInt>::max();
      highs_.set_int(model_, "mip_max_nodes",
                     static_cast<HighsInt>(std::min(options.node_limit, kMost)));
    }
    if (options.method == LpMethod::kInteriorPoint) {
      highs_.set_string(model_, "solver", "ipm");
      highs_.set_string(model_, "run_crossover", "off");
    }
    if (options.stop != nullptr) {
      highs_.set_callback(model_, StopIfAsked,
                          const_cast<void*>(static_cast<const void*>(options.stop)));
      for (const HighsInt kind : kInterruptCallbacks) {
        highs_.start_callback(model_, kind);
      }
    }
  }

  void TakeSolution(LpResult& result) const {
    HighsInt primal_status = 0;
    highs_.int_info(model_, "primal_solution_status", &primal_status);
    std::vector<double> values(program_.costs.size());
    std::vector<double> column_duals(program_.costs.size());
    std::vector<double> row_values(program_.row_lower.size());
    std::vector<double> row_duals(program_.row_lower.size());
    highs_.solution(model_, values.data(), column_duals.data(), row_values.data(),
                    row_duals.data());
    if (primal_status == kSolutionFeasible) {
      highs_.double_info(model_, "objective_function_value", &result.objective);
      result.values = std::move(values);
    }
    if (has_whole_) {
      highs_.double_info(model_, "mip_dual_bound", &result.bound);
      return;
    }
    result.row_duals = std::move(row_duals);
    if (result.status == LpStatus::kOptimal) {
      result.bound = result.objective;
    }
  }

  const Highs& highs_;
  const LinearProgram& program_;
  void* model_ = nullptr;
  bool has_whole_ = false;
  bool has_failed_ = false;
};

}  // namespace

std::int32_t LinearProgram::AddColumn(double cost, double lower, double upper,
                                      bool is_whole_number) {
  costs.push_back(cost);
  column_lower.push_back(lower);
  column_upper.push_back(upper);
  is_whole.push_back(is_whole_number);
  return column_count() - 1;
}

std::int32_t LinearProgram::AddRow(double lower, double upper) {
  row_lower.push_back(lower);
  row_upper.push_back(upper);
  row_starts.push_back(row_starts.back());
  return row_count() - 1;
}

void LinearProgram::AddEntry(std::int32_t column, double value) {
  Check(row_count() > 0 && column >= 0 && column < column_count(), "an entry has row and column");
  entry_columns.push_back(column);
  entry_values.push_back(value);
  ++row_starts.back();
}

bool HasHighs() { return TheHighs().failure.empty(); }

std::string WhyNoHighs() { return TheHighs().failure; }

LpResult SolveLinearProgram(const LinearProgram& program, const LpOptions& options) {
  const Highs& highs = TheHighs();
  if (!highs.failure.empty()) {
    return {.failure = highs.failure};
  }
  return Model(highs, program, options).Solve();
}

}  // namespace stint
