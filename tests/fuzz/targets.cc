#include "tests/fuzz/targets.h"

#include <map>
#include <utility>

#include "files/image.h"
#include "files/pickle.h"
#include "files/picture_folder.h"
#include "files/pth.h"
#include "files/safetensors.h"
#include "files/safetensors_index.h"
#include "files/zip.h"
#include "ir/errors.h"
#include "ir/file.h"
#include "ir/plan.h"
#include "ir/profile.h"
#include "tests/files/small_state.h"
#include "tests/support/safetensors_text.h"
#include "tests/support/temporary_folder.h"

namespace stint {
namespace {

std::string_view TextOf(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Looks at every byte, so that a sanitizer sees one that is not there.
unsigned Sum(std::span<const std::byte> bytes) {
  unsigned sum = 0;
  for (const std::byte byte : bytes) sum += std::to_integer<unsigned>(byte);
  return sum;
}

unsigned Sum(const PthValue& value) {
  unsigned sum = 0;
  if (const auto* tensor = std::get_if<TensorView>(&value.value)) sum += Sum(tensor->data);
  if (const auto* list = std::get_if<PthList>(&value.value)) {
    for (const PthValue& element : *list) sum += Sum(element);
  }
  if (const auto* tuple = std::get_if<PthTuple>(&value.value)) {
    for (const PthValue& element : tuple->elements) sum += Sum(element);
  }
  if (const auto* dict = std::get_if<PthDict>(&value.value)) {
    for (const PthItem& item : *dict) sum += Sum(item.value);
  }
  return sum;
}

volatile unsigned sink = 0;  // So that no reading is optimised away.

FuzzTarget Target(std::string name, std::vector<std::string> seeds,
                  std::function<unsigned(std::span<const std::byte>)> parse) {
  return {std::move(name), std::move(seeds), [parse = std::move(parse)](auto bytes) {
            try {
              sink = parse(bytes);
              return true;
            } catch (const InputError&) {
              return false;
            }
          }};
}

std::string SmallPth() {
  const TemporaryFolder folder;
  WriteTrainingState(folder / "s.pth", SmallState(1).state);
  return ReadText(folder / "s.pth");
}

std::string SmallPickle() {
  const SmallState small(1);
  return MakePickle({PthDict{
                        {{"a"}, {small.state.model[0].tensor}},
                        {{"b"}, {PthList{{1.5}, {std::int64_t{1} << 40}, {}}}},
                        {{"c"}, {PthTuple{{PthValue{true}, PthValue{std::int64_t{-3}}}}}},
                    }})
      .text;
}

/// The numbers of any small storage.
std::span<const std::byte> AnyStorage(const PickledStorage& storage) {
  static const std::vector<std::byte> numbers(1 << 12);
  if (storage.element_count > 256) throw InputError("pickle", "has no such storage");
  return std::span(numbers).first(
      static_cast<std::size_t>(ElementBytes(storage.dtype) * storage.element_count));
}

Image SmallImage() {
  Image image = {.width_px = 9, .height_px = 7};
  for (int i = 0; i < 9 * 7 * 3; ++i) image.rgb.push_back(static_cast<std::uint8_t>(7 * i));
  return image;
}

/// 8x8 pixels of grey, as libjpeg writes them.
std::string SmallJpeg() {
  std::string jpeg(
      "\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"
      "\xff\xdb\x00\x43\x00",
      25);
  jpeg += std::string(64, '\x10');
  jpeg += std::string("\xff\xc0\x00\x0b\x08\x00\x08\x00\x08\x01\x01\x11\x00", 13);
  for (const char* table : {"\x00", "\x10"}) {  // Huffman codes: one of two bits for "nothing".
    jpeg +=
        std::string("\xff\xc4\x00\x14", 4) + std::string(table, 1) + '\1' + std::string(16, '\0');
  }
  jpeg += std::string("\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00", 10) + "\x3f";
  return jpeg + "\xff\xd9";
}

std::string Source(const std::string& path) {
  return ReadText(std::string(STINT_SOURCE_DIR "/tests/golden/") + path);
}

std::vector<FuzzTarget> MakeTargets() {
  const std::string two_tensors =
      R"({"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
      R"("b":{"dtype":"I64","shape":[],"data_offsets":[8,16]}} )";
  return {
      Target("safetensors", {SafetensorsBytes(two_tensors, "01234567abcdefgh")},
             [](auto bytes) {
               unsigned sum = 0;
               for (const auto& [name, tensor] : ParseSafetensors(bytes, "f").tensors) {
                 sum += Sum(tensor.data);
               }
               return sum;
             }),
      Target("safetensors_index",
             {R"({"metadata": {"total_size": 9}, "weight_map": {"a": "x-1.safetensors"}})"},
             [](auto bytes) {
               return static_cast<unsigned>(ParseSafetensorsIndex(TextOf(bytes), "f").size());
             }),
      Target("pth", {SmallPth()},
             [](auto bytes) {
               const auto entries = ParseZip(bytes, "f");
               unsigned sum = 0;
               for (const auto& [name, entry] : entries) sum += HasChecksum(entry) ? 1 : 0;
               return sum + Sum(ParsePth(entries, "f"));
             }),
      Target("pickle", {SmallPickle()},
             [](auto bytes) { return Sum(ParsePickle(TextOf(bytes), AnyStorage, "f")); }),
      Target("image", {EncodePng(SmallImage(), {{"parameters", "x"}}), SmallJpeg()},
             [](auto bytes) {
               // Decoding takes time for what a header claims: keep fuzzers to small pictures.
               const ImageSize size = DecodeImageSize(bytes, "f");
               if (size.width_px * size.height_px > 1 << 16) return 0U;
               const Image image = DecodeImage(bytes, "f");
               return Sum(std::as_bytes(std::span(image.rgb)));
             }),
      Target("png_texts", {EncodePng(SmallImage(), {{"parameters", "x"}, {"Title", "\xc3\xb6"}})},
             [](auto bytes) { return static_cast<unsigned>(DecodePngTexts(bytes, "f").size()); }),
      Target("metadata_lines", {"{\"file_name\": \"a.png\", \"text\": \"x\"}\n\n"},
             [](auto bytes) {
               return static_cast<unsigned>(ParseMetadataLines(TextOf(bytes), "f").size());
             }),
      Target("profile", {Source("chain/profile.json"), Source("accumulation/profile.json")},
             [](auto bytes) {
               const Profile profile = ProfileFromJson(std::string(TextOf(bytes)), "f");
               return static_cast<unsigned>(profile.ops.size());
             }),
      Target("plan", {Source("chain/plan.json")},
             [](auto bytes) {
               const Plan plan = PlanFromJson(std::string(TextOf(bytes)), "f");
               return static_cast<unsigned>(plan.budget_bytes);
             }),
  };
}

}  // namespace

const std::vector<FuzzTarget>& FuzzTargets() {
  static const std::vector<FuzzTarget> targets = MakeTargets();
  return targets;
}

}  // namespace stint
