#include "dualscape/h5/input.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <fstream>
#include <functional>
#include <numeric>

#include "dualscape/base/error.hpp"
#include "native.hpp"

namespace dualscape::h5 {
namespace {

Index product(std::span<const Index> sizes) {
  return std::accumulate(sizes.begin(), sizes.end(), Index{1}, std::multiplies<>());
}

std::vector<Index> sizes_of(hid_t space) {
  std::vector<hsize_t> sizes(static_cast<std::size_t>(std::max(0, H5Sget_simple_extent_ndims(space))));
  H5Sget_simple_extent_dims(space, sizes.data(), nullptr);
  return {sizes.begin(), sizes.end()};
}

std::string shape_text(std::span<const Index> shape) {
  if (shape.empty()) return "a single value";
  std::vector<std::string> sizes;
  for (const Index size : shape) sizes.push_back(size == any_size ? "any" : std::to_string(size));
  return fmt::format("{}", fmt::join(sizes, " x "));
}

ElementType classify(hid_t type) {
  switch (H5Tget_class(type)) {
    case H5T_INTEGER:
      return H5Tget_size(type) == 1 && H5Tget_sign(type) == H5T_SGN_NONE ? ElementType::byte
                                                                         : ElementType::integer;
    case H5T_FLOAT:
      return ElementType::real;
    case H5T_STRING:
      return ElementType::text;
    default:
      return ElementType::other;
  }
}

bool is_number(ElementType type) {
  return type == ElementType::byte || type == ElementType::integer || type == ElementType::real;
}

/// Texts of an attribute or dataset, through its own reading function.
std::vector<std::string> texts_of(hid_t type, hid_t space, const std::function<herr_t(hid_t, void*)>& read,
                                  const std::string& what) {
  const auto count = static_cast<std::size_t>(H5Sget_simple_extent_npoints(space));
  std::vector<std::string> texts(count);
  if (count == 0) return texts;
  if (H5Tis_variable_str(type) > 0) {
    const Handle memory = text_type();
    H5Tset_cset(memory.get(), H5Tget_cset(type));
    std::vector<char*> pointers(count, nullptr);
    check<DataError>(read(memory.get(), pointers.data()), what);
    for (std::size_t i = 0; i < count; ++i)
      if (pointers[i] != nullptr) texts[i] = pointers[i];
    H5Dvlen_reclaim(memory.get(), space, H5P_DEFAULT, pointers.data());
  } else {
    const std::size_t width = H5Tget_size(type);
    std::vector<char> characters(count * width);
    check<DataError>(read(type, characters.data()), what);
    for (std::size_t i = 0; i < count; ++i) {
      const char* text = characters.data() + i * width;
      texts[i].assign(text, strnlen(text, width));
    }
  }
  return texts;
}

}  // namespace

InputFile::InputFile(std::filesystem::path path) : path_(std::move(path)) {
  errno = 0;
  if (!std::ifstream(path_))
    throw DataError(fmt::format("cannot open '{}': {}", path_.string(), std::strerror(errno)));
  const Handle access = file_access();
  if (std::filesystem::is_directory(path_) || H5Fis_hdf5(path_.c_str()) <= 0)
    throw DataError(fmt::format("'{}' is not an HDF5 file", path_.string()));
  file_ = own<DataError>(Kind::file, H5Fopen(path_.c_str(), H5F_ACC_RDONLY, access.get()),
                         fmt::format("cannot read '{}' as an HDF5 file", path_.string()));
}

bool InputFile::exists(const std::string& object) const {
  if (object == "/") return true;
  // HDF5 asks that every group on the way exists before it looks for the last name.
  for (std::size_t slash = object.find('/', 1);; slash = object.find('/', slash + 1)) {
    const std::string part = object.substr(0, slash);
    if (H5Lexists(file_.get(), part.c_str(), H5P_DEFAULT) <= 0) return false;
    if (H5Oexists_by_name(file_.get(), part.c_str(), H5P_DEFAULT) <= 0) return false;
    if (slash == std::string::npos) return true;
  }
}

bool InputFile::has_attribute(const std::string& object, const std::string& name) const {
  return exists(object) && H5Aexists_by_name(file_.get(), object.c_str(), name.c_str(), H5P_DEFAULT) > 0;
}

std::vector<std::string> InputFile::children(const std::string& group) const {
  if (!exists(group)) throw DataError(absent(group, "group"));
  const hid_t id = H5Gopen2(file_.get(), group.c_str(), H5P_DEFAULT);
  if (id < 0) throw DataError(fmt::format("'{}' in '{}' is not a group", group, path_.string()));
  const Handle opened(Kind::group, id);
  std::vector<std::string> names;
  const auto collect = [](hid_t, const char* name, const H5L_info_t*, void* list) -> herr_t {
    static_cast<std::vector<std::string>*>(list)->emplace_back(name);
    return 0;
  };
  check<DataError>(H5Literate(opened.get(), H5_INDEX_NAME, H5_ITER_INC, nullptr, collect, &names),
                   fmt::format("cannot list '{}' in '{}'", group, path_.string()));
  return names;
}

std::vector<InputFile::Member> InputFile::members(const std::string& group) const {
  if (!exists(group)) throw DataError(absent(group, "group"));
  struct Visit {
    const std::string& group;
    std::vector<Member> found;
  } visit{group, {}};
  const auto note = [](hid_t, const char* name, const H5O_info_t* info, void* to) -> herr_t {
    auto& list = *static_cast<Visit*>(to);
    const bool self = std::strcmp(name, ".") == 0;
    list.found.push_back({self ? list.group : list.group + "/" + name, info->type == H5O_TYPE_GROUP});
    return 0;
  };
  check<DataError>(H5Ovisit_by_name2(file_.get(), group.c_str(), H5_INDEX_NAME, H5_ITER_INC, note, &visit,
                                     H5O_INFO_BASIC, H5P_DEFAULT),
                   fmt::format("cannot list '{}' in '{}'", group, path_.string()));
  return std::move(visit.found);
}

std::vector<std::pair<std::string, double>> InputFile::scalar_attributes(const std::string& object) const {
  const Handle holder = own<DataError>(Kind::object, H5Oopen(file_.get(), object.c_str(), H5P_DEFAULT),
                                       fmt::format("cannot read '{}' in '{}'", object, path_.string()));
  std::vector<std::pair<std::string, double>> found;
  const auto take = [](hid_t from, const char* name, const H5A_info_t*, void* to) -> herr_t {
    const Handle attribute(Kind::attribute, H5Aopen(from, name, H5P_DEFAULT));
    const Handle type(Kind::datatype, H5Aget_type(attribute.get()));
    const Handle space(Kind::dataspace, H5Aget_space(attribute.get()));
    if (!is_number(classify(type.get())) || H5Sget_simple_extent_type(space.get()) != H5S_SCALAR) return 0;
    double value = 0;
    if (H5Aread(attribute.get(), H5T_NATIVE_DOUBLE, &value) < 0) return -1;
    static_cast<std::vector<std::pair<std::string, double>>*>(to)->emplace_back(name, value);
    return 0;
  };
  check<DataError>(H5Aiterate2(holder.get(), H5_INDEX_NAME, H5_ITER_INC, nullptr, take, &found),
                   fmt::format("cannot read attributes of '{}' in '{}'", object, path_.string()));
  return found;
}

std::string InputFile::absent(const std::string& object, const std::string& kind) const {
  std::string holder = object;
  do {
    const std::size_t slash = holder.rfind('/');
    holder = slash == std::string::npos || slash == 0 ? "/" : holder.substr(0, slash);
  } while (!exists(holder));
  H5O_info_t info;
  H5Oget_info_by_name(file_.get(), holder.c_str(), &info, H5P_DEFAULT);
  const std::string message = fmt::format("'{}' has no {} '{}'", path_.string(), kind, object);
  if (info.type != H5O_TYPE_GROUP) return fmt::format("{}; '{}' is not a group", message, holder);
  const auto names = children(holder);
  const std::string place = holder == "/" ? "the file" : fmt::format("'{}'", holder);
  return names.empty() ? fmt::format("{}; {} is empty", message, place)
                       : fmt::format("{}; {} has: {}", message, place, fmt::join(names, ", "));
}

Handle InputFile::open_dataset(const std::string& dataset) const {
  if (!exists(dataset)) throw DataError(absent(dataset, "dataset"));
  const hid_t id = H5Dopen2(file_.get(), dataset.c_str(), H5P_DEFAULT);
  if (id < 0) throw DataError(fmt::format("'{}' in '{}' is not a dataset", dataset, path_.string()));
  return Handle(Kind::dataset, id);
}

std::vector<Index> InputFile::shape(const std::string& dataset) const {
  const Handle opened = open_dataset(dataset);
  const Handle space(Kind::dataspace, H5Dget_space(opened.get()));
  return sizes_of(space.get());
}

ElementType InputFile::element_type(const std::string& dataset) const {
  const Handle opened = open_dataset(dataset);
  const Handle type(Kind::datatype, H5Dget_type(opened.get()));
  return classify(type.get());
}

void InputFile::expect_shape(const std::string& dataset, std::span<const Index> expected) const {
  const auto found = shape(dataset);
  const auto fits = [](Index a, Index b) { return b == any_size || a == b; };
  if (!std::ranges::equal(found, expected, fits))
    throw DataError(fmt::format("'{}' in '{}' has shape {}; expected {}", dataset, path_.string(),
                                shape_text(found), shape_text(expected)));
}

void InputFile::expect_numbers(const std::string& dataset) const {
  if (!is_number(element_type(dataset)))
    throw DataError(fmt::format("'{}' in '{}' does not hold numbers", dataset, path_.string()));
}

std::vector<double> InputFile::read_doubles(const std::string& dataset) const {
  expect_numbers(dataset);
  const Handle opened = open_dataset(dataset);
  std::vector<double> values(static_cast<std::size_t>(product(shape(dataset))));
  check<DataError>(H5Dread(opened.get(), H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()),
                   fmt::format("cannot read '{}' from '{}'", dataset, path_.string()));
  return values;
}

std::vector<Index> InputFile::read_integers(const std::string& dataset) const {
  if (element_type(dataset) == ElementType::real) {
    const auto reals = read_doubles(dataset);
    // 2^53: above it a double no longer tells neighbouring integers apart.
    const auto bad = std::ranges::find_if(
        reals, [](double value) { return !(std::abs(value) <= 0x1p53) || value != std::floor(value); });
    if (bad != reals.end())
      throw DataError(fmt::format("'{}' in '{}' must hold whole numbers, but element {} is {}", dataset,
                                  path_.string(), bad - reals.begin(), *bad));
    return {reals.begin(), reals.end()};
  }
  expect_numbers(dataset);
  const Handle opened = open_dataset(dataset);
  std::vector<Index> values(static_cast<std::size_t>(product(shape(dataset))));
  check<DataError>(H5Dread(opened.get(), H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()),
                   fmt::format("cannot read '{}' from '{}'", dataset, path_.string()));
  return values;
}

std::vector<std::string> InputFile::read_texts(const std::string& dataset) const {
  if (element_type(dataset) != ElementType::text)
    throw DataError(fmt::format("'{}' in '{}' does not hold text", dataset, path_.string()));
  const Handle opened = open_dataset(dataset);
  const Handle type(Kind::datatype, H5Dget_type(opened.get()));
  const Handle space(Kind::dataspace, H5Dget_space(opened.get()));
  const auto read = [&](hid_t memory, void* out) {
    return H5Dread(opened.get(), memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, out);
  };
  return texts_of(type.get(), space.get(), read,
                  fmt::format("cannot read '{}' from '{}'", dataset, path_.string()));
}

std::string InputFile::read_text(const std::string& dataset) const {
  const auto texts = read_texts(dataset);
  if (texts.size() != 1)
    throw DataError(
        fmt::format("'{}' in '{}' holds {} texts; expected one", dataset, path_.string(), texts.size()));
  return texts.front();
}

void InputFile::read_selected(const std::string& dataset, Index first, Index count, Id memory_type,
                              std::size_t room, void* out) const {
  const Handle opened = open_dataset(dataset);
  const Handle space(Kind::dataspace, H5Dget_space(opened.get()));
  const auto sizes = sizes_of(space.get());
  if (sizes.empty() || first < 0 || count < 0 || first + count > sizes[0])
    throw std::logic_error("read_rows: no such rows in " + dataset);
  std::vector<hsize_t> start(sizes.size(), 0);
  std::vector<hsize_t> extent(sizes.begin(), sizes.end());
  start[0] = static_cast<hsize_t>(first);
  extent[0] = static_cast<hsize_t>(count);
  const hsize_t elements = std::accumulate(extent.begin(), extent.end(), hsize_t{1}, std::multiplies<>());
  if (elements != room) throw std::logic_error("read_rows: the buffer does not fit the rows of " + dataset);
  if (elements == 0) return;
  H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, start.data(), nullptr, extent.data(), nullptr);
  const Handle memory(Kind::dataspace, H5Screate_simple(1, &elements, nullptr));
  check<DataError>(H5Dread(opened.get(), memory_type, memory.get(), space.get(), H5P_DEFAULT, out),
                   fmt::format("cannot read '{}' from '{}'", dataset, path_.string()));
}

void InputFile::read_rows(const std::string& dataset, Index first, Index count, std::span<double> out) const {
  expect_numbers(dataset);
  read_selected(dataset, first, count, H5T_NATIVE_DOUBLE, out.size(), out.data());
}

void InputFile::read_rows(const std::string& dataset, Index first, Index count,
                          std::span<std::uint8_t> out) const {
  if (element_type(dataset) != ElementType::byte)
    throw DataError(fmt::format("'{}' in '{}' does not hold bytes", dataset, path_.string()));
  read_selected(dataset, first, count, H5T_NATIVE_UINT8, out.size(), out.data());
}

Handle InputFile::open_attribute(const std::string& object, const std::string& name) const {
  if (!exists(object)) throw DataError(absent(object, "object"));
  if (!has_attribute(object, name))
    throw DataError(fmt::format("'{}' has no attribute '{}' on '{}'", path_.string(), name, object));
  return own<DataError>(Kind::attribute,
                        H5Aopen_by_name(file_.get(), object.c_str(), name.c_str(), H5P_DEFAULT, H5P_DEFAULT),
                        attribute_failure(object, name));
}

std::string InputFile::attribute_failure(const std::string& object, const std::string& name) const {
  return fmt::format("cannot read attribute '{}' of '{}' in '{}'", name, object, path_.string());
}

template <class T>
std::vector<T> InputFile::attribute_numbers(const std::string& object, const std::string& name,
                                            Id memory_type) const {
  const Handle attribute = open_attribute(object, name);
  const Handle type(Kind::datatype, H5Aget_type(attribute.get()));
  if (!is_number(classify(type.get())) ||
      (std::is_same_v<T, Index> && classify(type.get()) == ElementType::real))
    throw DataError(fmt::format("{}: it holds no {}", attribute_failure(object, name),
                                std::is_same_v<T, Index> ? "integers" : "numbers"));
  const Handle space(Kind::dataspace, H5Aget_space(attribute.get()));
  std::vector<T> values(static_cast<std::size_t>(H5Sget_simple_extent_npoints(space.get())));
  if (!values.empty())
    check<DataError>(H5Aread(attribute.get(), memory_type, values.data()), attribute_failure(object, name));
  return values;
}

template <class T>
T InputFile::only(const std::vector<T>& values, const std::string& object, const std::string& name) const {
  if (values.size() != 1)
    throw DataError(
        fmt::format("{}: it holds {} values; expected one", attribute_failure(object, name), values.size()));
  return values.front();
}

double InputFile::attribute_real(const std::string& object, const std::string& name) const {
  return only(attribute_numbers<double>(object, name, H5T_NATIVE_DOUBLE), object, name);
}

Index InputFile::attribute_integer(const std::string& object, const std::string& name) const {
  return only(attribute_integers(object, name), object, name);
}

std::string InputFile::attribute_text(const std::string& object, const std::string& name) const {
  return only(attribute_texts(object, name), object, name);
}

std::vector<Index> InputFile::attribute_integers(const std::string& object, const std::string& name) const {
  return attribute_numbers<Index>(object, name, H5T_NATIVE_INT64);
}

std::vector<std::string> InputFile::attribute_texts(const std::string& object,
                                                    const std::string& name) const {
  const Handle attribute = open_attribute(object, name);
  const Handle type(Kind::datatype, H5Aget_type(attribute.get()));
  if (classify(type.get()) != ElementType::text)
    throw DataError(fmt::format("{}: it holds no text", attribute_failure(object, name)));
  const Handle space(Kind::dataspace, H5Aget_space(attribute.get()));
  const auto read = [&](hid_t memory, void* out) { return H5Aread(attribute.get(), memory, out); };
  return texts_of(type.get(), space.get(), read, attribute_failure(object, name));
}

void InputFile::expect_filetype(std::string_view filetype, Index major) const {
  const std::string found = has_attribute("/", "filetype") ? attribute_text("/", "filetype") : "none";
  if (found != filetype)
    throw DataError(fmt::format("'{}' has filetype {}; expected {}", path_.string(), found, filetype));
  const auto version = attribute_integers("/", "version");
  if (version.empty() || version.front() != major)
    throw DataError(fmt::format("'{}' has version {}; this program reads {}.x", path_.string(),
                                fmt::join(version, "."), major));
}

}  // namespace dualscape::h5
