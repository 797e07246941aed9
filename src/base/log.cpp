#include "dualscape/base/log.hpp"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/spdlog.h>

#include <cstdio>

#include "dualscape/base/error.hpp"

namespace dualscape {

struct Log::Sinks {
  std::shared_ptr<spdlog::logger> file;

  void to_file(spdlog::level::level_enum level, std::string_view message) {
    if (!file) return;
    file->log(level, message);
    file->flush();
  }
};

Log::Log(bool speaks, To to)
    : speaks_(speaks), screen_(to == To::screen), sinks_(std::make_unique<Sinks>()) {}
Log::~Log() = default;
Log::Log(Log&&) noexcept = default;
Log& Log::operator=(Log&&) noexcept = default;

void Log::open_file(const std::filesystem::path& path) {
  if (!speaks_) return;
  try {
    auto sink = std::make_shared<spdlog::sinks::basic_file_sink_st>(path.string());
    sinks_->file = std::make_shared<spdlog::logger>("dualscape", std::move(sink));
    sinks_->file->set_pattern("%Y-%m-%d %H:%M:%S  %-7l  %v");
    // A log that cannot be written any more, on a full disk for one, must not end the run.
    sinks_->file->set_error_handler([](const std::string&) {});
  } catch (const spdlog::spdlog_ex& error) {
    throw ComputationError(fmt::format("cannot write the log '{}': {}", path.string(), error.what()));
  }
}

void Log::write_info(const std::string& message) {
  if (screen_) {
    std::fprintf(stdout, "%s\n", message.c_str());
    std::fflush(stdout);
  }
  sinks_->to_file(spdlog::level::info, message);
}

void Log::write_warning(const std::string& message) {
  if (screen_) std::fprintf(stderr, "warning: %s\n", message.c_str());
  sinks_->to_file(spdlog::level::warn, message);
}

void Log::error(std::string_view message) {
  if (!speaks_) return;
  if (screen_) std::fprintf(stderr, "dualscape: %.*s\n", static_cast<int>(message.size()), message.data());
  sinks_->to_file(spdlog::level::err, message);
}

void Log::detail(std::string_view message) {
  if (speaks_) sinks_->to_file(spdlog::level::info, message);
}

}  // namespace dualscape
