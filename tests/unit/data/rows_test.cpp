#include "dualscape/data/rows.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/collective.hpp"
#include "support/error_of.hpp"

namespace dualscape::data {
namespace {

using ::dualscape::testing::error_of;
using ::testing::ElementsAre;

void set_value(Rows& rows, Index i, Index j, double value) {
  if (rows.element() == Element::byte)
    rows.row(i)[static_cast<std::size_t>(j)] = static_cast<std::byte>(value);
  else
    reinterpret_cast<double*>(rows.row(i).data())[j] = value;
}

/// Rows whose value j in row i is (first + i) * 10 + j.
Rows numbered(Index first, Index count, Index features, Element element) {
  Rows rows(count, features, element);
  for (Index i = 0; i < count; ++i)
    for (Index j = 0; j < features; ++j) set_value(rows, i, j, static_cast<double>((first + i) * 10 + j));
  return rows;
}

TEST(Rows, ScaleBytesByATrueDivision) {
  Rows rows(1, 256, Element::byte);
  for (Index j = 0; j < 256; ++j) set_value(rows, 0, j, static_cast<double>(j));
  Matrix<double> doubles(1, 256);
  Matrix<float> floats(1, 256);
  // Multiplying by 1/255 would give 24 of these another last bit; 0.3 and 255.1 are no numbers of single
  // precision.
  for (const double scale : {255.0, 0.3, 255.1}) {
    rows.copy_scaled(0, 1, doubles.view(), scale);
    rows.copy_scaled(0, 1, floats.view(), scale);
    for (Index j = 0; j < 256; ++j) {
      EXPECT_EQ(doubles(0, j), static_cast<double>(j) / scale) << j << " / " << scale;
      EXPECT_EQ(floats(0, j), static_cast<float>(static_cast<double>(j) / scale)) << j << " / " << scale;
    }
  }
}

TEST(Rows, ScaleIntegersButNotRealNumbers) {
  Matrix<double> out(1, 2);
  numbered(3, 1, 2, Element::integer).copy_scaled(0, 1, out.view(), 8.0);
  EXPECT_THAT(out.entries(), ElementsAre(30 / 8.0, 31 / 8.0));
  numbered(3, 1, 2, Element::real).copy_scaled(0, 1, out.view(), 8.0);
  EXPECT_THAT(out.entries(), ElementsAre(30, 31));
}

TEST(Rows, CopyIntoWiderMatrices) {
  for (const Element element : {Element::byte, Element::integer, Element::real}) {
    Matrix<float> out(3, 4);
    std::ranges::fill(out.entries(), -1.0F);
    numbered(0, 4, 2, element).copy_raw(1, 2, out.view().rows_from(1, 2).cols_from(1, 2));
    EXPECT_THAT(out.entries(), ElementsAre(-1, -1, -1, -1, -1, 10, 11, -1, -1, 20, 21, -1));
  }
}

TEST(Rows, CopyInAnyOrder) {
  for (const Element element : {Element::byte, Element::integer}) {
    Matrix<double> out(3, 2);
    numbered(0, 4, 2, element).copy_scaled(std::vector<Index>{3, 0, 3}, out.view(), 4.0);
    EXPECT_THAT(out.entries(), ElementsAre(30 / 4.0, 31 / 4.0, 0, 1 / 4.0, 30 / 4.0, 31 / 4.0));
  }
}

class DistributedRowsTest : public ::testing::Test {
 protected:
  DistributedRows make(Index count, Index features, Element element) const {
    const Partition partition(count, comm_.size());
    return DistributedRows(
        comm_, count,
        numbered(partition.begin(comm_.rank()), partition.count(comm_.rank()), features, element));
  }
  /// Whether `rows` are those at `wanted` of the numbered rows.
  static void expect_rows(const Rows& rows, const std::vector<Index>& wanted, Index features) {
    ASSERT_EQ(rows.count(), static_cast<Index>(wanted.size()));
    Matrix<double> values(rows.count(), features);
    rows.copy_raw(0, rows.count(), values.view());
    for (Index i = 0; i < rows.count(); ++i)
      for (Index j = 0; j < features; ++j)
        EXPECT_EQ(values(i, j), static_cast<double>(wanted[static_cast<std::size_t>(i)] * 10 + j))
            << "row " << i;
  }

  Comm comm_{MPI_COMM_WORLD};
};

TEST_F(DistributedRowsTest, FetchAnyRowsInAnyOrder) {
  for (const Element element : {Element::byte, Element::integer, Element::real}) {
    const auto rows = make(23, 3, element);
    // Every rank asks for something else, some rows twice.
    std::vector<Index> wanted;
    for (Index i = 0; i < 30; ++i) wanted.push_back((22 + 7 * i * (comm_.rank() + 1) + comm_.rank()) % 23);
    wanted.push_back(wanted.front());
    const Rows got = rows.fetch(comm_, wanted);
    EXPECT_EQ(got.element(), element);
    expect_rows(got, wanted, 3);
  }
}

TEST_F(DistributedRowsTest, FetchFromFewerSamplesThanRanks) {
  const auto rows = make(1, 2, Element::byte);
  EXPECT_EQ(rows.local().count(), comm_.rank() == 0 ? 1 : 0);
  expect_rows(rows.fetch(comm_, std::vector<Index>{0, 0, 0}), {0, 0, 0}, 2);
  const auto two = make(2, 2, Element::real);
  expect_rows(two.fetch(comm_, std::vector<Index>{1, 0}), {1, 0}, 2);
}

TEST_F(DistributedRowsTest, FetchNothing) {
  const auto rows = make(5, 2, Element::real);
  EXPECT_EQ(rows.fetch(comm_, {}).count(), 0);
  // Only the last rank wants anything.
  const std::vector<Index> wanted =
      comm_.rank() == comm_.size() - 1 ? std::vector<Index>{4, 0, 2} : std::vector<Index>{};
  expect_rows(rows.fetch(comm_, wanted), wanted, 2);
}

TEST_F(DistributedRowsTest, FetchRefusesPositionsThatDoNotExist) {
  const auto rows = make(5, 2, Element::real);
  for (const Index bad : {Index{-1}, Index{5}}) {
    const std::vector<Index> wanted =
        comm_.rank() == comm_.size() - 1 ? std::vector<Index>{bad} : std::vector<Index>{0};
    EXPECT_EQ(error_of<std::logic_error>([&] { rows.fetch(comm_, wanted); }), "fetch: no such row");
  }
}

TEST_F(DistributedRowsTest, RefuseAnotherNumberOfLocalRows) {
  EXPECT_THROW(DistributedRows(comm_, 5 * comm_.size(), Rows(4, 2, Element::byte)), std::logic_error);
}

}  // namespace
}  // namespace dualscape::data
