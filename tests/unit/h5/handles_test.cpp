#include <gtest/gtest.h>
#include <hdf5.h>

#include <utility>

#include "dualscape/h5/handle.hpp"

namespace dualscape::h5 {
namespace {

/// After the last test of this binary nothing of HDF5 is left open.
class NothingLeft : public ::testing::Environment {
 public:
  void TearDown() override {
    EXPECT_EQ(objects_alive(), 0);
    EXPECT_EQ(H5Fget_obj_count(H5F_OBJ_ALL, H5F_OBJ_ALL), 0);
  }
};

const auto* const nothing_left = ::testing::AddGlobalTestEnvironment(new NothingLeft);

Handle new_space() {
  return Handle(Kind::dataspace, H5Screate(H5S_SCALAR));
}

TEST(Handles, CloseTheirObjectOnce) {
  const int before = objects_alive();
  Id id = -1;
  {
    const Handle space = new_space();
    id = space.get();
    EXPECT_EQ(objects_alive(), before + 1);
    EXPECT_GT(H5Iis_valid(id), 0);
  }
  EXPECT_EQ(objects_alive(), before);
  EXPECT_EQ(H5Iis_valid(id), 0);
}

TEST(Handles, MoveWithoutClosing) {
  const int before = objects_alive();
  Handle first = new_space();
  const Id id = first.get();
  Handle second = std::move(first);
  EXPECT_GT(H5Iis_valid(id), 0);
  Handle third = new_space();
  const Id replaced = third.get();
  third = std::move(second);
  EXPECT_EQ(third.get(), id);
  EXPECT_EQ(H5Iis_valid(replaced), 0);
  EXPECT_EQ(objects_alive(), before + 1);
  EXPECT_TRUE(third.close());
  EXPECT_EQ(objects_alive(), before);
  EXPECT_TRUE(third.close()) << "closing twice does nothing";
}

TEST(Handles, SayWhenClosingFailed) {
  Handle space = new_space();
  H5Sclose(space.get());
  EXPECT_FALSE(space.close());
}

}  // namespace
}  // namespace dualscape::h5
