#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <utility>

#include "dualscape/base/error.hpp"
#include "dualscape/h5/input.hpp"
#include "reader.hpp"

namespace dualscape::data {
namespace {

/// About this much of a file is read at once.
constexpr std::size_t window_bytes = 32 << 20;

Element element_of(const h5::InputFile& file, const std::string& dataset) {
  switch (file.element_type(dataset)) {
    case h5::ElementType::byte:
      return Element::byte;
    case h5::ElementType::integer:
      return Element::integer;
    case h5::ElementType::real:
      return Element::real;
    default:
      throw DataError(fmt::format("'{}' in '{}' does not hold numbers", dataset, file.path().string()));
  }
}

class Hdf5Reader : public Reader {
 public:
  Hdf5Reader(std::shared_ptr<const h5::InputFile> file, const std::string& group)
      : file_(std::move(file)), dataset_(group + "/x") {
    const std::string labels_dataset = group + "/y";
    const std::string in = fmt::format(" in '{}'", file_->path().string());
    samples_name = fmt::format("'{}'{}", dataset_, in);
    labels_name = fmt::format("'{}'{}", labels_dataset, in);
    element = element_of(*file_, dataset_);
    const auto shape = file_->shape(dataset_);
    if (shape.size() < 2)
      throw DataError(
          fmt::format("{} has {} dimension; expected samples x values", samples_name, shape.size()));
    count_ = shape[0];
    sample_shape.assign(shape.begin() + 1, shape.end());
    if (count_ == 0 || features() == 0)
      throw DataError(fmt::format("{} holds no samples: its shape is {}", samples_name, shape_text(shape)));
    const auto labels_shape = file_->shape(labels_dataset);
    if (labels_shape.size() != 1)
      throw DataError(
          fmt::format("{} has {} dimensions; expected one label a sample", labels_name, labels_shape.size()));
    if (labels_shape[0] != count_)
      throw DataError(fmt::format("{} holds {} samples, but {} holds {} labels", samples_name, count_,
                                  labels_name, labels_shape[0]));
    labels = file_->read_integers(labels_dataset);
  }

  void read(std::span<const Index> positions, Rows& rows) override {
    for (std::size_t i = 0; i < positions.size(); ++i) {
      move_window_to(positions[i]);
      std::ranges::copy(std::as_const(window_).row(positions[i] - window_first_),
                        rows.row(static_cast<Index>(i)).begin());
      if (element == Element::real) check_finite(rows, static_cast<Index>(i), positions[i]);
    }
  }

 private:
  /// Makes sure that the window holds the sample: a file is read in large pieces, front to back.
  void move_window_to(Index position) {
    if (position >= window_first_ && position < window_first_ + window_.count()) return;
    const std::size_t row_bytes = Rows(0, features(), element).row_bytes();
    const Index step = std::max<Index>(1, static_cast<Index>(window_bytes / row_bytes));
    window_first_ = position;
    window_ = Rows(std::min(step, count_ - position), features(), element);
    const auto size = static_cast<std::size_t>(window_.count() * features());
    if (element == Element::byte)
      file_->read_rows(dataset_, window_first_, window_.count(),
                       std::span(reinterpret_cast<std::uint8_t*>(window_.data()), size));
    else
      file_->read_rows(dataset_, window_first_, window_.count(),
                       std::span(reinterpret_cast<double*>(window_.data()), size));
  }

  void check_finite(const Rows& rows, Index row, Index position) const {
    const std::span values(reinterpret_cast<const double*>(rows.row(row).data()),
                           static_cast<std::size_t>(features()));
    const auto bad = std::ranges::find_if(values, [](double value) { return !std::isfinite(value); });
    if (bad != values.end())
      throw DataError(
          fmt::format("{}: value {} of sample {} is {}", samples_name, bad - values.begin(), position, *bad));
  }

  std::shared_ptr<const h5::InputFile> file_;
  std::string dataset_;
  Index count_ = 0;
  Rows window_;
  Index window_first_ = 0;
};

}  // namespace

Readers open_hdf5(const std::filesystem::path& path) {
  const auto file = std::make_shared<const h5::InputFile>(path);
  return {std::make_unique<Hdf5Reader>(file, "data/train"), std::make_unique<Hdf5Reader>(file, "data/test"),
          fmt::format("HDF5 file {}", path.string())};
}

}  // namespace dualscape::data
