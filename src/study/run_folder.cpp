#include "dualscape/study/run_folder.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fstream>
#include <iterator>
#include <sstream>
#include <thread>
#include <utility>

#include "dualscape/h5/format.hpp"
#include "dualscape/h5/input.hpp"
#include "dualscape/h5/seal.hpp"

namespace dualscape::study {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::pair<Progression, std::string_view>, 4> words = {{
    {Progression::running, "running"},
    {Progression::done, "done"},
    {Progression::interrupted, "interrupted"},
    {Progression::failed, "failed"},
}};

[[noreturn]] void fail(const fs::path& path, const std::string& reason) {
  throw ComputationError(fmt::format("cannot write '{}': {}", path.string(), reason));
}

/// The first line in which two texts differ, for a message.
std::string first_difference(const std::string& before, const std::string& now) {
  std::istringstream left(before), right(now);
  std::string a, b;
  for (int line = 1;; ++line) {
    const bool more_left = static_cast<bool>(std::getline(left, a));
    const bool more_right = static_cast<bool>(std::getline(right, b));
    if (!more_left) a = "(end)";
    if (!more_right) b = "(end)";
    if (a != b || !(more_left && more_right))
      return fmt::format("line {}: it had '{}', now '{}'", line, a, b);
  }
}

/// Without what may change between a run and its resumption.
std::string comparable(const std::string& deck) {
  std::istringstream lines(deck);
  std::string kept, line;
  while (std::getline(lines, line)) {
    for (const std::string key : {"directory", "ranks_per_run"})
      if (line.starts_with(key + " =")) line = key;
    kept += line + "\n";
  }
  return kept;
}

/// Removes a file and what a killed run left of its successor.
void remove_whole(const fs::path& file) {
  std::error_code ignored;
  fs::remove(file, ignored);
  fs::remove(file.string() + ".part", ignored);
}

}  // namespace

std::optional<std::string> difference_of_decks(const std::string& before, const std::string& now) {
  const std::string a = comparable(before), b = comparable(now);
  return a == b ? std::nullopt : std::optional(first_difference(a, b));
}

void write_file(const fs::path& path, const std::string& text, Durability durability) {
  const fs::path part = path.string() + ".part";
  const int file = ::open(part.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (file < 0) fail(path, std::strerror(errno));
  std::size_t written = 0;
  int error = 0;
  while (written < text.size() && error == 0) {
    const ssize_t n = ::write(file, text.data() + written, text.size() - written);
    if (n > 0)
      written += static_cast<std::size_t>(n);
    else if (errno != EINTR)
      error = errno;
  }
  if (error == 0 && durability == Durability::flushed && ::fsync(file) != 0) error = errno;
  ::close(file);
  if (error == 0 && ::rename(part.c_str(), path.c_str()) != 0) error = errno;
  if (error != 0) {
    ::unlink(part.c_str());
    fail(path, std::strerror(error));
  }
}

std::string read_file(const fs::path& path) {
  std::string text;
  try {
    std::ifstream file;
    file.exceptions(std::ios::badbit | std::ios::failbit);
    file.open(path, std::ios::binary);
    text.assign(std::istreambuf_iterator<char>(file), {});
  } catch (const std::ios_base::failure&) {
    throw DataError(fmt::format("cannot read '{}': {}", path.string(), std::strerror(errno)));
  }
  return text;
}

RunFolder::Status RunFolder::read_status() const {
  const bool has_result = fs::exists(result());
  if (!fs::exists(status())) return {has_result ? Progression::done : Progression::absent, ""};
  std::string text = read_file(status());
  if (text.ends_with('\n')) text.pop_back();
  for (const auto& [value, word] : words) {
    if (!text.starts_with(word)) continue;
    if (value == Progression::done && !has_result) return {Progression::interrupted, "its result is gone"};
    return {value, text.size() > word.size() + 2 ? text.substr(word.size() + 2) : ""};
  }
  // A power cut may leave a file that was written last empty.
  return {text.empty() ? Progression::interrupted : Progression::failed, text};
}

std::optional<std::string> RunFolder::damage_of_result() const {
  try {
    h5::InputFile(result()).expect_filetype(h5::format::result_filetype, h5::format::version[0]);
    // Results have not always had a seal, and lose it when another program adds to them.
    if (h5::is_sealed(result())) h5::require_intact(result());
  } catch (const DataError& damage) {
    return damage.what();
  }
  return std::nullopt;
}

void RunFolder::check(const std::string& deck_resolved_now, bool resume, bool force) const {
  const Progression before = progression();
  if (before == Progression::absent || force) return;
  const std::string what = before == Progression::done ? "a finished result" : "an unfinished run";
  if (!resume)
    throw UsageError(
        fmt::format("directory '{}' holds {}: add --resume to keep it and do only what is missing, --force "
                    "to start anew, or choose another with --output",
                    path_.string(), what));
  if (const auto difference = difference_of_decks(read_file(deck_resolved()), deck_resolved_now))
    throw UsageError(
        fmt::format("directory '{}' holds {} of a different deck, {}; resume with the same deck and --set, "
                    "or use --force to start anew",
                    path_.string(), what, *difference));
}

FolderLock::FolderLock(const fs::path& folder)
    : descriptor_(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
  // is_held() may have it for a moment.
  for (int attempt = 0; attempt < 5; ++attempt) {
    if (descriptor_ < 0 || ::flock(descriptor_, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  ::close(descriptor_);
  throw UsageError(fmt::format("directory '{}' is in use: another run is at work in it", folder.string()));
}

bool FolderLock::is_held(const fs::path& folder) {
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return false;
  const bool held = ::flock(descriptor, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  ::close(descriptor);
  return held;
}

FolderLock::~FolderLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

FolderLock::FolderLock(FolderLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}

FolderLock RunFolder::lock() const {
  std::error_code error;
  fs::create_directories(path_, error);
  if (error) fail(path_, error.message());
  return FolderLock(path_);
}

void RunFolder::prepare(const std::string& deck_original_now, const std::string& deck_resolved_now,
                        bool force, Durability durability) const {
  if (force) {
    // The status goes last: a folder is never taken for a finished one that it no longer is.
    remove_checkpoints();
    for (const fs::path& old : {result(), log(), status()}) remove_whole(old);
  }
  write_file(deck_original(), deck_original_now, durability);
  write_file(deck_resolved(), deck_resolved_now, durability);
}

void RunFolder::set_status(Progression progression, const std::string& message, Durability durability) const {
  for (const auto& [value, word] : words)
    if (value == progression)
      write_file(status(), fmt::format("{}{}{}\n", word, message.empty() ? "" : ": ", message), durability);
}

void RunFolder::remove_solve_checkpoint() const {
  remove_whole(solve_checkpoint());
}

void RunFolder::remove_pass_checkpoint() const {
  remove_whole(pass_checkpoint());
}

void RunFolder::remove_checkpoints() const {
  remove_solve_checkpoint();
  remove_pass_checkpoint();
  remove_whole(training_checkpoint());
  remove_whole(spectrum_checkpoint());
  remove_whole(summary_checkpoint());
  std::error_code ignored;
  std::vector<fs::path> layers;
  for (fs::directory_iterator file(path_, ignored), end; !ignored && file != end; file.increment(ignored))
    if (file->path().filename().string().starts_with(duality_prefix)) layers.push_back(file->path());
  for (const fs::path& file : layers) fs::remove(file, ignored);
}

}  // namespace dualscape::study
