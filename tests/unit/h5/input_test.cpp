#include "dualscape/h5/input.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <hdf5.h>

#include <cstring>
#include <fstream>

#include "dualscape/base/error.hpp"
#include "support/collective.hpp"
#include "support/error_of.hpp"
#include "support/temporary_folder.hpp"

namespace dualscape::h5 {
namespace {

using ::dualscape::testing::error_of;
using ::testing::ElementsAre;

void write_dataset(hid_t file, const char* path, hid_t stored, hid_t given, std::vector<hsize_t> sizes,
                   const void* values) {
  const hid_t links = H5Pcreate(H5P_LINK_CREATE);
  H5Pset_create_intermediate_group(links, 1);
  const hid_t space = H5Screate_simple(static_cast<int>(sizes.size()), sizes.data(), nullptr);
  const hid_t dataset = H5Dcreate2(file, path, stored, space, links, H5P_DEFAULT, H5P_DEFAULT);
  H5Dwrite(dataset, given, H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
  H5Dclose(dataset);
  H5Sclose(space);
  H5Pclose(links);
}

void write_attribute(hid_t file, const char* object, const char* name, hid_t type, const hsize_t* size,
                     const void* values) {
  const hid_t space = size == nullptr ? H5Screate(H5S_SCALAR) : H5Screate_simple(1, size, nullptr);
  const hid_t attribute =
      H5Acreate_by_name(file, object, name, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  H5Awrite(attribute, type, values);
  H5Aclose(attribute);
  H5Sclose(space);
}

/// A file as another program would write it: types of all kinds.
void write_example(const std::filesystem::path& path) {
  const hid_t file = H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  const std::vector<double> reals = {0.5, 1, 2, 3, 4, 5};
  const std::vector<int> integers = {0, 1, 2, -3, 4, 255};
  write_dataset(file, "group/inner/float", H5T_IEEE_F32BE, H5T_NATIVE_DOUBLE, {3, 2}, reals.data());
  write_dataset(file, "group/short", H5T_STD_I16BE, H5T_NATIVE_INT, {3, 2}, integers.data());
  write_dataset(file, "group/byte", H5T_STD_U8LE, H5T_NATIVE_INT, {6}, integers.data());
  write_dataset(file, "group/whole", H5T_NATIVE_DOUBLE, H5T_NATIVE_INT, {6}, integers.data());
  const hid_t fixed = H5Tcopy(H5T_C_S1);
  H5Tset_size(fixed, 3);
  write_dataset(file, "text", fixed, fixed, {2}, "abcd\0\0");
  const hid_t any = H5Tcopy(H5T_C_S1);
  H5Tset_size(any, H5T_VARIABLE);
  const char* words[] = {"one", "", "three"};
  const hsize_t three = 3;
  write_attribute(file, "/", "words", any, &three, words);
  write_attribute(file, "group", "word", any, nullptr, words);
  const float half = 0.5F;
  write_attribute(file, "group", "half", H5T_NATIVE_FLOAT, nullptr, &half);
  const short numbers[] = {1, -2, 3};
  write_attribute(file, "group", "numbers", H5T_NATIVE_SHORT, &three, numbers);
  write_attribute(file, "text", "number", H5T_NATIVE_SHORT, nullptr, numbers);
  H5Tclose(any);
  H5Tclose(fixed);
  H5Fclose(file);
}

class InputFileTest : public ::testing::Test {
 protected:
  /// A file is read by one rank alone: each rank has its own here.
  InputFileTest() : own_(MPI_COMM_SELF), folder_(own_), path_(folder_ / "example.h5") {
    write_example(path_);
  }

  Comm own_;
  dualscape::testing::TemporaryFolder folder_;
  std::filesystem::path path_;
};

TEST_F(InputFileTest, ConvertsNumbersOfAnyType) {
  const InputFile file(path_);
  EXPECT_THAT(file.read_doubles("group/inner/float"), ElementsAre(0.5, 1, 2, 3, 4, 5));
  EXPECT_THAT(file.read_doubles("group/short"), ElementsAre(0, 1, 2, -3, 4, 255));
  EXPECT_THAT(file.read_integers("group/short"), ElementsAre(0, 1, 2, -3, 4, 255));
  EXPECT_THAT(file.read_integers("group/whole"), ElementsAre(0, 1, 2, -3, 4, 255));
  EXPECT_THAT(file.read_integers("group/byte"), ElementsAre(0, 1, 2, 0, 4, 255));
}

TEST_F(InputFileTest, TellsShapesAndTypes) {
  const InputFile file(path_);
  EXPECT_THAT(file.shape("group/short"), ElementsAre(3, 2));
  EXPECT_EQ(file.element_type("group/short"), ElementType::integer);
  EXPECT_EQ(file.element_type("group/byte"), ElementType::byte);
  EXPECT_EQ(file.element_type("group/inner/float"), ElementType::real);
  EXPECT_EQ(file.element_type("text"), ElementType::text);
  EXPECT_THAT(file.children("/"), ElementsAre("group", "text"));
  EXPECT_THAT(file.children("group"), ElementsAre("byte", "inner", "short", "whole"));
  EXPECT_TRUE(file.exists("group/inner/float"));
  EXPECT_TRUE(file.exists("group"));
  EXPECT_FALSE(file.exists("group/outer/float"));
  EXPECT_FALSE(file.exists("text/inner"));
}

TEST_F(InputFileTest, ReadsRowsInParts) {
  const InputFile file(path_);
  std::vector<double> rows(4);
  file.read_rows("group/inner/float", 1, 2, rows);
  EXPECT_THAT(rows, ElementsAre(2, 3, 4, 5));
  file.read_rows("group/short", 0, 2, rows);
  EXPECT_THAT(rows, ElementsAre(0, 1, 2, -3));
  std::vector<std::uint8_t> bytes(2);
  file.read_rows("group/byte", 4, 2, bytes);
  EXPECT_THAT(bytes, ElementsAre(4, 255));
  EXPECT_EQ(error_of<DataError>([&] { file.read_rows("group/short", 0, 1, bytes); }),
            "'group/short' in '" + path_.string() + "' does not hold bytes");
  EXPECT_THROW(file.read_rows("group/short", 2, 2, rows), std::logic_error);
  EXPECT_THROW(file.read_rows("group/short", 0, 3, rows), std::logic_error);
}

TEST_F(InputFileTest, ReadsTexts) {
  const InputFile file(path_);
  EXPECT_THAT(file.read_texts("text"), ElementsAre("abc", "d"));
  EXPECT_THAT(file.attribute_texts("/", "words"), ElementsAre("one", "", "three"));
  EXPECT_EQ(file.attribute_text("group", "word"), "one");
  EXPECT_EQ(error_of<DataError>([&] { file.read_text("text"); }),
            "'text' in '" + path_.string() + "' holds 2 texts; expected one");
  EXPECT_EQ(error_of<DataError>([&] { file.read_texts("group/byte"); }),
            "'group/byte' in '" + path_.string() + "' does not hold text");
}

TEST_F(InputFileTest, ReadsAttributes) {
  const InputFile file(path_);
  EXPECT_EQ(file.attribute_real("group", "half"), 0.5);
  EXPECT_EQ(file.attribute_real("text", "number"), 1.0);
  EXPECT_EQ(file.attribute_integer("text", "number"), 1);
  EXPECT_THAT(file.attribute_integers("group", "numbers"), ElementsAre(1, -2, 3));
  EXPECT_TRUE(file.has_attribute("group", "half"));
  EXPECT_FALSE(file.has_attribute("group", "third"));
  EXPECT_FALSE(file.has_attribute("nowhere", "half"));

  const std::string in = "' in '" + path_.string() + "'";
  EXPECT_EQ(error_of<DataError>([&] { file.attribute_real("group", "third"); }),
            "'" + path_.string() + "' has no attribute 'third' on 'group'");
  EXPECT_EQ(error_of<DataError>([&] { file.attribute_integer("group", "half"); }),
            "cannot read attribute 'half' of 'group" + in + ": it holds no integers");
  EXPECT_EQ(error_of<DataError>([&] { file.attribute_real("group", "word"); }),
            "cannot read attribute 'word' of 'group" + in + ": it holds no numbers");
  EXPECT_EQ(error_of<DataError>([&] { file.attribute_text("group", "half"); }),
            "cannot read attribute 'half' of 'group" + in + ": it holds no text");
  EXPECT_EQ(error_of<DataError>([&] { file.attribute_integer("group", "numbers"); }),
            "cannot read attribute 'numbers' of 'group" + in + ": it holds 3 values; expected one");
}

TEST_F(InputFileTest, SaysWhatIsThereInstead) {
  const InputFile file(path_);
  const std::string start = "'" + path_.string() + "' has no ";
  EXPECT_EQ(error_of<DataError>([&] { file.read_doubles("group/long"); }),
            start + "dataset 'group/long'; 'group' has: byte, inner, short, whole");
  EXPECT_EQ(error_of<DataError>([&] { file.shape("groop/a/b"); }),
            start + "dataset 'groop/a/b'; the file has: group, text");
  EXPECT_EQ(error_of<DataError>([&] { file.shape("text/a"); }),
            start + "dataset 'text/a'; 'text' is not a group");
  EXPECT_EQ(error_of<DataError>([&] { file.children("group/outer"); }),
            start + "group 'group/outer'; 'group' has: byte, inner, short, whole");
  EXPECT_EQ(error_of<DataError>([&] { file.read_doubles("group"); }),
            "'group' in '" + path_.string() + "' is not a dataset");
  EXPECT_EQ(error_of<DataError>([&] { file.children("text"); }),
            "'text' in '" + path_.string() + "' is not a group");
}

TEST_F(InputFileTest, RefusesOtherShapesAndTypes) {
  const InputFile file(path_);
  const std::string in = "' in '" + path_.string() + "' ";
  EXPECT_NO_THROW(file.expect_shape("group/short", std::vector<Index>{3, any_size}));
  EXPECT_EQ(error_of<DataError>([&] {
              file.expect_shape("group/short", std::vector<Index>{any_size, 4});
            }),
            "'group/short" + in + "has shape 3 x 2; expected any x 4");
  EXPECT_EQ(error_of<DataError>([&] { file.expect_shape("group/short", {}); }),
            "'group/short" + in + "has shape 3 x 2; expected a single value");
  EXPECT_EQ(error_of<DataError>([&] { file.read_integers("group/inner/float"); }),
            "'group/inner/float" + in + "must hold whole numbers, but element 0 is 0.5");
  EXPECT_EQ(error_of<DataError>([&] { file.read_doubles("text"); }), "'text" + in + "does not hold numbers");
}

TEST_F(InputFileTest, RefusesOtherFiles) {
  const auto missing = folder_ / "missing.h5";
  EXPECT_EQ(error_of<DataError>([&] { InputFile{missing}; }),
            "cannot open '" + missing.string() + "': No such file or directory");
  const auto other = folder_ / "other.h5";
  std::ofstream(other) << "no such format";
  EXPECT_EQ(error_of<DataError>([&] { InputFile{other}; }), "'" + other.string() + "' is not an HDF5 file");
  const auto empty = folder_ / "empty.h5";
  std::ofstream{empty};
  EXPECT_EQ(error_of<DataError>([&] { InputFile{empty}; }), "'" + empty.string() + "' is not an HDF5 file");
  EXPECT_EQ(error_of<DataError>([&] { InputFile{folder_.path()}; }),
            "'" + folder_.path().string() + "' is not an HDF5 file");
  const auto cut = folder_ / "cut.h5";
  std::filesystem::copy(path_, cut);
  std::filesystem::resize_file(cut, 1000);
  EXPECT_THAT(error_of<DataError>([&] { InputFile{cut}; }),
              ::testing::StartsWith("cannot read '" + cut.string() + "' as an HDF5 file: truncated file"));
}

TEST_F(InputFileTest, ChecksFiletypeAndVersion) {
  EXPECT_EQ(error_of<DataError>([&] { InputFile(path_).expect_filetype("dualscape-result", 1); }),
            "'" + path_.string() + "' has filetype none; expected dualscape-result");
}

}  // namespace
}  // namespace dualscape::h5
