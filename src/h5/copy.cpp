#include "dualscape/h5/copy.hpp"

#include <fmt/format.h>

#include <optional>

#include "dualscape/base/error.hpp"
#include "dualscape/h5/format.hpp"
#include "dualscape/h5/input.hpp"

namespace dualscape::h5 {
namespace {

using format::Entry;
using format::Type;

/// A dataset, or an attribute with a name.
struct Item {
  std::string object;
  std::string attribute;
  std::vector<Index> shape;
};

/// Everything in a group, by the format table.
std::vector<Item> items_of(const InputFile& file, const std::string& group) {
  std::vector<Item> items;
  for (const InputFile::Member& member : file.members(group)) {
    if (format::find(member.path) == nullptr)
      throw DataError(fmt::format("'{}' holds '{}', which is unknown", file.path().string(), member.path));
    if (!member.is_group) items.push_back({member.path, "", file.shape(member.path)});
    for (const Entry& entry : format::entries()) {
      const std::size_t at = entry.path.find('@');
      if (at == std::string_view::npos) continue;
      const std::string name(entry.path.substr(at + 1));
      if (format::find_attribute(member.path, name) == &entry && file.has_attribute(member.path, name))
        items.push_back({member.path, name, {}});
    }
  }
  return items;
}

void share(const Comm& comm, std::vector<Item>& items) {
  items.resize(static_cast<std::size_t>(comm.broadcast_value(std::ssize(items))));
  for (Item& item : items) {
    comm.broadcast(item.object);
    comm.broadcast(item.attribute);
    comm.broadcast(item.shape);
  }
}

/// `file` is null but on rank 0, where values count.
Attribute attribute_of(const InputFile* file, const Item& item, Type type) {
  switch (type) {
    case Type::real:
      return file ? file->attribute_real(item.object, item.attribute) : 0.0;
    case Type::integer:
      return file ? file->attribute_integer(item.object, item.attribute) : Index{0};
    case Type::flag:
      return file && file->attribute_integer(item.object, item.attribute) != 0;
    default:
      return file ? file->attribute_text(item.object, item.attribute) : std::string();
  }
}

/// Rows that rank 0 reads when they are to be written.
RowProvider rows_from(const Comm& comm, const std::filesystem::path& from, const std::string& dataset) {
  return [&comm, from, dataset](Index first, Index count, Matrix<double>& block) {
    on_root(comm, [&] { InputFile(from).read_rows(dataset, first, count, block.entries()); });
  };
}

void add_dataset(const Comm& comm, const InputFile* file, const std::filesystem::path& from, const Item& item,
                 OutputFile& to) {
  const Type type = format::find(item.object)->type;
  if (type == Type::real && item.shape.size() == 2)
    return to.add_rows(item.object, item.shape[0], item.shape[1], rows_from(comm, from, item.object));
  std::vector<double> reals;
  std::vector<Index> integers;
  on_root(comm, [&] {
    if (type == Type::real)
      reals = file->read_doubles(item.object);
    else
      integers = file->read_integers(item.object);
  });
  if (type == Type::real) return to.add(item.object, reals, item.shape);
  if (type == Type::integer) return to.add(item.object, std::span<const Index>(integers), item.shape);
  const std::vector<std::uint8_t> bytes(integers.begin(), integers.end());
  to.add(item.object, std::span<const std::uint8_t>(bytes), item.shape);
}

}  // namespace

void copy_group(const Comm& comm, const std::filesystem::path& from, const std::string& group,
                OutputFile& to) {
  std::optional<InputFile> opened;
  std::vector<Item> items;
  on_root(comm, [&] {
    opened.emplace(from);
    items = items_of(*opened, group);
  });
  share(comm, items);
  const InputFile* file = opened ? &*opened : nullptr;
  for (const Item& item : items) {
    if (item.attribute.empty()) {
      add_dataset(comm, file, from, item, to);
      continue;
    }
    Attribute value;
    const Type type = format::find_attribute(item.object, item.attribute)->type;
    on_root(comm, [&] { value = attribute_of(file, item, type); });
    if (file == nullptr) value = attribute_of(nullptr, item, type);
    to.attribute(item.object, item.attribute, value);
  }
}

}  // namespace dualscape::h5
