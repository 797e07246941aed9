#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace dualscape::study {

/// What checkpoints must have been made from, as a text that reads every sample: made where a checkpoint is
/// there or is to be written, which a quick run does without. Copies share it.
class Mark {
 public:
  explicit Mark(std::function<std::string()> make) : made_(std::make_shared<Made>(std::move(make))) {}

  /// @note Collective
  const std::string& text() const {
    if (!made_->text) made_->text = made_->make();
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
