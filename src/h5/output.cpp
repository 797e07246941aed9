#include "dualscape/h5/output.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <utility>

#include "dualscape/base/error.hpp"
#include "native.hpp"
#include "part_file.hpp"

namespace dualscape::h5 {
namespace {

/// Entries of a block of rows: 16 MiB.
constexpr Index block_entries = Index{1} << 21;

const format::Entry& known(const format::Entry* entry, const std::string& name) {
  if (entry == nullptr) throw std::logic_error("not in the format table: " + name);
  return *entry;
}

void check_against(const format::Entry& entry, format::Type type, std::size_t rank, const std::string& name) {
  const bool flag = entry.type == format::Type::flag && type == format::Type::byte;
  const bool any = entry.type == format::Type::any && type != format::Type::byte;
  if (entry.type != type && !flag && !any)
    throw std::logic_error("not of the type in the format table: " + name);
  if (format::rank_of(entry) != static_cast<int>(rank))
    throw std::logic_error("not of the shape in the format table: " + name);
}

/// The format table's type of an attribute's value and its number of dimensions.
std::pair<format::Type, std::size_t> kind_of(const Attribute& value) {
  using enum format::Type;
  constexpr std::array<std::pair<format::Type, std::size_t>, 6> kinds = {
      {{real, 0}, {integer, 0}, {flag, 0}, {text, 0}, {integer, 1}, {text, 1}}};
  return kinds[value.index()];
}

/// Text of a fixed width: all of a dataset's space is then known when it is created.
Handle fixed_text_type(std::size_t width) {
  Handle type(Kind::datatype, H5Tcopy(H5T_C_S1));
  H5Tset_size(type.get(), width);
  H5Tset_strpad(type.get(), H5T_STR_NULLPAD);
  H5Tset_cset(type.get(), H5T_CSET_UTF8);
  return type;
}

Handle stored_type(format::Type type, std::size_t element_size) {
  switch (type) {
    case format::Type::real:
      return Handle(Kind::datatype, H5Tcopy(H5T_NATIVE_DOUBLE));
    case format::Type::integer:
      return Handle(Kind::datatype, H5Tcopy(H5T_NATIVE_INT64));
    case format::Type::text:
      return fixed_text_type(element_size);
    default:
      return Handle(Kind::datatype, H5Tcopy(H5T_NATIVE_UINT8));
  }
}

Index product(const std::vector<Index>& shape) {
  return std::accumulate(shape.begin(), shape.end(), Index{1}, std::multiplies<>());
}

std::size_t size_of(const Attribute& value) {
  if (const auto* one = std::get_if<std::string>(&value)) return one->size();
  if (const auto* integers = std::get_if<std::vector<Index>>(&value)) return integers->size() * sizeof(Index);
  std::size_t size = sizeof(double);
  if (const auto* texts = std::get_if<std::vector<std::string>>(&value))
    for (const auto& text : *texts) size += text.size() + 32;
  return size;
}

}  // namespace

/// The file with its groups, datasets and attributes, but no values: their space is laid out without being
/// touched. HDF5 has closed the file before the first value is written, so that it never sees a write fail.
class OutputFile::Frame {
 public:
  Frame(const std::filesystem::path& part, std::string failure) : failure_(std::move(failure)) {
    const Handle access = file_access();
    file_ = own<ComputationError>(
        Kind::file, H5Fcreate(part.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access.get()), failure_);
    links_ = Handle(Kind::property_list, H5Pcreate(H5P_LINK_CREATE));
    H5Pset_create_intermediate_group(links_.get(), 1);
    creation_ = Handle(Kind::property_list, H5Pcreate(H5P_DATASET_CREATE));
    H5Pset_alloc_time(creation_.get(), H5D_ALLOC_TIME_EARLY);
    H5Pset_fill_time(creation_.get(), H5D_FILL_TIME_NEVER);
    // The same contents give the same bytes.
    H5Pset_obj_track_times(creation_.get(), false);
  }
  ~Frame() { file_.abandon(); }
  Frame(const Frame&) = delete;
  Frame& operator=(const Frame&) = delete;

  /// Creates the dataset and notes where its values go.
  void add(Dataset& dataset) {
    const Handle type = stored_type(dataset.type, dataset.element_size);
    const std::vector<hsize_t> sizes(dataset.shape.begin(), dataset.shape.end());
    const Handle space(Kind::dataspace,
                       H5Screate_simple(static_cast<int>(sizes.size()), sizes.data(), nullptr));
    const std::string what = fmt::format("{}: dataset '{}'", failure_, dataset.path);
    const Handle created =
        own<ComputationError>(Kind::dataset,
                              H5Dcreate2(file_.get(), dataset.path.c_str(), type.get(), space.get(),
                                         links_.get(), creation_.get(), H5P_DEFAULT),
                              what);
    write(created.get(), "units", std::string(dataset.entry->units));
    write(created.get(), "description", std::string(dataset.entry->description));
    if (dataset.bytes() == 0) return;
    const haddr_t offset = H5Dget_offset(created.get());
    if (offset == HADDR_UNDEF) throw ComputationError(what + " was given no space");
    dataset.offset = static_cast<Index>(offset);
  }

  void add(const NamedAttribute& attribute) {
    const char* object = attribute.object.c_str();
    const std::string what = fmt::format("{}: '{}'", failure_, attribute.object);
    const bool there = attribute.object == "/" || exists(attribute.object);
    const Handle holder =
        there
            ? own<ComputationError>(Kind::object, H5Oopen(file_.get(), object, H5P_DEFAULT), what)
            : own<ComputationError>(
                  Kind::group, H5Gcreate2(file_.get(), object, links_.get(), H5P_DEFAULT, H5P_DEFAULT), what);
    std::visit([&](const auto& value) { write(holder.get(), attribute.name, value); }, attribute.value);
  }

  void close() {
    check<ComputationError>(H5Fflush(file_.get(), H5F_SCOPE_GLOBAL), failure_);
    if (!file_.close()) throw ComputationError(failure_ + ": " + innermost_error());
  }

 private:
  bool exists(const std::string& path) const {
    for (std::size_t slash = path.find('/');; slash = path.find('/', slash + 1)) {
      if (H5Lexists(file_.get(), path.substr(0, slash).c_str(), H5P_DEFAULT) <= 0) return false;
      if (slash == std::string::npos) return true;
    }
  }

  void write(hid_t holder, const std::string& name, double value) {
    write_attribute(holder, name, H5T_NATIVE_DOUBLE, nullptr, &value);
  }
  void write(hid_t holder, const std::string& name, Index value) {
    write_attribute(holder, name, H5T_NATIVE_INT64, nullptr, &value);
  }
  void write(hid_t holder, const std::string& name, bool value) {
    const std::uint8_t flag = value ? 1 : 0;
    write_attribute(holder, name, H5T_NATIVE_UINT8, nullptr, &flag);
  }
  void write(hid_t holder, const std::string& name, const std::string& value) {
    const Handle type = text_type();
    const char* text = value.c_str();
    write_attribute(holder, name, type.get(), nullptr, &text);
  }
  void write(hid_t holder, const std::string& name, const std::vector<Index>& values) {
    const hsize_t size = values.size();
    write_attribute(holder, name, H5T_NATIVE_INT64, &size, values.data());
  }
  void write(hid_t holder, const std::string& name, const std::vector<std::string>& values) {
    const Handle type = text_type();
    const hsize_t size = values.size();
    std::vector<const char*> texts;
    for (const auto& value : values) texts.push_back(value.c_str());
    write_attribute(holder, name, type.get(), &size, texts.data());
  }

  /// `size`: number of values, nullptr for a single one.
  void write_attribute(hid_t holder, const std::string& name, hid_t type, const hsize_t* size,
                       const void* value) {
    const std::string what = fmt::format("{}: attribute '{}'", failure_, name);
    const Handle space(Kind::dataspace,
                       size == nullptr ? H5Screate(H5S_SCALAR) : H5Screate_simple(1, size, nullptr));
    const Handle attribute = own<ComputationError>(
        Kind::attribute, H5Acreate2(holder, name.c_str(), type, space.get(), H5P_DEFAULT, H5P_DEFAULT), what);
    if (size == nullptr || *size > 0) check<ComputationError>(H5Awrite(attribute.get(), type, value), what);
  }

  std::string failure_;
  Handle file_;
  Handle links_;
  Handle creation_;
};

Index OutputFile::Dataset::bytes() const {
  return product(shape) * static_cast<Index>(element_size);
}

OutputFile::OutputFile(const Comm& comm, std::filesystem::path path, std::string_view filetype,
                       std::array<Index, 2> version)
    : comm_(comm), path_(std::move(path)) {
  attribute("/", "filetype", std::string(filetype));
  attribute("/", "version", std::vector<Index>(version.begin(), version.end()));
}

OutputFile::Dataset& OutputFile::add_dataset(const std::string& path, format::Type type,
                                             std::vector<Index> shape, std::size_t element_size) {
  const format::Entry& entry = known(format::find(path), path);
  check_against(entry, type, shape.size(), path);
  if (std::ranges::find(datasets_, path, &Dataset::path) != datasets_.end())
    throw std::logic_error("added twice: " + path);
  return datasets_.emplace_back(Dataset{path, &entry, type, std::move(shape), element_size, {}, {}});
}

void OutputFile::add_values(const std::string& path, format::Type type, std::vector<Index> shape,
                            std::size_t element_size, std::span<const std::byte> values) {
  Dataset& dataset = add_dataset(path, type, std::move(shape), element_size);
  if (comm_.is_root()) dataset.values.assign(values.begin(), values.end());
}

void OutputFile::add(const std::string& path, std::span<const double> values, std::vector<Index> shape) {
  add_values(path, format::Type::real, std::move(shape), sizeof(double), std::as_bytes(values));
}

void OutputFile::add(const std::string& path, std::span<const std::int64_t> values,
                     std::vector<Index> shape) {
  add_values(path, format::Type::integer, std::move(shape), sizeof(std::int64_t), std::as_bytes(values));
}

void OutputFile::add(const std::string& path, std::span<const std::int32_t> values,
                     std::vector<Index> shape) {
  const std::vector<std::int64_t> wide(values.begin(), values.end());
  add(path, std::span<const std::int64_t>(wide), std::move(shape));
}

void OutputFile::add(const std::string& path, std::span<const std::uint8_t> values,
                     std::vector<Index> shape) {
  add_values(path, format::Type::byte, std::move(shape), sizeof(std::uint8_t), std::as_bytes(values));
}

void OutputFile::add(const std::string& path, std::span<const std::string> values, std::vector<Index> shape) {
  std::size_t width = 1;
  for (const auto& value : values) width = std::max(width, value.size());
  std::string padded;
  for (const auto& value : values) padded += value + std::string(width - value.size(), '\0');
  add_values(path, format::Type::text, std::move(shape), width, std::as_bytes(std::span(padded)));
}

void OutputFile::add(const std::string& path, std::string_view text) {
  const std::string value(text);
  add(path, std::span<const std::string>(&value, 1), {});
}

void OutputFile::add_rows(const std::string& path, Index rows, Index cols, RowProvider provider) {
  add_dataset(path, format::Type::real, {rows, cols}, sizeof(double)).provider = std::move(provider);
}

void OutputFile::attribute(const std::string& object, const std::string& name, Attribute value) {
  const std::string full_name = object + "@" + name;
  const auto [type, rank] = kind_of(value);
  check_against(known(format::find_attribute(object, name), full_name), type, rank, full_name);
  attributes_.push_back({object, name, std::move(value)});
}

void OutputFile::check_sizes() const {
  for (const Dataset& dataset : datasets_)
    if (!dataset.provider && static_cast<Index>(dataset.values.size()) != dataset.bytes())
      throw std::logic_error("number of values and shape differ: " + dataset.path);
}

Index OutputFile::size_estimate() const {
  // Headers of a dataset, its two attributes and its group's entry: below 4 KiB; the rest of the file: below
  // 1 MiB.
  Index size = Index{1} << 20;
  for (const Dataset& dataset : datasets_) size += dataset.bytes() + 4096;
  for (const NamedAttribute& attribute : attributes_)
    size += static_cast<Index>(size_of(attribute.value)) + 4096;
  return size;
}

void OutputFile::commit(Durability durability, bool sealed) {
  const std::string failure = fmt::format("cannot write '{}'", path_.string());
  std::unique_ptr<PartFile> part;
  on_root(comm_, [&] {
    check_sizes();
    part = std::make_unique<PartFile>(path_);
    part->reserve(size_estimate());
    Frame frame(part->name(), failure);
    for (Dataset& dataset : datasets_) frame.add(dataset);
    for (const NamedAttribute& attribute : attributes_) frame.add(attribute);
    frame.close();
    part->reserve_all();
    for (const Dataset& dataset : datasets_) part->write_at(dataset.offset, dataset.values);
  });
  for (const Dataset& dataset : datasets_)
    if (dataset.provider) write_rows(dataset, part.get());
  on_root(comm_, [&] {
    if (sealed) part->seal();
    part->finish(durability);
  });
}

void OutputFile::write_rows(const Dataset& dataset, PartFile* part) const {
  const Index rows = dataset.shape[0];
  const Index cols = dataset.shape[1];
  const Index step = std::max<Index>(1, block_entries / std::max<Index>(1, cols));
  for (Index first = 0; first < rows; first += step) {
    const Index count = std::min(step, rows - first);
    Matrix<double> block(comm_.is_root() ? count : 0, cols);
    dataset.provider(first, count, block);
    on_root(comm_, [&] {
      part->write_at(dataset.offset + first * cols * static_cast<Index>(sizeof(double)),
                     std::as_bytes(std::as_const(block).entries()));
    });
  }
}

}  // namespace dualscape::h5
