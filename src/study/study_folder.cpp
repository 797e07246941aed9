#include "dualscape/study/study_folder.hpp"

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <utility>

namespace dualscape::study {
namespace {

namespace fs = std::filesystem;

std::string owner_text() {
  std::array<char, 256> host{};
  ::gethostname(host.data(), host.size() - 1);
  std::string text = fmt::format("host {}, process {}", host.data(), ::getpid());
  for (const char* job : {"SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID"})
    if (const char* id = std::getenv(job)) text += fmt::format(", job {}", id);
  return text + fmt::format(", since {:%Y-%m-%d %H:%M:%S} UTC\n", fmt::gmtime(std::time(nullptr)));
}

/// The last line of a lock file.
std::string last_owner(const fs::path& file) {
  std::string text = read_file(file);
  if (text.ends_with('\n')) text.pop_back();
  return text.empty() ? "another process" : text.substr(text.rfind('\n') + 1);
}

}  // namespace

std::string_view name_of(RunState state) {
  constexpr std::array<std::string_view, 5> names = {"waiting", "running", "interrupted", "failed", "done"};
  return names[static_cast<std::size_t>(state)];
}

fs::path StudyFolder::run_name(Index run) {
  return fmt::format("runs/{:05}", run);
}

void StudyFolder::check(const std::string& deck_resolved_now, bool resume, bool force) const {
  if (force) return;
  if (fs::exists(path_ / "result.h5") || fs::exists(path_ / "status"))
    throw UsageError(
        fmt::format("directory '{}' holds a single run; choose another with --output", path_.string()));
  if (!fs::exists(deck_resolved())) return;
  if (!resume)
    throw UsageError(fmt::format(
        "directory '{}' holds a study: add --resume to keep it and do only what is missing, --force "
        "to start anew, or choose another with --output",
        path_.string()));
  if (const auto difference = difference_of_decks(read_file(deck_resolved()), deck_resolved_now))
    throw UsageError(fmt::format(
        "directory '{}' holds a study of a different deck, {}; resume with the same deck and --set, "
        "or use --force to start anew",
        path_.string(), *difference));
}

void StudyFolder::prepare(const std::string& deck_original_now, const std::string& deck_resolved_now,
                          bool force) const {
  std::error_code error;
  if (force) {
    fs::remove_all(runs(), error);
    fs::remove(collected(), error);
    fs::remove(log(), error);
  }
  fs::create_directories(runs(), error);
  if (error) throw ComputationError(fmt::format("cannot write '{}': {}", runs().string(), error.message()));
  // Parts that start at the same moment would write the same files under the same temporary names.
  const FileLock lock(collect_lock_file(), Wait::yes);
  if (force || !fs::exists(deck_original())) write_file(deck_original(), deck_original_now);
  if (force || !fs::exists(deck_resolved())) write_file(deck_resolved(), deck_resolved_now);
}

Plan StudyFolder::plan() const {
  if (!fs::exists(deck_resolved()))
    throw DataError(
        fmt::format("'{}' holds no study: there is no '{}'", path_.string(), deck_resolved().string()));
  return Plan(read_file(deck_resolved()), deck_resolved().string(), {});
}

StudyFolder::Standing StudyFolder::standing(Index run) const {
  const RunFolder folder = this->run(run);
  const auto status = folder.read_status();
  switch (status.progression) {
    case Progression::absent:
      return {RunState::waiting, ""};
    case Progression::done:
      return {RunState::done, ""};
    case Progression::failed:
      return {RunState::failed, status.message.empty() ? "no reason is known" : status.message};
    case Progression::interrupted:
      return {RunState::interrupted, status.message};
    case Progression::running:
      break;
  }
  if (FolderLock::is_held(folder.path())) return {RunState::running, ""};
  return {RunState::interrupted, "its process is gone"};
}

FileLock::FileLock(const fs::path& file, Wait wait)
    : descriptor_(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666)) {
  if (descriptor_ < 0)
    throw ComputationError(fmt::format("cannot write '{}': {}", file.string(), std::strerror(errno)));
  int result = -1;
  do result = ::flock(descriptor_, LOCK_EX | (wait == Wait::no ? LOCK_NB : 0));
  while (result != 0 && errno == EINTR);
  taken_ = result == 0 || errno != EWOULDBLOCK;
}

FileLock::~FileLock() {
  ::close(descriptor_);
}

StudyLock::StudyLock(const StudyFolder& folder, Share share) {
  std::error_code error;
  fs::create_directories(folder.path(), error);
  const fs::path file = folder.lock_file();
  descriptor_ = ::open(file.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (descriptor_ < 0)
    throw ComputationError(fmt::format("cannot write '{}': {}", file.string(), std::strerror(errno)));
  const bool alone = share == Share::alone;
  if (::flock(descriptor_, (alone ? LOCK_EX : LOCK_SH) | LOCK_NB) != 0) {
    holds_ = false;
    if (errno != EWOULDBLOCK) return;
    ::close(std::exchange(descriptor_, -1));
    throw UsageError(fmt::format("directory '{}' is in use: a study is at work in it ({})",
                                 folder.path().string(), last_owner(file)));
  }
  const std::string owner = owner_text();
  // Who has the folder is for people to read: a full disk may leave it out.
  if ((alone && ::ftruncate(descriptor_, 0) != 0) || ::write(descriptor_, owner.data(), owner.size()) < 0)
    return;
}

StudyLock::~StudyLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

StudyLock::StudyLock(StudyLock&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), holds_(other.holds_) {}

}  // namespace dualscape::study
