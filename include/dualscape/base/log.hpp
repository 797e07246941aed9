#pragma once

#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace dualscape {

/// What a run says: to the screen and, once opened, to a log file. Only rank 0 speaks; on other ranks every
/// call does nothing. Lines in the file carry date and time.
class Log {
 public:
  /// Where it speaks before a file is opened.
  enum class To { screen, nowhere };

  /// `speaks`: whether this rank is the one that prints.
  explicit Log(bool speaks, To to = To::screen);
  ~Log();
  Log(Log&&) noexcept;
  Log& operator=(Log&&) noexcept;

  /// Adds a log file; appends to an existing one. Throws ComputationError when it cannot be written.
  void open_file(const std::filesystem::path& path);

  template <class... Args>
  void info(fmt::format_string<Args...> format, Args&&... args) {
    if (speaks_) write_info(fmt::format(format, std::forward<Args>(args)...));
  }
  template <class... Args>
  void warning(fmt::format_string<Args...> format, Args&&... args) {
    if (speaks_) write_warning(fmt::format(format, std::forward<Args>(args)...));
  }
  /// An error message: to standard error and to the file.
  void error(std::string_view message);
  /// Only to the file: what would clutter a screen that shows a bar.
  void detail(std::string_view message);

  bool speaks() const { return speaks_; }
  bool on_screen() const { return speaks_ && screen_; }

 private:
  void write_info(const std::string& message);
  void write_warning(const std::string& message);

  struct Sinks;
  bool speaks_;
  bool screen_;
  std::unique_ptr<Sinks> sinks_;
};

}  // namespace dualscape
