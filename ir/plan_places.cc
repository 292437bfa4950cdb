#include "ir/plan_places.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "ir/arena_map.h"
#include "ir/errors.h"
#include "ir/units.h"

namespace stint {
namespace {

class PlacesChecker {
 public:
  PlacesChecker(const Profile& profile, const Plan& plan, const std::string& where)
      : profile_(profile),
        plan_(plan),
        where_(where),
        places_({.has_host_place = std::vector<bool>(profile.buffers.size()),
                 .shard_of = std::vector<std::optional<ShardId>>(profile.buffers.size())}) {}

  PlanPlaces Run() {
    CheckOrigin();
    for (std::size_t i = 0; i < plan_.shards.size(); ++i) CheckShard(i);
    for (std::size_t i = 0; i < plan_.host.size(); ++i) CheckHostPlace(i);
    if (plan_.host_bytes != pool_.height_bytes()) {
      Fail("/host_bytes",
           fmt::format("is {}, but its places end at {}", plan_.host_bytes, pool_.height_bytes()));
    }
    CheckSnapshot();
    if (plan_.host_budget_bytes > 0 &&
        plan_.host_bytes + plan_.snapshot_bytes > plan_.host_budget_bytes) {
      Fail("/made_from/host_budget_bytes",
           fmt::format("is {}, but the pool takes {} and the snapshot {}", plan_.host_budget_bytes,
                       plan_.host_bytes, plan_.snapshot_bytes));
    }
    return std::move(places_);
  }

 private:
  [[noreturn]] void Fail(const std::string& pointer, const std::string& fact) const {
    throw InputError(where_ + ":" + pointer, fact);
  }

  void CheckOrigin() const {
    if (plan_.profile_sha256 != ProfileSha256(profile_)) {
      Fail("/made_from/profile_sha256", "is another profile than the one given");
    }
    if (plan_.phases.size() != profile_.phases.size()) {
      Fail("/phases", fmt::format("are {}, but the profile has {}", plan_.phases.size(),
                                  profile_.phases.size()));
    }
  }

  void CheckMovable(const std::string& pointer, BufferId id) const {
    if (Index(id) >= profile_.buffers.size()) Fail(pointer, "is no buffer of the profile");
    const Buffer& buffer = profile_.buffers[Index(id)];
    if (buffer.is_host) {
      Fail(pointer,
           fmt::format("{} lives in host memory, a plan cannot move it", NameOf(profile_, id)));
    }
    if (buffer.role == BufferRole::kWorkspace) {
      Fail(pointer,
           fmt::format("{} is a library workspace, a plan cannot move it", NameOf(profile_, id)));
    }
  }

  void CheckShard(std::size_t i) {
    const Shard& shard = plan_.shards[i];
    const std::string pointer = fmt::format("/shards/{}", i);
    ArenaMap inside;
    for (std::size_t k = 0; k < shard.members.size(); ++k) {
      const Placement& member = shard.members[k];
      const std::string place = fmt::format("{}/members/{}", pointer, k);
      CheckMovable(place, member.buffer);
      const Buffer& buffer = profile_.buffers[Index(member.buffer)];
      if (!buffer.is_persistent) {
        Fail(place, fmt::format("{} is not persistent", NameOf(profile_, member.buffer)));
      }
      if (places_.shard_of[Index(member.buffer)]) {
        Fail(place, fmt::format("{} is in a shard already", NameOf(profile_, member.buffer)));
      }
      if (inside.Occupy(member.offset_bytes, AlignUp(buffer.size_bytes),
                        {.kind = OccupantKind::kBuffer, .index = 0})) {
        Fail(place, "overlaps another member");
      }
      places_.shard_of[Index(member.buffer)] = static_cast<ShardId>(i);
      places_.has_host_place[Index(member.buffer)] = true;
    }
    if (inside.height_bytes() > shard.size_bytes) {
      Fail(pointer, fmt::format("has {} bytes, but its members end at {}", shard.size_bytes,
                                inside.height_bytes()));
    }
    TakeHostRange(pointer, shard.host_offset_bytes, shard.size_bytes);
  }

  void CheckHostPlace(std::size_t i) {
    const Placement& place = plan_.host[i];
    const std::string pointer = fmt::format("/host/{}", i);
    CheckMovable(pointer, place.buffer);
    if (places_.shard_of[Index(place.buffer)]) {
      Fail(pointer, fmt::format("{} is in a shard already", NameOf(profile_, place.buffer)));
    }
    places_.has_host_place[Index(place.buffer)] = true;
    TakeHostRange(pointer, place.offset_bytes,
                  AlignUp(profile_.buffers[Index(place.buffer)].size_bytes));
  }

  /// All that the program writes and keeps, each with a place of its own; or nothing at all.
  void CheckSnapshot() const {
    std::vector<bool> is_written(profile_.buffers.size());
    for (const Op& op : profile_.ops) {
      for (const BufferId id : op.writes) is_written[Index(id)] = true;
    }
    std::vector<bool> is_saved(profile_.buffers.size());
    ArenaMap snapshot;
    for (std::size_t i = 0; i < plan_.snapshot.size(); ++i) {
      const Placement& place = plan_.snapshot[i];
      const std::string pointer = fmt::format("/snapshot/{}", i);
      if (Index(place.buffer) >= profile_.buffers.size()) {
        Fail(pointer, "is no buffer of the profile");
      }
      const Buffer& buffer = profile_.buffers[Index(place.buffer)];
      if (!buffer.is_persistent || !is_written[Index(place.buffer)]) {
        Fail(pointer, fmt::format("{} is not state: persistent and written",
                                  NameOf(profile_, place.buffer)));
      }
      is_saved[Index(place.buffer)] = true;
      if (snapshot.Occupy(place.offset_bytes, AlignUp(buffer.size_bytes),
                          {.kind = OccupantKind::kBuffer, .index = 0})) {
        Fail(pointer, "overlaps another place of the snapshot");
      }
    }
    if (plan_.snapshot_bytes != snapshot.height_bytes()) {
      Fail("/snapshot_bytes", fmt::format("is {}, but its places end at {}", plan_.snapshot_bytes,
                                          snapshot.height_bytes()));
    }
    if (plan_.snapshot.empty()) return;
    for (std::size_t i = 0; i < profile_.buffers.size(); ++i) {
      const Buffer& buffer = profile_.buffers[i];
      if (!buffer.is_persistent || !is_written[i] || buffer.size_bytes == 0 || is_saved[i]) {
        continue;
      }
      Fail("/snapshot", fmt::format("lacks {}", NameOf(profile_, static_cast<BufferId>(i))));
    }
  }

  void TakeHostRange(const std::string& pointer, std::int64_t offset_bytes,
                     std::int64_t size_bytes) {
    if (pool_.Occupy(offset_bytes, size_bytes, {.kind = OccupantKind::kBuffer, .index = 0})) {
      Fail(pointer, "overlaps another place on the host");
    }
  }

  const Profile& profile_;
  const Plan& plan_;
  const std::string& where_;
  PlanPlaces places_;
  ArenaMap pool_{};  // Of the host; nothing in it ever ends.
};

}  // namespace

PlanPlaces CheckPlaces(const Profile& profile, const Plan& plan, const std::string& where) {
  return PlacesChecker(profile, plan, where).Run();
}

}  // namespace stint
