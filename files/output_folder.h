// Writes a folder so that whoever looks sees none or the whole: its files are made in a temporary
// folder beside it, which gets its name last. Refuses to know what the files mean.
#pragma once

#include <filesystem>

namespace stint {

class OutputFolder {
 public:
  /// Makes ".<name>.<process id>.tmp" beside `path`.
  /// @throws InputError naming `path` if there is something of that name, or no folder can be made
  /// there.
  explicit OutputFolder(const std::filesystem::path& path);
  /// Removes the temporary folder unless it was committed.
  ~OutputFolder();
  OutputFolder(const OutputFolder&) = delete;
  OutputFolder& operator=(const OutputFolder&) = delete;

  /// Where the files go until Commit.
  const std::filesystem::path& temporary() const { return temporary_; }

  /// Gives the folder its name. Files must be on the disk already, as OutputFile leaves them.
  /// @throws InputError naming the path if something has that name by now, or the disk refuses.
  void Commit();

 private:
  std::filesystem::path path_;
  std::filesystem::path temporary_;
  bool is_committed_ = false;
};

}  // namespace stint
