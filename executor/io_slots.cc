#include "executor/io_slots.h"

#include <ATen/ATen.h>

#include <cstring>

#include "ir/units.h"

namespace stint {

IoSlots::IoSlots(const Profile& profile, DeviceRuntime& runtime, const LoopOptions& options)
    : profile_(profile), runtime_(runtime), options_(options), shapes_(profile) {
  for (std::size_t i = 0; i < profile.buffers.size(); ++i) {
    const Buffer& buffer = profile.buffers[i];
    if (buffer.is_host || buffer.size_bytes == 0) continue;
    const bool is_input = buffer.is_persistent && buffer.role == BufferRole::kInput;
    const bool is_output = !buffer.is_persistent && buffer.role == BufferRole::kOutput;
    if (is_input && options.next_input) Add(inputs_, BufferId(i));
    if (is_output && options.on_output) Add(outputs_, BufferId(i));
  }
  Allocate(inputs_);
  Allocate(outputs_);
}

IoSlots::~IoSlots() {
  runtime_.Synchronize();  // Copies under way use the slots.
  for (const Pair* pair : {&inputs_, &outputs_}) {
    if (pair->data != nullptr) runtime_.FreeHost(pair->data);
  }
}

void IoSlots::Add(Pair& pair, BufferId id) const {
  pair.items.push_back({.id = id, .offset_bytes = pair.size_bytes});
  pair.size_bytes += AlignUp(profile_.buffers[Index(id)].size_bytes);
}

void IoSlots::Allocate(Pair& pair) {
  if (pair.size_bytes == 0) return;
  pair.data = static_cast<std::byte*>(runtime_.AllocateHost(2 * pair.size_bytes));
  for (auto& fence : pair.fences) fence = runtime_.MakeFence();
}

void IoSlots::Prepare(std::int64_t iteration) {
  if (inputs_.items.empty()) return;
  inputs_.FenceOf(iteration).Wait();
  for (const Item& item : inputs_.items) {
    const at::Tensor image = shapes_.MakeImage(item.id);
    options_.next_input(iteration, profile_.buffers[Index(item.id)], image);
    std::memcpy(inputs_.At(iteration, item), image.const_data_ptr(), image.nbytes());
  }
}

void IoSlots::Send(std::int64_t iteration, const std::function<void*(BufferId)>& place_of) {
  if (inputs_.items.empty()) return;
  for (const Item& item : inputs_.items) {
    runtime_.CopyInOrder(place_of(item.id), inputs_.At(iteration, item),
                         profile_.buffers[Index(item.id)].size_bytes);
  }
  inputs_.FenceOf(iteration).Record();
}

void IoSlots::Receive(std::int64_t iteration, const std::function<void*(BufferId)>& place_of) {
  if (outputs_.items.empty()) return;
  for (Item& item : outputs_.items) {
    void* const place = place_of(item.id);
    item.is_there = place != nullptr;
    if (!item.is_there) continue;
    runtime_.CopyInOrder(outputs_.At(iteration, item), place,
                         profile_.buffers[Index(item.id)].size_bytes);
  }
  outputs_.FenceOf(iteration).Record();
}

void IoSlots::Give(std::int64_t iteration) {
  if (outputs_.items.empty()) return;
  outputs_.FenceOf(iteration).Wait();
  for (const Item& item : outputs_.items) {
    if (!item.is_there) continue;
    const at::Tensor image = shapes_.MakeImage(item.id);
    std::memcpy(image.mutable_data_ptr(), outputs_.At(iteration, item), image.nbytes());
    options_.on_output(iteration, profile_.buffers[Index(item.id)],
                       shapes_.ValueIn(item.id, image));
  }
}

}  // namespace stint
