#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace dualscape::study {

/// A fingerprint of what checkpoints are made from. Making it reads every sample, so it is made only when a
/// checkpoint is there or is written, and once for all copies of a mark.
class Mark {
 public:
  explicit Mark(std::function<std::string()> make) : made_(std::make_shared<Made>(std::move(make))) {}

  /// @note Collective
  const std::string& text() const {
    if (!made_->text) {
      made_->text = made_->make();
      made_->make = nullptr;  // and what it holds
    }
    return *made_->text;
  }

 private:
  struct Made {
    explicit Made(std::function<std::string()> from) : make(std::move(from)) {}
    std::function<std::string()> make;
    std::optional<std::string> text;
  };
  std::shared_ptr<Made> made_;
};

}  // namespace dualscape::study
